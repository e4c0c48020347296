"""Gates' rules under a name: versions that never change, the newest in force until the policy is retired.

A retired policy has a last version without rules. So its numbers go on where they ended if it comes back, and
NAME@VERSION means the same rules for ever.
"""

from sqlalchemy import and_, func, insert, select
from sqlalchemy.orm import Session

from service import problems
from service.store.session import clock
from service.store.tables import PolicyRow, TenantRow

MOST = 200  # policies of one tenant
MOST_VERSIONS = 1_000  # of one policy


def put(db: Session, tenant: str, name: str, rules: str, note: str) -> tuple[PolicyRow, bool]:
    """Let a policy have these rules. Returns its newest version, and whether that is new: the same rules make none.

    Raises `Conflict` if there are too many.
    """
    newest = _newest(db, tenant, name, lock=True)
    if newest is not None and newest.rules == rules:
        return newest, False
    if newest is None and len(set(db.scalars(select(PolicyRow.name).where(PolicyRow.tenant == tenant)))) >= MOST:
        raise problems.Conflict(f"There are {MOST} policies already, the most there may be.")
    return _add(db, tenant, name, newest, rules, note), True


def _add(db: Session, tenant: str, name: str, newest: PolicyRow | None, rules: str | None, note: str) -> PolicyRow:
    version = 1 if newest is None else newest.version + 1
    if version > MOST_VERSIONS:
        raise problems.Conflict(f"The policy has {MOST_VERSIONS} versions, the most it may have; begin another one.")
    values = {"tenant": tenant, "name": name, "version": version, "rules": rules, "note": note}
    row: PolicyRow | None = db.scalar(insert(PolicyRow).values(**values, created_at=clock()).returning(PolicyRow))
    assert row is not None
    return row


def _newest(db: Session, tenant: str, name: str, *, lock: bool = False) -> PolicyRow | None:
    if lock:  # two at the same moment: the second sees the version of the first
        db.scalar(select(TenantRow.id).where(TenantRow.id == tenant).with_for_update(key_share=True))
    of_it = select(PolicyRow).where(PolicyRow.tenant == tenant, PolicyRow.name == name)
    return db.scalar(of_it.order_by(PolicyRow.version.desc()).limit(1))


def get(db: Session, tenant: str, reference: str) -> PolicyRow:
    """NAME in its newest version, or NAME@VERSION. Raises `NotFound`; a retired policy still has its old versions."""
    name, _, version = reference.partition("@")
    if "\0" in reference:  # PostgreSQL cannot even be asked for a text with NUL in it
        raise missing(reference)
    row = _newest(db, tenant, name) if not version else db.get(PolicyRow, (tenant, name, _number(version)))
    if row is None or row.rules is None:
        raise missing(reference)
    return row


def in_force(db: Session, tenant: str, reference: str) -> PolicyRow:
    """The same, for a new evaluation: `NotFound` for any version of a policy that is retired."""
    row = get(db, tenant, reference)
    get(db, tenant, row.name)
    return row


def _number(text: str) -> int:
    """A version; one that no policy has where the text is no number that a database takes."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def missing(reference: str) -> problems.NotFound:
    """What to raise for a policy that is another's or nobody's."""
    return problems.NotFound(f"There is no policy {reference!r}; GET /v1/policies lists those there are.")


def page(db: Session, tenant: str, limit: int, after: str | None) -> list[PolicyRow]:
    """Up to `limit` policies of a tenant by name, from behind the name `after`, each in its newest version."""
    newest = (
        select(PolicyRow.name, func.max(PolicyRow.version).label("version"))
        .where(PolicyRow.tenant == tenant)
        .group_by(PolicyRow.name)
        .subquery()
    )
    rows = (
        select(PolicyRow)
        .join(newest, and_(PolicyRow.name == newest.c.name, PolicyRow.version == newest.c.version))
        .where(PolicyRow.tenant == tenant, PolicyRow.rules.is_not(None))
    )
    if after is not None:
        rows = rows.where(PolicyRow.name > after)
    return list(db.scalars(rows.order_by(PolicyRow.name).limit(limit)))


def retire(db: Session, tenant: str, reference: str) -> None:
    """End a policy. Raises `NotFound`, or `Conflict` where NAME@VERSION isn't the newest version."""
    name, _, version = reference.partition("@")
    newest = _newest(db, tenant, name, lock=True) if "\0" not in reference else None
    if version:
        get(db, tenant, reference)
    if newest is None or newest.rules is None:
        raise missing(reference)
    if version and newest.version != _number(version):
        raise problems.Conflict(f"There is a newer version, {name}@{newest.version}; retire that, or {name!r}.")
    _add(db, tenant, name, newest, None, "")
