"""Reads of single evaluations, many at once: while one batch is read, the next one gathers.

One thread and one transaction for each were most of what a read cost; the more is asked, the less each costs now.
"""

import asyncio

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Engine

from service.api.shown import Showing, Shown
from service.store import evaluations, listing
from service.store.session import reading

BATCH = 100  # rows of one query

Asked = tuple[str, str]  # tenant, id


class Looks:
    """What is wanted next, and whether somebody is reading already. Belongs to one event loop."""

    def __init__(self, engine: Engine, showing: Showing) -> None:
        self._engine, self._showing = engine, showing
        self._wanted: dict[Asked, asyncio.Future[Shown | Exception]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._thread = CapacityLimiter(1)  # of our own: reads need not wait for those who write

    async def look(self, tenant: str, evaluation: str) -> Shown:
        """An evaluation as it is now; raises `NotFound`."""
        asked = (tenant, evaluation)
        place = self._wanted.get(asked)
        if place is None:
            place = self._wanted[asked] = asyncio.get_running_loop().create_future()
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_all())
        found = await asyncio.shield(place)  # others may wait at the same place
        if isinstance(found, Exception):
            raise found
        return found

    async def _read_all(self) -> None:
        try:
            while self._wanted:
                batch = {asked: self._wanted.pop(asked) for asked in list(self._wanted)[:BATCH]}
                found: dict[Asked, Shown] | Exception
                try:
                    found = await to_thread.run_sync(self._read, list(batch), limiter=self._thread)
                except Exception as error:  # whatever it is belongs to those who wait for the answer
                    found = error
                for asked, place in batch.items():
                    answer = found if isinstance(found, Exception) else found.get(asked)
                    place.set_result(evaluations.missing(asked[1]) if answer is None else answer)
        finally:
            self._reader = None

    def _read(self, batch: list[Asked]) -> dict[Asked, Shown]:
        with reading(self._engine) as db:
            rows = listing.several(db, batch)
        return {asked: self._showing.show(row) for asked, row in rows.items()}
