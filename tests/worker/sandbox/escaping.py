"""A child that means harm: behind the real walls, as nobody, it tries to get out, and says whether it did.

`python -P -m tests.worker.sandbox.escaping FD PARENT MEMORY_BYTES FILE_BYTES DEVICE`
"""

import ctypes
import mmap
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from worker.sandbox import frames, walls

NOBODY = 65534
X86 = platform.machine() == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)


def call(x86: int, arm: int, *arguments: int | None) -> None:
    """A call of the kernel, past all libraries."""
    wide = [None if each is None else ctypes.c_long(each) for each in arguments]
    if LIBC.syscall(ctypes.c_long(x86 if X86 else arm), *wide) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def opened(path: Any, flags: int = os.O_RDONLY) -> None:
    os.close(os.open(path, flags))


def connected(family: int, kind: int, address: Any) -> None:
    with socket.socket(family, kind) as there:
        there.settimeout(2)
        there.connect(address)


def raw_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def forked() -> None:
    if os.fork() == 0:
        os._exit(0)


def bomb() -> None:
    for _ in range(1000):
        forked()


def environment_of_parent() -> None:
    opened(f"/proc/{os.getppid()}/environ")


def own_secrets() -> None:
    names = [name for name in os.environ if "SECRET" in name or name.startswith("LESION")]
    if not names:
        raise PermissionError("there are none")


def linked(given: str) -> None:
    os.symlink("/etc/passwd", f"{given}/link")
    opened(f"{given}/link")


def written(given: str) -> None:
    opened(f"{given}/written", os.O_CREAT | os.O_WRONLY)


def ten_gigabytes() -> None:
    with open(1, "wb", closefd=False) as out:  # the file that the parent keeps for its last words
        for _ in range(10 * 1024):
            out.write(bytes(1024**2))


def much_memory() -> None:
    mmap.mmap(-1, 100 * 1024**3)[:: 1024**2] = b"x" * (100 * 1024)


def freed_from_parent() -> None:
    if LIBC.prctl(1, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "refused")


def more_memory() -> None:
    call(302, 261, 0, 2, ctypes.addressof((ctypes.c_uint64 * 2)(2**63, 2**63)), None)


def reopened() -> None:
    """What the parent handed over for reading, opened anew for writing."""
    opened("/proc/self/fd/1", os.O_RDWR)


def in_a_thread() -> None:
    found: list[BaseException] = []

    def attempt() -> None:
        try:
            opened("/etc/passwd")
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if found:
        raise found[0]


def never_ending() -> None:
    while True:
        time.sleep(60)


ATTEMPTS: dict[str, Callable[[str], object]] = {
    "reads /etc/passwd": lambda _: opened("/etc/passwd"),
    "reads /etc/passwd in a thread": lambda _: in_a_thread(),
    "reads root's home": lambda _: os.listdir("/root"),
    "lists the machine's folders": lambda _: os.listdir("/"),
    "reads an upload of somebody else": lambda given: opened(f"{given}/blob"),
    "reads the parent's environment": lambda _: environment_of_parent(),
    "reads the parent's memory file": lambda _: opened(f"/proc/{os.getppid()}/mem"),
    "finds secrets in its environment": lambda _: own_secrets(),
    "connects to the database's socket": lambda given: connected(socket.AF_UNIX, socket.SOCK_STREAM, f"{given}/sock"),
    "connects to an abstract socket": lambda _: connected(socket.AF_UNIX, socket.SOCK_STREAM, "\0lesion"),
    "connects over TCP": lambda _: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 22)),
    "sends over UDP": lambda _: connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53)),
    "asks the cloud's metadata": lambda _: connected(socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
    "connects over IPv6": lambda _: connected(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 22)),
    "makes a raw socket": lambda _: raw_socket(),
    "makes a netlink socket": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "forks": lambda _: forked(),
    "forks a thousand times": lambda _: bomb(),
    "runs a shell": lambda _: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
    "spawns a shell": lambda _: print(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 0"], {})),
    "kills the parent": lambda _: os.kill(os.getppid(), signal.SIGTERM),
    "kills everybody": lambda _: os.kill(-1, 0),
    "traces the parent": lambda _: call(101, 117, 16, os.getppid(), 0, 0),
    "reads the parent's memory": lambda _: call(310, 270, os.getppid(), 0, 0, 0, 0, 0),
    "makes a namespace of its own": lambda _: call(272, 97, 0x10000000),
    "mounts": lambda _: call(165, 40, 0, 0, 0, 0, 0),
    "uses io_uring": lambda _: call(425, 425, 8, 0),
    "loads a BPF program": lambda _: call(321, 280, 5, 0, 0),
    "becomes root": lambda _: os.setuid(0),
    "writes a file": written,
    "writes to /tmp": lambda _: opened("/tmp/lesion-escape", os.O_CREAT | os.O_WRONLY),
    "links to what it may not read": linked,
    "makes a file executable": lambda _: os.chmod(1, 0o777),
    "opens its report anew": lambda _: reopened(),
    "outlives its parent": lambda _: freed_from_parent(),
    "raises its own memory limit": lambda _: more_memory(),
    "floods its report": lambda _: ten_gigabytes(),
    "takes 100 GiB of memory": lambda _: much_memory(),
    "opens another's graphics card": lambda _: opened("/dev/nvidia0", os.O_RDWR),
    "never ends": lambda _: never_ending(),
}


def main() -> None:
    """Try what the question names."""
    socket_number, parent, memory_bytes, file_bytes, device = sys.argv[1:]
    if os.getuid() == 0:  # root's powers would prove nothing
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    walls.die_with_parent(int(parent))
    walls.raise_walls(int(memory_bytes), int(file_bytes), device)
    with socket.socket(fileno=int(socket_number)) as to_parent:
        asked, _, _ = frames.receive(to_parent, 0, 0)
        frames.send(to_parent, {"found": _outcome(ATTEMPTS[asked["do"]], asked["given"])}, [])


def _outcome(attempt: Callable[[str], object], given: str) -> dict[str, str]:
    try:
        attempt(given)
    except (OSError, MemoryError, ValueError) as error:
        return {"stopped": repr(error)}
    return {"escaped": f"uid {os.getuid()}"}


if __name__ == "__main__":
    main()
