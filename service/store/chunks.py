"""Chunks: who computes which, and what came out. Every write carries the claim's epoch; a stale one is refused."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import schemas
from service.store.evaluations import Claim, ClaimLostError, live
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
    if db.scalar(select(live(claim))) is not True:
        raise ClaimLostError
    rows = {row.index: row for row in _from(db, claim, first)}
    epochs = select(ClaimRow.epoch).where(
        ClaimRow.evaluation == claim.evaluation, ClaimRow.lease_until > clock(), ClaimRow.epoch != claim.epoch
    )
    others = set(db.scalars(epochs))
    reach = first + LOOKAHEAD * workers
    for index in range(first, reach if end is None else min(reach, end)):
        row = rows.get(index)
        if row is None:
            if _insert(db, claim, index):
                return Held(index, 0, 0)
        elif row.payload is None and row.epoch not in others:
            return _take_over(db, claim, row)
    return None


def _from(db: Session, claim: Claim, first: int) -> list[ChunkRow]:
    rows = select(ChunkRow).where(ChunkRow.evaluation == claim.evaluation, ChunkRow.index >= first)
    return list(db.scalars(rows.order_by(ChunkRow.index), execution_options={"populate_existing": True}))


def _insert(db: Session, claim: Claim, index: int) -> bool:
    """Enter a chunk as held; False if another worker was faster (PostgreSQL; SQLite has one writer)."""
    values = {"evaluation": claim.evaluation, "index": index, "epoch": claim.epoch, "crashes": 0, "losses": 0}
    try:
        with db.begin_nested():
            db.execute(insert(ChunkRow).values(**values))
    except IntegrityError:
        return False
    return True


def _take_over(db: Session, claim: Claim, row: ChunkRow) -> Held | None:
    """Take a chunk whose holder is gone (or that this claim itself dropped when its child crashed)."""
    lost = 0 if row.epoch == claim.epoch else 1
    taken = db.execute(
        update(ChunkRow)
        .where(_is(claim, row.index), ChunkRow.epoch == row.epoch, ChunkRow.payload.is_(None))
        .values(epoch=claim.epoch, losses=ChunkRow.losses + lost)
        .returning(ChunkRow.index, ChunkRow.crashes, ChunkRow.losses)
    ).one_or_none()
    return None if taken is None else Held(*taken)


def add_chunk(db: Session, claim: Claim, index: int, payload: dict[str, Any]) -> None:
    """Store what a chunk gave; raises `ClaimLostError` if the epoch is stale. A stored chunk never changes."""
    stored = db.execute(
        update(ChunkRow)
        .where(_is(claim, index), ChunkRow.epoch == claim.epoch, ChunkRow.payload.is_(None), live(claim))
        .values(payload=schemas.canonical(payload))
        .returning(ChunkRow.index)
    )
    if stored.scalar() is None:
        raise ClaimLostError


def crashed(db: Session, claim: Claim, index: int) -> int:
    """Count a crash of the child at a chunk; returns how many there were. Raises `ClaimLostError`."""
    crashes = db.execute(
        update(ChunkRow)
        .where(_is(claim, index), ChunkRow.epoch == claim.epoch, live(claim))
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


def _is(claim: Claim, index: int) -> Any:
    return (ChunkRow.evaluation == claim.evaluation) & (ChunkRow.index == index)
