"""What a tenant may have at once. Asked within the transaction that adds to it: many callers cannot overdraw."""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service import problems
from service.store.tables import KEPT, UNENDED, ArtifactRow, EvaluationRow, TenantRow

AT_ONCE = 500  # evaluations that may be under way together, in transactions that are not committed yet
LATER = {"Retry-After": "30"}

_some = select(EvaluationRow.id).where(EvaluationRow.tenant == bindparam("tenant"), EvaluationRow.state.in_(UNENDED))
_UNENDED = select(func.count()).select_from(_some.limit(bindparam("most")).subquery())


@dataclass(frozen=True)
class Allowed:
    """What applies where a tenant has no quota of its own, and whether the queue of all tenants is full."""

    evaluations: int
    queue_full: bool = False


class Room:
    """How many evaluations more a tenant may have, within one transaction.

    The tenant's row is locked only near the limit: there, one caller after the other counts.
    """

    def __init__(self, db: Session, tenant: str, allowed: Allowed) -> None:
        self._full = allowed.queue_full
        if self._full:
            return
        self._most = _own(db, tenant, TenantRow.max_evaluations, allowed.evaluations)
        self._left = self._most - _unended(db, tenant, self._most)
        if self._left < AT_ONCE:
            _lock(db, tenant)
            self._left = self._most - _unended(db, tenant, self._most)

    def take(self) -> None:
        """Use the place of one; raises `QueueFull` or `QuotaExceeded` if there is none."""
        if self._full:
            raise problems.QueueFull("Too many evaluations are queued. Try again later.", headers=LATER)
        if self._left <= 0:
            raise problems.QuotaExceeded(
                f"{self._most:,} evaluations are queued or running, as many as this tenant may have. Wait for one to "
                "end, or cancel one with DELETE /v1/evaluations/{id}.",
                headers=LATER,
            )
        self._left -= 1


def check_bytes(db: Session, tenant: str, size: int, default: int) -> None:
    """Raise `QuotaExceeded` if so many bytes more are too many. Those of the upload itself are not entered yet.

    One upload of a tenant after the other, from here until its bytes are stored and its transaction ends.
    """
    _lock(db, tenant)
    most = _own(db, tenant, TenantRow.max_bytes, default)
    stored = _stored(db, tenant)
    if stored + size > most:
        raise problems.QuotaExceeded(
            f"The upload has {size:,} bytes; {stored:,} of the {most:,} that this tenant may have are stored. Delete "
            "what is no longer needed, or ask whoever runs the service for more."
        )


def queued(db: Session) -> int:
    """How many evaluations wait, of all tenants."""
    return db.scalar(select(func.count()).where(EvaluationRow.state == "queued")) or 0


def _own(db: Session, tenant: str, column: InstrumentedAttribute[int | None], default: int) -> int:
    own = db.connection().execute(select(column).where(TenantRow.id == tenant)).scalar_one_or_none()
    return default if own is None else own


def _stored(db: Session, tenant: str) -> int:
    kept = select(func.coalesce(func.sum(ArtifactRow.size), 0))
    return db.scalar(kept.where(ArtifactRow.tenant == tenant, ArtifactRow.state.in_(KEPT))) or 0


def _unended(db: Session, tenant: str, most: int) -> int:
    """Queued and running, counted up to the limit."""
    return int(db.connection().execute(_UNENDED, {"tenant": tenant, "most": most}).scalar_one())


def _lock(db: Session, tenant: str) -> None:
    """Not against those who only refer to the tenant: so artifacts and keys can be entered meanwhile."""
    db.execute(select(TenantRow.id).where(TenantRow.id == tenant).with_for_update(key_share=True))
