"""A process that was told to stop: who waits for something is answered at once, and may ask another process."""

import threading
from types import FrameType

import uvicorn

_told = threading.Event()  # one a process, as its signals are


def begun() -> bool:
    """Was this process told to stop? Then nothing may be waited for any more."""
    return _told.is_set()


class Server(uvicorn.Server):
    """uvicorn, which lets requests end before it ends itself, but would answer those that take long with a 500."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or Ctrl-C."""
        _told.set()
        super().handle_exit(sig, frame)
