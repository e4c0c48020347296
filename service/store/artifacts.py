"""Models and datasets by tenant and digest.

    received ── accept ──> ready
       │ └────── refuse ─────────> refused      the row is the answer for a while; the bytes go at once
       └── dismiss ─┴── dismiss ─> deleting ── bury ──> deleted, or no row at all

Of what is deleted the row stays while ended evaluations refer to it, without its bytes. Whatever has become of an
artifact, uploading its bytes again makes it `received`.
"""

import json
from collections.abc import Collection
from typing import Any, Literal

from sqlalchemy import bindparam, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from service import problems, schemas
from service.store import quotas
from service.store.session import clock
from service.store.tables import KEPT, UNENDED, ArtifactRow, EvaluationRow

Kind = Literal["model", "dataset"]
KINDS: tuple[Kind, ...] = ("model", "dataset")
DELETED = ("deleting", "deleted")
INSPECTIONS = 3  # tries; a file whose inspection crashes, or takes its worker along, so often is refused
GRAIN = 3_600.0  # seconds to which it is known when an artifact was last used

Place = tuple[str, Kind, str]  # tenant, kind, digest

_columns = (ArtifactRow.tenant, ArtifactRow.kind, ArtifactRow.digest)
_wanted = (
    ArtifactRow.tenant.in_(bindparam("tenants", expanding=True)),
    ArtifactRow.kind.in_(KINDS),
    ArtifactRow.digest.in_(bindparam("digests", expanding=True)),
    ArtifactRow.state.in_(KEPT),
)
_HELD = select(*_columns, ArtifactRow.found).where(*_wanted).with_for_update(read=True)
_LONG_UNUSED = select(*_columns).where(*_wanted, ArtifactRow.used_at < clock() - GRAIN).order_by(*_columns)


def receive(db: Session, tenant: str, kind: Kind, digest: str, size: int, quota: int | None = None) -> bool:
    """Enter an upload. True if it is new: the caller then stores the bytes before this transaction ends.

    Raises `QuotaExceeded` if the tenant would store more than it may, which is `quota` unless it has one of its own.
    Storing them inside is what keeps row and bytes together: whoever removes or adds the same artifact at the same
    moment waits at the row.
    """
    now = {"created_at": clock(), "hinted_at": clock(), "used_at": clock()}
    fresh = {"state": "received", "found": None, "problem": None, "attempts": 0, "lease_until": None, **now}
    known = find(db, tenant, kind, digest)
    if quota is not None and (known is None or known.state == "refused"):
        quotas.check_bytes(db, tenant, size, quota)
    try:
        with db.begin_nested():
            db.execute(insert(ArtifactRow).values(tenant=tenant, kind=kind, digest=digest, size=size, **fresh))
    except IntegrityError:
        again = update(ArtifactRow).where(_is(tenant, kind, digest), ArtifactRow.state.not_in(KEPT))
        if db.execute(again.values(**fresh).returning(ArtifactRow.digest)).scalar() is not None:
            return True  # its bytes are gone, or about to go
        db.execute(update(ArtifactRow).where(_is(tenant, kind, digest)).values(used_at=clock()))
        return False
    return True


def find(db: Session, tenant: str, kind: Kind, digest: str) -> ArtifactRow | None:
    """One artifact of a tenant, or None; a deleted one is none."""
    row = db.get(ArtifactRow, (tenant, kind, digest), populate_existing=True)
    return None if row is None or row.state in DELETED else row


def page(db: Session, tenant: str, kind: Kind, limit: int, before: tuple[float, str] | None) -> list[ArtifactRow]:
    """Up to `limit` artifacts that are kept, newest first, after the (created_at, digest) of the last page."""
    rows = select(ArtifactRow).where(
        ArtifactRow.tenant == tenant, ArtifactRow.kind == kind, ArtifactRow.state.in_(KEPT)
    )
    if before is not None:
        created_at, digest = before
        rows = rows.where(
            (ArtifactRow.created_at < created_at)
            | ((ArtifactRow.created_at == created_at) & (ArtifactRow.digest < digest))
        )
    return list(db.scalars(rows.order_by(ArtifactRow.created_at.desc(), ArtifactRow.digest.desc()).limit(limit)))


def begin_inspection(
    db: Session, tenant: str, kind: Kind, digest: str, lease: float = 0.0, held: int | None = None
) -> int | None:
    """Count one more try at inspecting, for `lease` seconds. Returns which try it is; None: there is nothing to do.

    Somebody else may be at it: then there is nothing to do either, until the lease has run out. Who goes on after its
    own try says which it `held`.
    """
    free = ArtifactRow.lease_until.is_(None) | (ArtifactRow.lease_until <= clock())
    return db.scalar(
        update(ArtifactRow)
        .where(
            _is(tenant, kind, digest),
            ArtifactRow.state == "received",
            free if held is None else ArtifactRow.attempts == held,
        )
        .values(attempts=ArtifactRow.attempts + 1, hinted_at=clock(), lease_until=clock() + lease)
        .returning(ArtifactRow.attempts)
    )


def keep_inspecting(db: Session, tenant: str, kind: Kind, digest: str, held: int, lease: float) -> None:
    """Renew the lease of a try, if it is still that one."""
    mine = (_is(tenant, kind, digest), ArtifactRow.state == "received", ArtifactRow.attempts == held)
    db.execute(update(ArtifactRow).where(*mine).values(lease_until=clock() + lease))


def leave_inspection(db: Session, tenant: str, kind: Kind, digest: str, held: int) -> None:
    """Give a try back that was hampered by something else than the file: it does not count."""
    mine = (_is(tenant, kind, digest), ArtifactRow.state == "received", ArtifactRow.attempts == held)
    db.execute(update(ArtifactRow).where(*mine).values(attempts=held - 1, lease_until=None))


def release_all(db: Session) -> None:
    """End the lease of every inspection. Only for who knows that no worker lives."""
    db.execute(update(ArtifactRow).where(ArtifactRow.state == "received").values(lease_until=None, hinted_at=0.0))


def accept(db: Session, tenant: str, kind: Kind, digest: str, found: dict[str, Any]) -> None:
    """The artifact is sound; keep what was found in it."""
    _conclude(db, tenant, kind, digest, state="ready", found=schemas.canonical(found))


def refuse(db: Session, tenant: str, kind: Kind, digest: str, problem: dict[str, Any]) -> bool:
    """The artifact is no good. The row stays a while as the answer; if it did become one, the caller deletes the bytes.

    It does not if it is ready, refused or deleted by now: then the bytes are somebody else's business.
    """
    return _conclude(db, tenant, kind, digest, state="refused", problem=schemas.canonical(problem))


def _conclude(db: Session, tenant: str, kind: Kind, digest: str, **values: Any) -> bool:
    received = (_is(tenant, kind, digest), ArtifactRow.state == "received")
    return db.scalar(update(ArtifactRow).where(*received).values(**values).returning(ArtifactRow.digest)) is not None


def _is(tenant: str, kind: Kind, digest: str) -> ColumnElement[bool]:
    return (ArtifactRow.tenant == tenant) & (ArtifactRow.kind == kind) & (ArtifactRow.digest == digest)


def users() -> ColumnElement[bool]:
    """Joins an artifact with the evaluations that refer to it."""
    of_kind = ((ArtifactRow.kind == "model") & (EvaluationRow.model == ArtifactRow.digest)) | (
        (ArtifactRow.kind == "dataset") & (EvaluationRow.dataset == ArtifactRow.digest)
    )
    return (EvaluationRow.tenant == ArtifactRow.tenant) & of_kind


def hold(db: Session, places: Collection[Place]) -> dict[Place, str | None]:
    """What was found in those uploads that evaluations may be made of. They stay until this transaction ends: who
    deletes one waits, and looks."""
    tenants, digests = {tenant for tenant, _, _ in places}, {digest for _, _, digest in places}
    wanted, connection = {"tenants": sorted(tenants), "digests": sorted(digests)}, db.connection()
    # Not at every use: those who ask about the same model at the same time would wait for each other.
    for place in connection.execute(_LONG_UNUSED, wanted).all():
        kept = (_is(*place), ArtifactRow.state.in_(KEPT))  # type: ignore[arg-type]
        db.execute(update(ArtifactRow).where(*kept, ArtifactRow.used_at < clock() - GRAIN).values(used_at=clock()))
    held = {(tenant, kind, digest): found for tenant, kind, digest, found in connection.execute(_HELD, wanted)}
    return {place: held[place] for place in places if place in held}  # not what only another tenant asked for


def dismiss(db: Session, tenant: str, kind: Kind, digest: str, unused: float | None = None) -> None:
    """Delete an artifact that no unended evaluation uses; `bury` it in the next transaction.

    `unused`: only if nobody uploaded or asked about it for so many seconds. Raises `NotFound`, or `Conflict` if it
    is in use.
    """
    there = [_is(tenant, kind, digest), ArtifactRow.state.not_in(DELETED)]
    if unused is not None:
        there.append(ArtifactRow.used_at < clock() - unused)
    if db.scalar(select(ArtifactRow.digest).where(*there).with_for_update()) is None:
        raise problems.NotFound(f"There is no {kind} {digest}; GET /v1/{kind}s lists those there are.")
    of_it = select(EvaluationRow.id).join(ArtifactRow, users()).where(_is(tenant, kind, digest))
    waiting = db.scalars(of_it.where(EvaluationRow.state.in_(UNENDED)).order_by(EvaluationRow.id).limit(3)).all()
    if waiting:
        raise problems.Conflict(
            f"The {kind} is in use by {', '.join(waiting)}. Wait for the end, or cancel with DELETE /v1/evaluations/ID."
        )
    gone = {"state": "deleting", "found": None, "problem": None}
    db.execute(update(ArtifactRow).where(_is(tenant, kind, digest)).values(**gone))


def bury(db: Session, tenant: str, kind: Kind, digest: str) -> bool:
    """The second step of deleting. True if the caller must delete the bytes before this transaction ends.

    Two steps, because bytes cannot be brought back by a rollback: whatever happens to the second, it is done again.
    """
    dying = (_is(tenant, kind, digest), ArtifactRow.state == "deleting")
    buried = update(ArtifactRow).where(*dying).values(state="deleted").returning(ArtifactRow.digest)
    if db.scalar(buried) is None:
        return False
    db.execute(delete(ArtifactRow).where(_is(tenant, kind, digest), ~exists().where(users())))
    return True


def remove(db: Session, tenant: str, kind: Kind, digest: str) -> bool:
    """Forget an artifact that no evaluation ever used. True if it is gone; the caller then deletes the bytes."""
    gone = delete(ArtifactRow).where(_is(tenant, kind, digest), ~exists().where(users()))
    return bool(db.execute(gone.returning(ArtifactRow.digest)).scalar())


def kept(db: Session, age: float) -> list[tuple[str, Kind, str]]:
    """All artifacts that are older than `age` and whose bytes should be there."""
    rows = select(ArtifactRow.tenant, ArtifactRow.kind, ArtifactRow.digest)
    old = rows.where(ArtifactRow.state.in_(KEPT), ArtifactRow.created_at < clock() - age)
    return [tuple(row) for row in db.execute(old)]  # type: ignore[misc]


def holds(db: Session, tenant: str, kind: Kind, digest: str, locked: bool = False) -> bool:
    """Should the bytes of this artifact be there? `locked`: and nobody deletes it until this transaction ends."""
    row = select(ArtifactRow.digest).where(_is(tenant, kind, digest), ArtifactRow.state.in_(KEPT))
    return db.scalar(row.with_for_update() if locked else row) is not None


def seize(db: Session, tenant: str, kind: Kind, digest: str) -> bool:
    """Hold the place of bytes that no artifact owns: no upload of them goes on until this transaction ends.

    False if an artifact owns them after all. Else the caller deletes the bytes, and then `bury`s the place.
    """
    now = {"created_at": clock(), "hinted_at": clock(), "used_at": clock()}
    values = {"tenant": tenant, "kind": kind, "digest": digest, "size": 0, "attempts": 0, "state": "deleting"}
    try:
        with db.begin_nested():
            db.execute(insert(ArtifactRow).values(**values, **now))
    except IntegrityError:
        nobodys = (_is(tenant, kind, digest), ArtifactRow.state.not_in(KEPT))
        return db.scalar(select(ArtifactRow.digest).where(*nobodys).with_for_update()) is not None
    return True


def uninspected(db: Session, patience: float, limit: int) -> list[tuple[str, Kind, str]]:
    """Artifacts that nobody inspects, last hinted at more than `patience` seconds ago; the hint counts from now."""
    due = (
        select(ArtifactRow.tenant, ArtifactRow.kind, ArtifactRow.digest)
        .where(
            ArtifactRow.state == "received",
            ArtifactRow.hinted_at < clock() - patience,
            ArtifactRow.lease_until.is_(None) | (ArtifactRow.lease_until <= clock()),
        )
        .order_by(ArtifactRow.hinted_at)
        .limit(limit)
    )
    found: list[tuple[str, Kind, str]] = [tuple(row) for row in db.execute(due)]  # type: ignore[misc]
    for tenant, kind, digest in found:
        db.execute(update(ArtifactRow).where(_is(tenant, kind, digest)).values(hinted_at=clock()))
    return found


def found(row: ArtifactRow) -> dict[str, Any] | None:
    """What inspection found."""
    return None if row.found is None else json.loads(row.found)


def problem(row: ArtifactRow) -> dict[str, Any] | None:
    """Why the artifact was refused."""
    return None if row.problem is None else json.loads(row.problem)
