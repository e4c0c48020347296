"""What a child may use, set by the child itself before it reads a byte: memory, files, and no life after its parent.

Landlock and seccomp belong here too, as soon as they are written; until then the walls are these.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
OPEN_FILES = 256


def die_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when the *thread* that started it ends, kill -9 included (Linux only).

    `parent` is its process id: whoever was orphaned before this call ends here.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def raise_walls(memory_bytes: int, file_bytes: int, device: str) -> None:
    """Bound this process for good: memory, size of files written, open files, no core dump, no new privileges.

    Memory is counted as data (heap and anonymous maps), so that a dataset mapped from disk is free. CUDA maps far more
    than it uses, so there the limit is the device's business.
    """
    if device == "cpu":
        _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
