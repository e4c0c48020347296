"""POST of comparisons: two evaluations in, the difference of their scores out. Nothing is stored."""

from typing import Annotated

from fastapi import APIRouter

from service import comparing, problems, schemas
from service.api import answers
from service.api.deps import Caller, ReadDb, documented, may
from service.api.small_bodies import PROBLEMS, SmallBodies
from service.store import chunks, evaluations

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"], route_class=SmallBodies)


@router.post("", responses=documented(*PROBLEMS, problems.NotFound, problems.NotReady, problems.NotComparable))
def compare(
    caller: Annotated[Caller, may("evaluations:read")], asked: schemas.NewComparison, db: ReadDb
) -> schemas.Comparison:
    """Compare two evaluations: the difference of their scores with its interval, and a verdict if asked for.

    Both must have succeeded, on the same dataset and split, with the same scope, clamp and metric. With the same seed
    they are paired: both saw the same examples at the same fractions, and the interval is narrower.
    """
    sides = []
    for id in (asked.baseline, asked.candidate):
        row = evaluations.get(db, caller.tenant, id)
        result = answers.result(row)
        if result is None and row.state in schemas.ENDED:
            raise problems.NotComparable(f"{id} has {row.state}; only what has succeeded can be compared.")
        if result is None:
            raise problems.NotReady(f"{id} has not ended; wait with GET /v1/evaluations/{id}?wait=60.")
        sides.append(comparing.Side(id, result, chunks.stored(db, row.id)))
    return comparing.compare(asked, *sides)
