"""GET of where an evaluation's score stands among networks of its kind."""

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy.orm import Session

from service import problems, schemas
from service.api import answers
from service.api.deps import Caller, ReadDb, documented, may
from service.standing import standing
from service.store import artifacts, evaluations
from service.store.tables import EvaluationRow

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])


@router.get("/{id}/standing", responses=documented(problems.NotFound, problems.NotReady, problems.Conflict))
def show(caller: Annotated[Caller, may("evaluations:read")], db: ReadDb, id: str) -> schemas.Standing:
    """Say what share of the networks of its kind the score is higher than; or that no kind fits, and why."""
    row = evaluations.get(db, caller.tenant, id)
    return of(db, row, answers.needed(row, "there is no score"))


def of(db: Session, row: EvaluationRow, result: schemas.Result) -> schemas.Standing:
    """The standing of an evaluation's result, with what is known of its model."""
    model = artifacts.find(db, row.tenant, "model", row.model)
    found = None if model is None else artifacts.found(model)
    return standing(result, None if found is None else schemas.ModelFound.model_validate(found))
