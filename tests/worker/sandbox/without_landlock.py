"""The self-test's child on a kernel without Landlock."""

from worker.sandbox import landlock, probe

landlock.abi = lambda: 0
if __name__ == "__main__":
    probe.main()
