"""The child's side of the self-test: behind the walls, it tries what none may do, and says what it could.

`python -P -m worker.sandbox.probe FD PARENT MEMORY_BYTES FILE_BYTES DEVICE`
"""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing

from worker.sandbox import frames, walls


def _read() -> None:
    with open("/etc/passwd"):
        pass


def _look_around() -> None:
    os.listdir("/")


def _call_out() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)):
        pass


def _call_next_door() -> None:
    with closing(socket.socket(socket.AF_UNIX)):
        pass


def _multiply() -> None:
    if os.fork() == 0:
        os._exit(0)


def _run() -> None:
    os.posix_spawn("/bin/true", ["true"], {})


def _signal() -> None:
    os.kill(int(sys.argv[2]), 0)


TRIED: dict[str, Callable[[], None]] = {
    "reads files of the machine": _read,
    "lists folders of the machine": _look_around,
    "opens network sockets": _call_out,
    "opens local sockets": _call_next_door,
    "starts processes": _multiply,
    "runs programs": _run,
    "sends signals to the worker": _signal,
}


def main() -> None:
    """Answer each question with what the walls let through."""
    socket_number, parent, memory_bytes, file_bytes, device = sys.argv[1:]
    walls.die_with_parent(int(parent))
    walls.raise_walls(int(memory_bytes), int(file_bytes), device)
    with socket.socket(fileno=int(socket_number)) as to_parent:
        frames.receive(to_parent, 0)
        frames.send(to_parent, {"found": {"leaks": [name for name, attempt in TRIED.items() if _could(attempt)]}}, [])


def _could(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
