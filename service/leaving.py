"""The server's beginning and end: what was loaded is searched for garbage no more; who waits when it is told to stop
is answered at once, and may ask another process."""

import gc
import socket
import threading
from types import FrameType

import uvicorn

GARBAGE = (10_000, 20, 20)  # new objects until the collector looks at them, and how often it looks at older ones

_told = threading.Event()  # one a process, as its signals are


def begun() -> bool:
    """Was this process told to stop? Then nothing may be waited for any more."""
    return _told.is_set()


class Server(uvicorn.Server):
    """uvicorn, which lets requests end before it ends itself, but would answer those that take long with a 500."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """All is loaded and listens. What there is stays for good: to look through it again and again is a fifth of
        the time that a request takes."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or Ctrl-C."""
        _told.set()
        super().handle_exit(sig, frame)
