"""seccomp: which calls of the kernel a child may make. No socket, no other program, no other process.

What a library may try in good faith is answered with EPERM. What only an attack would do kills the process, and the
parent sees SIGSYS.
"""

import ctypes
import platform
import struct
import sys
from collections.abc import Iterable

SET_MODE_FILTER, ALL_THREADS = 1, 1  # of seccomp(2)
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000  # what a filter answers; REFUSE | errno
EPERM, ENOSYS = 1, 38
LOAD, JUMP_EQUAL, JUMP_SET, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06  # instructions of classic BPF
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, THIRD_ARGUMENT = 0, 4, 16, 32  # where the call's data have what
X32 = 0x40000000  # calls of x86-64's other ABI
CLONE_THREAD = 0x10000
PR_SET_PDEATHSIG = 1

# Name -> number on x86-64 and on AArch64; None: it has no such call.
SECCOMP = {"x86_64": 317, "aarch64": 277}
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CLONE, CLONE3, PRCTL, PRLIMIT = (56, 220), (435, 435), (157, 167), (302, 261)
REFUSED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "fork": (57, None), "vfork": (58, None), "execve": (59, 221),
    "execveat": (322, 281), "kill": (62, 129), "tkill": (200, 130), "setsid": (112, 157), "setpgid": (109, 154),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159),
    "symlink": (88, None), "symlinkat": (266, 36), "link": (86, None), "linkat": (265, 37), "mknod": (133, None),
    "mknodat": (259, 33), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "memfd_create": (319, 279),
    "pidfd_open": (434, 434), "perf_event_open": (298, 241), "setrlimit": (160, 164),
}  # fmt: skip
KILLED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "bpf": (321, 280),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "sethostname": (170, 161), "setdomainname": (171, 162), "acct": (163, 89),
    "quotactl": (179, 60), "fsopen": (430, 430), "fsmount": (432, 432), "move_mount": (429, 429),
    "open_tree": (428, 428), "mount_setattr": (442, 442), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "fanotify_init": (300, 262), "lookup_dcookie": (212, 18), "syslog": (103, 116),
}  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def available() -> bool:
    """Is there a filter for this machine?"""
    return sys.platform == "linux" and platform.machine() in AUDIT


def restrict() -> None:
    """Filter this process's calls for good, in all its threads. Needs no_new_privs. Raises OSError if it is refused."""
    machine = platform.machine()
    code = b"".join(_instructions(machine))
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(held))
    call = ctypes.CDLL(None, use_errno=True).syscall
    number, mode, flags = (ctypes.c_long(each) for each in (SECCOMP[machine], SET_MODE_FILTER, ALL_THREADS))
    if call(number, mode, flags, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp was refused")


def _instructions(machine: str) -> Iterable[bytes]:
    """The filter, one instruction after another; jumps are relative to the next."""
    column = 0 if machine == "x86_64" else 1
    yield _step(LOAD, ARCHITECTURE)
    yield _step(JUMP_EQUAL, AUDIT[machine], 1, 0)
    yield _step(RETURN, KILL)
    yield _step(LOAD, NUMBER)
    yield _step(JUMP_AT_LEAST, X32, 0, 1)
    yield _step(RETURN, KILL)
    for calls, answer in ((KILLED, KILL), (REFUSED, REFUSE | EPERM)):
        for numbers in calls.values():
            if numbers[column] is not None:
                yield _step(JUMP_EQUAL, int(numbers[column] or 0), 0, 1)
                yield _step(RETURN, answer)
    # clone3 has its flags in memory, which no filter can read; told that there is none, glibc takes clone.
    yield _step(JUMP_EQUAL, CLONE3[column], 0, 1)
    yield _step(RETURN, REFUSE | ENOSYS)
    yield _step(JUMP_EQUAL, CLONE[column], 0, 4)  # threads, and no processes
    yield _step(LOAD, FIRST_ARGUMENT)
    yield _step(JUMP_SET, CLONE_THREAD, 1, 0)
    yield _step(RETURN, REFUSE | EPERM)
    yield _step(RETURN, ALLOW)
    yield _step(JUMP_EQUAL, PRLIMIT[column], 0, 6)  # limits may be read, which is to set them to nothing
    yield _step(LOAD, THIRD_ARGUMENT)
    yield _step(JUMP_EQUAL, 0, 0, 3)
    yield _step(LOAD, THIRD_ARGUMENT + 4)  # its upper half
    yield _step(JUMP_EQUAL, 0, 0, 1)
    yield _step(RETURN, ALLOW)
    yield _step(RETURN, REFUSE | EPERM)
    yield _step(JUMP_EQUAL, PRCTL[column], 0, 3)  # who dies with the parent cannot take that back
    yield _step(LOAD, FIRST_ARGUMENT)
    yield _step(JUMP_EQUAL, PR_SET_PDEATHSIG, 0, 1)
    yield _step(RETURN, REFUSE | EPERM)
    yield _step(RETURN, ALLOW)


def _step(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jump_true, jump_false, value)
