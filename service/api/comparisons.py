"""POST of comparisons: two evaluations in, the difference of their scores out. Nothing is stored."""

from typing import Annotated

from fastapi import APIRouter

from service import compared, comparing, problems, schemas
from service.api.deps import Caller, ReadDb, documented, may
from service.api.small_bodies import PROBLEMS, SmallBodies

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"], route_class=SmallBodies)


@router.post("", responses=documented(*PROBLEMS, problems.NotFound, problems.NotReady, problems.NotComparable))
def compare(
    caller: Annotated[Caller, may("evaluations:read")], asked: schemas.NewComparison, db: ReadDb
) -> schemas.Comparison:
    """Compare two evaluations: the difference of their scores with its interval, and a verdict if asked for.

    Both must have succeeded, on the same dataset and split, with the same scope, clamp and metric. With the same seed
    they are paired: both saw the same examples at the same fractions, and the interval is narrower.
    """
    sides = [compared.side(db, caller.tenant, id) for id in (asked.baseline, asked.candidate)]
    return comparing.compare(asked, *sides)
