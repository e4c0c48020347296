"""Reads of single evaluations, many at once."""

from collections.abc import Sequence

from sqlalchemy import Engine

from service.api.lots import Lots
from service.api.shown import Showing, Shown
from service.store import evaluations, listing
from service.store.listing import Asked
from service.store.session import reading

BATCH = 100  # rows of one query


class Looks:
    """Looks at evaluations. Belongs to one event loop."""

    def __init__(self, engine: Engine, showing: Showing) -> None:
        self._engine, self._showing = engine, showing
        self._lots: Lots[Asked, Shown] = Lots(self._read, BATCH)

    async def look(self, tenant: str, evaluation: str) -> Shown:
        """An evaluation as it is now; raises `NotFound`."""
        return await self._lots.ask((tenant, evaluation))

    def _read(self, lot: Sequence[Asked]) -> list[Shown | Exception]:
        with reading(self._engine) as db:
            seen = listing.several_changing(db, set(lot))
            shown = {asked: known for asked, now in seen.items() if (known := self._showing.remembered(now))}
            if new := seen.keys() - shown.keys():
                shown |= {asked: self._showing.show(row) for asked, row in listing.several(db, new).items()}
        return [shown.get(asked) or evaluations.missing(asked[1]) for asked in lot]
