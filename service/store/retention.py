"""What is deleted for good: ended evaluations with all that belongs to them, and what nobody needs any more.

Ages are seconds on the database's clock. Each call deletes a bounded lot, so that nobody waits long for the lock.
"""

from typing import Any

from sqlalchemy import delete, exists, select, tuple_
from sqlalchemy.orm import Session

from service import problems
from service.store import artifacts, evaluations
from service.store.artifacts import Kind
from service.store.session import clock
from service.store.tables import (
    KEPT,
    UNENDED,
    ArtifactRow,
    ChunkRow,
    ClaimRow,
    DeliveryRow,
    EvaluationRow,
    IdempotencyRow,
    UnitPageRow,
)

# Rows that are deleted with their evaluation.
BELONGINGS = (ChunkRow, UnitPageRow, ClaimRow, IdempotencyRow, DeliveryRow)


def forget(db: Session, tenant: str, evaluation: str) -> None:
    """Delete an ended evaluation and all that belongs to it. Raises `NotFound`, or `Conflict` if it has not ended."""
    evaluations.get(db, tenant, evaluation)
    if not drop(db, evaluation):
        raise problems.Conflict("The evaluation has not ended; cancel it first with DELETE /v1/evaluations/ID.")


def drop(db: Session, evaluation: str) -> bool:
    """Delete an evaluation and all that belongs to it, if it has ended. False if it has not, or is gone."""
    ended = (EvaluationRow.id == evaluation, EvaluationRow.state.not_in(UNENDED))
    if db.scalar(delete(EvaluationRow).where(*ended).returning(EvaluationRow.id)) is None:
        return False
    for table in BELONGINGS:
        db.execute(delete(table).where(table.evaluation == evaluation))
    return True


def forget_evaluations(db: Session, age: float, limit: int) -> int:
    """Delete evaluations that ended longer ago than `age`, oldest first. Returns how many."""
    old = select(EvaluationRow.id).where(EvaluationRow.ended_at < clock() - age)
    lot = list(db.scalars(old.order_by(EvaluationRow.ended_at).limit(limit).with_for_update(skip_locked=True)))
    return sum(drop(db, evaluation) for evaluation in lot)


def unused(db: Session, age: float, limit: int) -> list[tuple[str, Kind, str]]:
    """Artifacts that nobody uploaded or asked about for so long, and that no unended evaluation uses."""
    in_use = exists().where(artifacts.users(), EvaluationRow.state.in_(UNENDED))
    is_old = (ArtifactRow.state.in_(KEPT), ArtifactRow.used_at < clock() - age)
    return _artifacts(db, *is_old, ~in_use, limit=limit)


def dying(db: Session, limit: int) -> list[tuple[str, Kind, str]]:
    """Artifacts whose deleting was broken off half way."""
    return _artifacts(db, ArtifactRow.state == "deleting", limit=limit)


def _artifacts(db: Session, *conditions: Any, limit: int) -> list[tuple[str, Kind, str]]:
    rows = select(ArtifactRow.tenant, ArtifactRow.kind, ArtifactRow.digest).where(*conditions)
    return [tuple(row) for row in db.execute(rows.order_by(ArtifactRow.used_at).limit(limit))]  # type: ignore[misc]


def forget_refused(db: Session, age: float, limit: int) -> int:
    """Delete the rows of refusals older than `age`, and of deleted artifacts, that no evaluation refers to."""
    over = (ArtifactRow.state == "deleted") | (
        (ArtifactRow.state == "refused") & (ArtifactRow.created_at < clock() - age)
    )
    key = (ArtifactRow.tenant, ArtifactRow.kind, ArtifactRow.digest)
    lot = select(*key).where(over, ~exists().where(artifacts.users())).limit(limit).with_for_update(skip_locked=True)
    return len(db.execute(delete(ArtifactRow).where(over, tuple_(*key).in_(lot)).returning(ArtifactRow.digest)).all())


def forget_keys(db: Session, age: float, limit: int) -> int:
    """Delete Idempotency-Keys older than `age`; the same key then makes a new evaluation."""
    key = (IdempotencyRow.tenant, IdempotencyRow.key)
    lot = select(*key).where(IdempotencyRow.created_at < clock() - age).limit(limit)
    return len(db.execute(delete(IdempotencyRow).where(tuple_(*key).in_(lot)).returning(IdempotencyRow.key)).all())


def forget_claims(db: Session, age: float) -> int:
    """Delete claims whose lease ran out longer ago than `age`: nobody came after them."""
    stale = delete(ClaimRow).where(ClaimRow.lease_until < clock() - age)
    return len(db.execute(stale.returning(ClaimRow.epoch)).all())
