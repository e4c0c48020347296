"""What a child may use and do, set by the child itself before it reads a byte, and never to be undone."""

import ctypes
import os
import resource
import signal
import sys

from worker.sandbox import landlock, seccomp

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


def raise_walls(memory_bytes: int, file_bytes: int, device: str, folder: str | None = None) -> None:
    """Bound this process for good: memory, size of files written, open files, no core dump, no new privileges.

    And where the kernel can: no file but the interpreter's, no socket, no program, no other process. Where it cannot,
    `worker.sandbox.selftest` tells. Memory is counted as data (heap and anonymous maps), so that a dataset mapped from
    disk is free. CUDA maps far more than it uses, so there the limit is the device's business. folder: the one in which
    files may be written.
    """
    if device == "cpu":
        _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    if landlock.abi():
        landlock.restrict(device, folder)
    if seccomp.available():
        seccomp.restrict()


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
