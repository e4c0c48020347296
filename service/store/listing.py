"""Evaluations read, many at once: a page of them, or those that were asked for."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import EvaluationRow

Asked = tuple[str, str]  # tenant, id


class Changing(NamedTuple):
    """All that ever changes of an evaluation and is shown. A result or a problem comes once, with the end."""

    id: str
    state: str
    progress: str | None
    started_at: float | None
    ended_at: float | None


def changing(row: EvaluationRow) -> Changing:
    """Of a row."""
    return Changing(row.id, row.state, row.progress, row.started_at, row.ended_at)


def page(db: Session, tenant: str, limit: int, before: str | None, state: str | None) -> list[EvaluationRow]:
    """Up to `limit` evaluations of a tenant, newest first, older than the id `before`."""
    rows = select(EvaluationRow).where(EvaluationRow.tenant == tenant)
    if before is not None:
        rows = rows.where(EvaluationRow.id < before)
    if state is not None:
        rows = rows.where(EvaluationRow.state == state)
    return list(db.scalars(rows.order_by(EvaluationRow.id.desc()).limit(limit)))


def several(db: Session, asked: Collection[Asked]) -> dict[Asked, EvaluationRow]:
    """Of evaluations that callers asked for, those that there are."""
    rows = db.scalars(select(EvaluationRow).where(EvaluationRow.id.in_([evaluation for _, evaluation in asked])))
    found = {(row.tenant, row.id): row for row in rows}
    return {each: found[each] for each in asked if each in found}


def several_changing(db: Session, asked: Collection[Asked]) -> dict[Asked, Changing]:
    """Of evaluations that callers asked for, those that there are; a fifth of what whole rows cost."""
    table = EvaluationRow.__table__.c
    columns = (table.id, table.state, table.progress, table.started_at, table.ended_at)
    rows = db.execute(select(table.tenant, *columns).where(table.id.in_([evaluation for _, evaluation in asked])))
    found = {(tenant, seen[0]): Changing(*seen) for tenant, *seen in rows}
    return {each: found[each] for each in asked if each in found}
