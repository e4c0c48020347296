"""Models and datasets by tenant and digest: received, then inspected by a worker, then ready, or refused and gone."""

import json
from typing import Any, Literal

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from service import schemas
from service.store import quotas
from service.store.session import clock
from service.store.tables import ArtifactRow, EvaluationRow

Kind = Literal["model", "dataset"]
KINDS: tuple[Kind, ...] = ("model", "dataset")
INSPECTIONS = 3  # a file whose inspection crashes so often is refused


def receive(db: Session, tenant: str, kind: Kind, digest: str, size: int, quota: int | None = None) -> bool:
    """Enter an upload. True if it is new: the caller then stores the bytes before this transaction ends.

    Raises `QuotaExceeded` if the tenant would store more than it may, which is `quota` unless it has one of its own.
    Storing them inside is what keeps row and bytes together: whoever removes or adds the same artifact at the same
    moment waits at the row.
    """
    fresh = {"state": "received", "problem": None, "attempts": 0, "created_at": clock(), "hinted_at": clock()}
    known = find(db, tenant, kind, digest)
    if quota is not None and (known is None or known.state == "refused"):
        quotas.check_bytes(db, tenant, size, quota)
    try:
        with db.begin_nested():
            db.execute(insert(ArtifactRow).values(tenant=tenant, kind=kind, digest=digest, size=size, **fresh))
    except IntegrityError:
        again = update(ArtifactRow).where(_is(tenant, kind, digest), ArtifactRow.state == "refused")
        tried_again = db.execute(again.values(**fresh).returning(ArtifactRow.digest))
        return tried_again.scalar() is not None  # its bytes were deleted when it was refused
    return True


def find(db: Session, tenant: str, kind: Kind, digest: str) -> ArtifactRow | None:
    """One artifact of a tenant, or None."""
    return db.get(ArtifactRow, (tenant, kind, digest), populate_existing=True)


def page(db: Session, tenant: str, kind: Kind, limit: int, before: tuple[float, str] | None) -> list[ArtifactRow]:
    """Up to `limit` artifacts that are not refused, newest first, after the (created_at, digest) of the last page."""
    rows = select(ArtifactRow).where(
        ArtifactRow.tenant == tenant, ArtifactRow.kind == kind, ArtifactRow.state != "refused"
    )
    if before is not None:
        created_at, digest = before
        rows = rows.where(
            (ArtifactRow.created_at < created_at)
            | ((ArtifactRow.created_at == created_at) & (ArtifactRow.digest < digest))
        )
    return list(db.scalars(rows.order_by(ArtifactRow.created_at.desc(), ArtifactRow.digest.desc()).limit(limit)))


def begin_inspection(db: Session, tenant: str, kind: Kind, digest: str) -> int | None:
    """Count one more try at inspecting. Returns which try it is, or None if there is nothing to inspect."""
    return db.scalar(
        update(ArtifactRow)
        .where(_is(tenant, kind, digest), ArtifactRow.state == "received")
        .values(attempts=ArtifactRow.attempts + 1, hinted_at=clock())
        .returning(ArtifactRow.attempts)
    )


def accept(db: Session, tenant: str, kind: Kind, digest: str, found: dict[str, Any]) -> None:
    """The artifact is sound; keep what was found in it."""
    _conclude(db, tenant, kind, digest, state="ready", found=schemas.canonical(found))


def refuse(db: Session, tenant: str, kind: Kind, digest: str, problem: dict[str, Any]) -> None:
    """The artifact is no good. The row stays a while as the answer; the caller deletes the bytes."""
    _conclude(db, tenant, kind, digest, state="refused", problem=schemas.canonical(problem))


def _conclude(db: Session, tenant: str, kind: Kind, digest: str, **values: Any) -> None:
    db.execute(update(ArtifactRow).where(_is(tenant, kind, digest), ArtifactRow.state == "received").values(**values))


def _is(tenant: str, kind: Kind, digest: str) -> ColumnElement[bool]:
    return (ArtifactRow.tenant == tenant) & (ArtifactRow.kind == kind) & (ArtifactRow.digest == digest)


def remove(db: Session, tenant: str, kind: Kind, digest: str) -> bool:
    """Forget an artifact that no evaluation uses. True if it is gone; the caller then deletes the bytes."""
    column = EvaluationRow.model if kind == "model" else EvaluationRow.dataset
    used = exists().where(EvaluationRow.tenant == tenant, column == digest)
    gone = delete(ArtifactRow).where(_is(tenant, kind, digest), ~used)
    return bool(db.execute(gone.returning(ArtifactRow.digest)).scalar())


def uninspected(db: Session, patience: float, limit: int) -> list[tuple[str, Kind, str]]:
    """Artifacts whose last hint is older than `patience` seconds; the hint counts as repeated from now."""
    due = (
        select(ArtifactRow.tenant, ArtifactRow.kind, ArtifactRow.digest)
        .where(ArtifactRow.state == "received", ArtifactRow.hinted_at < clock() - patience)
        .order_by(ArtifactRow.hinted_at)
        .limit(limit)
    )
    found: list[tuple[str, Kind, str]] = [tuple(row) for row in db.execute(due)]  # type: ignore[misc]
    for tenant, kind, digest in found:
        db.execute(update(ArtifactRow).where(_is(tenant, kind, digest)).values(hinted_at=clock()))
    return found


def forget_refused(db: Session, age: float) -> int:
    """Delete the rows of refusals older than `age` seconds that no evaluation refers to. Returns how many."""
    used = (
        exists()
        .where(EvaluationRow.tenant == ArtifactRow.tenant)
        .where(
            ((EvaluationRow.model == ArtifactRow.digest) & (ArtifactRow.kind == "model"))
            | ((EvaluationRow.dataset == ArtifactRow.digest) & (ArtifactRow.kind == "dataset"))
        )
    )
    old = delete(ArtifactRow).where(ArtifactRow.state == "refused", ArtifactRow.created_at < clock() - age, ~used)
    return len(db.execute(old.returning(ArtifactRow.digest)).all())


def found(row: ArtifactRow) -> dict[str, Any] | None:
    """What inspection found."""
    return None if row.found is None else json.loads(row.found)


def problem(row: ArtifactRow) -> dict[str, Any] | None:
    """Why the artifact was refused."""
    return None if row.problem is None else json.loads(row.problem)
