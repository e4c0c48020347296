"""Evaluations read, many at once: a page of them, or those that were asked for."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import EvaluationRow


def page(db: Session, tenant: str, limit: int, before: str | None, state: str | None) -> list[EvaluationRow]:
    """Up to `limit` evaluations of a tenant, newest first, older than the id `before`."""
    rows = select(EvaluationRow).where(EvaluationRow.tenant == tenant)
    if before is not None:
        rows = rows.where(EvaluationRow.id < before)
    if state is not None:
        rows = rows.where(EvaluationRow.state == state)
    return list(db.scalars(rows.order_by(EvaluationRow.id.desc()).limit(limit)))


def several(db: Session, asked: Collection[tuple[str, str]]) -> dict[tuple[str, str], EvaluationRow]:
    """Of evaluations that callers asked for by (tenant, id), those that there are."""
    rows = db.scalars(select(EvaluationRow).where(EvaluationRow.id.in_([evaluation for _, evaluation in asked])))
    found = {(row.tenant, row.id): row for row in rows}
    return {each: found[each] for each in asked if each in found}
