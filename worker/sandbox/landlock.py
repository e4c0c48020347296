"""Landlock: which files a child may open, by the kernel's own rules (Linux 5.13 and newer).

The rules can be tightened and never loosened. Files that the parent handed over, already open, are not asked about.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# linux/landlock.h; the numbers of the calls are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1  # flag of CREATE_RULESET: answer with the ABI's version
PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
LINKS_AND_DEVICES = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13  # what is no plain file or folder
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # all that a rule for a file may name
BIND_AND_CONNECT = 3  # of TCP, ABI 4
ABSTRACT_SOCKETS_AND_SIGNALS = 3  # ABI 6
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights over files each ABI knows

READ = EXECUTE | READ_FILE | READ_DIR  # to map a library is to execute it
# What interpreters and runtimes look at: how many cores there are and how much memory, libraries, the time.
SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime"),
    *("/usr/share/zoneinfo", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/zero"),
)
CUDA = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/proc/driver/nvidia", "/sys/bus/pci")


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The version that this kernel speaks; 0 without Landlock."""
    if sys.platform != "linux":
        return 0
    return max(_call(CREATE_RULESET, None, 0, VERSION), 0)


def restrict(device: str, folder: str | None = None) -> None:
    """Open nothing from here on but the interpreter, its libraries, /dev/null, and files in `folder`; no TCP (ABI 4).

    Only for a process of one thread: others stay free. Raises OSError where the kernel refuses.
    """
    version = abi()
    handled = (1 << RIGHTS[min(version, max(RIGHTS))]) - 1
    asked = _Ruleset(handled, BIND_AND_CONNECT, ABSTRACT_SOCKETS_AND_SIGNALS)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(CREATE_RULESET, ctypes.byref(asked), size, 0)
    try:
        for path in (*_interpreter(), *map(Path, SYSTEM)):
            _allow(ruleset, path, READ & handled)
        _allow(ruleset, Path("/dev/null"), (READ_FILE | WRITE_FILE) & handled)
        if folder is not None:
            _allow(ruleset, Path(folder), handled & ~(EXECUTE | LINKS_AND_DEVICES))
        if device != "cpu":
            for path in (*map(Path, CUDA), *Path("/dev").glob("nvidia[0-9]*")):
                _allow(ruleset, path, (READ | WRITE_FILE | IOCTL_DEV) & handled)
        _checked(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _interpreter() -> Iterable[Path]:
    """Where the interpreter, its packages and this package lie."""
    told = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path}
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")  # noqa: TID251 - not a setting of ours
    ours = Path(__file__).parents[1]
    roots = {ours.parent, Path("/"), Path()}  # sys.path has the project's folder, and there may be data in it
    return {ours, *(path for path in map(Path, (*told, *libraries)) if path.is_absolute() and path not in roots)}


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = _Beneath(rights if path.is_dir() else rights & FILE_RIGHTS, handle)
            _checked(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(handle)


def _checked(number: int, *arguments: object) -> int:
    found = _call(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), f"Landlock's call {number} was refused")
    return found


def _call(number: int, *arguments: object) -> int:
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *wide))
