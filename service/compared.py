"""Evaluations read from the store as the sides of a comparison."""

from sqlalchemy.orm import Session

from service import problems, schemas
from service.comparing import Side
from service.store import chunks, evaluations


def side(db: Session, tenant: str, evaluation: str) -> Side:
    """One side. Raises `NotFound`, `NotReady` before it has ended, `NotComparable` if it did not succeed."""
    row = evaluations.get(db, tenant, evaluation)
    if row.result is None and row.state in schemas.ENDED:
        raise problems.NotComparable(f"{evaluation} has {row.state}; only what has succeeded can be compared.")
    if row.result is None:
        raise problems.NotReady(f"{evaluation} has not ended; wait with GET /v1/evaluations/{evaluation}?wait=60.")
    return Side(evaluation, schemas.Result.model_validate_json(row.result), chunks.stored(db, row.id))
