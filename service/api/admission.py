"""So many requests at once, and no more: who comes on top is sent away at once, and what is under way stays quick.

Only those count that want the processor or the database now: who waits for an evaluation or sends a body stands aside.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

from service import problems

READS = 128  # at once; each takes a fraction of a millisecond
WRITES = 32  # at once; each takes its turn at the database, for milliseconds
READING = ("GET", "HEAD", "OPTIONS")
ALIVE = "/healthz"
BUSY = problems.Busy("The service has more to do than it can. Send the request again in a second.").json()
REFUSAL = {"content-type": problems.MEDIA, "content-length": str(len(BUSY)), "retry-after": "1"}


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


class Crowds:
    """All requests that are being served, reads and writes apart."""

    def __init__(self, reads: int = READS, writes: int = WRITES) -> None:
        self.reads, self.writes = Crowd(reads), Crowd(writes)

    def of(self, method: str) -> Crowd:
        """Those that a request of this method comes to."""
        return self.reads if method in READING else self.writes

    def full(self, method: str, path: str) -> bool:
        """Would one more be too much?"""
        crowd = self.of(method)
        return crowd.inside >= crowd.most and path != ALIVE


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

    def __init__(self, app: ASGIApp, crowds: Crowds) -> None:
        self._app, self._crowds = app, crowds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] == ALIVE:
            await self._app(scope, receive, send)
            return
        if self._crowds.full(scope["method"], scope["path"]):
            await _refuse(send)
            return
        crowd = self._crowds.of(scope["method"])
        place = _Place(crowd)
        place.enter()
        _place.set(place)
        try:
            await self._app(scope, receive, send)
        finally:
            place.leave()
            place.served = True


async def _refuse(send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in REFUSAL.items()]
    await send({"type": "http.response.start", "status": problems.Busy.status, "headers": headers})
    await send({"type": "http.response.body", "body": BUSY})
