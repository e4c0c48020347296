"""GET of an evaluation compared with another, as a file or a picture. Nothing is stored."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from service import compared, comparing, comparison_plots, comparison_tables, problems, schemas
from service.api.deps import Caller, ReadDb, documented, may
from service.api.media import MEDIA, described

router = APIRouter(prefix="/v1/evaluations", tags=["comparisons"])


@router.get(
    "/{id}/comparison.{kind}",
    response_class=Response,
    responses=described("The comparison.", "json", "csv", "svg", "png")
    | documented(problems.NotFound, problems.NotReady, problems.Invalid, problems.NotComparable),
)
def comparison(
    caller: Annotated[Caller, may("evaluations:read")],
    db: ReadDb,
    id: str,
    kind: Literal["json", "csv", "svg", "png"],
    how: Annotated[schemas.ComparedWith, Query()],
) -> Response:
    """Compare an evaluation with a baseline: as JSON; as CSV; or as a picture of both curves and the difference.

    The same as `POST /v1/comparisons`, at an address. The CSV has the two scores, their difference, and a line for each
    point of both curves.
    """
    candidate, baseline = (compared.side(db, caller.tenant, each) for each in (id, how.baseline))
    found = comparing.compare(schemas.NewComparison(candidate=id, **how.model_dump()), baseline, candidate)
    drawn: str | bytes
    match kind:
        case "json":
            drawn = found.model_dump_json()
        case "csv":
            drawn = comparison_tables.csv(found, baseline.result, candidate.result)
        case "svg":
            drawn = comparison_plots.svg(found, baseline.result, candidate.result)
        case "png":
            drawn = comparison_plots.png(found, baseline.result, candidate.result)
    return Response(drawn, media_type=MEDIA[kind])
