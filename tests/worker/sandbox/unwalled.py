"""The child that means harm, with no wall around it."""

from tests.worker.sandbox import escaping
from worker.sandbox import landlock, seccomp

landlock.abi = lambda: 0
seccomp.available = lambda: False
if __name__ == "__main__":
    escaping.main()
