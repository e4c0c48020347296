"""Chunks: who computes which, and what came out. Every write carries the claim's epoch; a stale one is refused."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from service import schemas
from service.store.evaluations import NOBODY, Claim, ClaimLostError, writing
from service.store.session import clock
from service.store.tables import ChunkRow, ClaimRow

CRASHES = 3  # a chunk that crashes the child so often ends the evaluation
LOSSES = 5  # so does one over which so many workers were lost
LOOKAHEAD = 4  # chunks each worker may be ahead of the first gap; more would be thrown away at the stop


@dataclass(frozen=True)
class Held:
    """A chunk that this claim now computes, and how often others failed at it."""

    index: int
    crashes: int
    losses: int


def hold(db: Session, claim: Claim, first: int, end: int | None, workers: int) -> Held | None:
    """Take the lowest chunk from `first` on (and below `end`) that nobody has computed or holds.

    None if every chunk within reach is in other hands: look again later. Raises `ClaimLostError`.
    """
    writing(db, claim)
    # Every holder of this evaluation's chunks waits at `writing`, so nobody takes one of these rows meanwhile.
    rows = {row.index: row for row in _from(db, claim, first)}
    epochs = select(ClaimRow.epoch).where(
        ClaimRow.evaluation == claim.evaluation, ClaimRow.lease_until > clock(), ClaimRow.epoch != claim.epoch
    )
    others = set(db.scalars(epochs))
    reach = first + LOOKAHEAD * workers
    for index in range(first, reach if end is None else min(reach, end)):
        row = rows.get(index)
        if row is None:
            return _insert(db, claim, index)
        if row.payload is None and row.epoch not in others:
            return _take_over(db, claim, row)
    return None


def _from(db: Session, claim: Claim, first: int) -> list[ChunkRow]:
    rows = select(ChunkRow).where(ChunkRow.evaluation == claim.evaluation, ChunkRow.index >= first)
    return list(db.scalars(rows.order_by(ChunkRow.index), execution_options={"populate_existing": True}))


def _insert(db: Session, claim: Claim, index: int) -> Held:
    values = {"evaluation": claim.evaluation, "index": index, "epoch": claim.epoch, "crashes": 0, "losses": 0}
    db.execute(insert(ChunkRow).values(**values))
    return Held(index, 0, 0)


def _take_over(db: Session, claim: Claim, row: ChunkRow) -> Held:
    """Take a chunk whose holder is gone, or gave it back (or that this claim itself dropped when its child crashed)."""
    lost = 0 if row.epoch in (claim.epoch, NOBODY) else 1
    taken = update(ChunkRow).where(_is(claim, row.index)).values(epoch=claim.epoch, losses=ChunkRow.losses + lost)
    return Held(*db.execute(taken.returning(ChunkRow.index, ChunkRow.crashes, ChunkRow.losses)).one())


def add_chunk(db: Session, claim: Claim, index: int, payload: dict[str, Any]) -> None:
    """Store what a chunk gave; raises `ClaimLostError` if the epoch is stale. A stored chunk never changes."""
    writing(db, claim)
    stored = db.execute(
        update(ChunkRow)
        .where(_is(claim, index), ChunkRow.epoch == claim.epoch, ChunkRow.payload.is_(None))
        .values(payload=schemas.canonical(payload))
        .returning(ChunkRow.index)
    )
    if stored.scalar() is None:
        raise ClaimLostError


def crashed(db: Session, claim: Claim, index: int) -> int:
    """Count a crash of the child at a chunk; returns how many there were. Raises `ClaimLostError`."""
    writing(db, claim)
    crashes = db.execute(
        update(ChunkRow)
        .where(_is(claim, index), ChunkRow.epoch == claim.epoch, ChunkRow.payload.is_(None))
        .values(crashes=ChunkRow.crashes + 1)
        .returning(ChunkRow.crashes)
    ).scalar()
    if crashes is None:
        raise ClaimLostError
    return crashes


def computed(db: Session, claim: Claim, first: int) -> dict[int, str]:
    """Payloads of all computed chunks from `first` on, by index."""
    rows = _from(db, claim, first)
    return {row.index: row.payload for row in rows if row.payload is not None}


def stored(db: Session, evaluation: str) -> list[str]:
    """The payloads of an evaluation's chunks in order, from chunk 0 up to the first gap."""
    rows = select(ChunkRow.index, ChunkRow.payload).where(ChunkRow.evaluation == evaluation)
    found: list[str] = []
    for index, payload in db.execute(rows.order_by(ChunkRow.index)):
        if index != len(found) or payload is None:
            break
        found.append(payload)
    return found


def _is(claim: Claim, index: int) -> Any:
    return (ChunkRow.evaluation == claim.evaluation) & (ChunkRow.index == index)
