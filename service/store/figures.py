"""What there is of everything, of all tenants together: for who watches the service. Counts only, never whose."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from service.store.session import clock
from service.store.tables import ArtifactRow, ClaimRow, DeliveryRow, EvaluationRow


@dataclass(frozen=True)
class Figures:
    """The figures of one moment."""

    evaluations: dict[str, int]  # by state
    oldest_queued: float  # seconds; 0 where nothing waits
    working: int  # claims whose lease lasts
    uploads: dict[tuple[str, str], tuple[int, int]]  # by kind and state: how many, and their bytes
    deliveries: dict[str, int]  # of webhooks, by state


def now(db: Session) -> Figures:
    """Count."""
    states = db.execute(select(EvaluationRow.state, func.count()).group_by(EvaluationRow.state)).all()
    oldest = db.scalar(select(clock() - func.min(EvaluationRow.created_at)).where(EvaluationRow.state == "queued"))
    working = db.scalar(select(func.count()).select_from(ClaimRow).where(ClaimRow.lease_until > clock()))
    sums = select(ArtifactRow.kind, ArtifactRow.state, func.count(), func.coalesce(func.sum(ArtifactRow.size), 0))
    uploads = db.execute(sums.group_by(ArtifactRow.kind, ArtifactRow.state)).all()
    sent = db.execute(select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)).all()
    return Figures(
        evaluations=_counts(states),
        oldest_queued=max(0.0, oldest or 0.0),
        working=working or 0,
        uploads={(kind, state): (count, int(size)) for kind, state, count, size in uploads},
        deliveries=_counts(sent),
    )


def _counts(rows: Sequence[Row[str, int]]) -> dict[str, int]:
    return {state: count for state, count in rows}  # noqa: C416 - a row is a tuple to mypy only once it is unpacked
