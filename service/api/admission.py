"""So many requests at once, and no more: who comes on top is sent away at once, and what is under way stays quick.

Only those count that want the processor or the database now: who waits for an evaluation or sends a body stands aside.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

from service import problems

READS = 128  # at once; each takes a fraction of a millisecond
WRITES = 32  # at once; each takes its turn at the database, for milliseconds
READING = ("GET", "HEAD", "OPTIONS")
AGAIN = "1"  # seconds
BUSY = json.dumps(
    problems.Busy("The service has more to do than it can. Send the request again in a second.").body()
).encode()


class _Place:
    """What one request holds while it is served."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd, self.inside, self.served = crowd, False, False

    def enter(self) -> None:
        if not self.served:  # a stream may be closed long after its request
            self.inside = True
            self.crowd.inside += 1

    def leave(self) -> None:
        if self.inside:
            self.inside = False
            self.crowd.inside -= 1


class Crowd:
    """The requests of one kind that are being served."""

    def __init__(self, most: int) -> None:
        self.most, self.inside = most, 0


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


@contextmanager
def aside() -> Iterator[None]:
    """For as long as a request only waits, others may have its place."""
    place = _place.get()
    if place is None or not place.inside:
        yield
        return
    place.leave()
    try:
        yield
    finally:
        place.enter()


class Admission:
    """Turns away what is too much. The answers to `/healthz` are never too much."""

    def __init__(self, app: ASGIApp, reads: int = READS, writes: int = WRITES) -> None:
        self._app = app
        self._reads, self._writes = Crowd(reads), Crowd(writes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] == "/healthz":
            await self._app(scope, receive, send)
            return
        crowd = self._reads if scope["method"] in READING else self._writes
        if crowd.inside >= crowd.most:
            await _refuse(send)
            return
        place = _Place(crowd)
        place.enter()
        _place.set(place)
        try:
            await self._app(scope, receive, send)
        finally:
            place.leave()
            place.served = True


async def _refuse(send: Send) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(BUSY)).encode()),
        (b"retry-after", AGAIN.encode()),
    ]
    await send({"type": "http.response.start", "status": problems.Busy.status, "headers": headers})
    await send({"type": "http.response.body", "body": BUSY})
