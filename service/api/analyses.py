"""GET of one analysis of an evaluation, as numbers or as a picture. What was found of each unit is in units.py."""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Response

from service import analysis_plots, analysis_tables, problems, schemas
from service.api import answers
from service.api.deps import Caller, ReadDb, documented, may
from service.api.media import MEDIA, described
from service.store import evaluations, units

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])

DRAWN = described("The analysis.", "json", "csv", "svg", "png")


@router.get(
    "/{id}/analyses/{name}.{kind}",
    response_class=Response,
    responses=DRAWN | documented(problems.NotFound, problems.NotReady, problems.Conflict),
)
def analysis(
    caller: Annotated[Caller, may("evaluations:read")],
    db: ReadDb,
    id: str,
    name: schemas.Analysis,
    kind: Literal["json", "csv", "svg", "png"],
) -> Response:
    """Give what one of the `analyses` found: as JSON, as in the result; as CSV; or as a picture.

    The CSV has a line for each point of a curve (`targeted`, `classes`, `noise`), each site (`selectivity`), each
    correlation (`relation`) or each of the most important units (`importance`).
    """
    row = evaluations.get(db, caller.tenant, id)
    asked = schemas.Config.model_validate_json(row.config).analyses or []
    if name not in asked:  # however long one waits
        raise problems.Conflict(f'`{name}` was not asked for; evaluate with {{"analyses": ["{name}"]}}.')
    found = answers.needed(row, f"there is no `{name}`").analyses
    assert found is not None, "it was asked for"
    title = f"{row.model[7:15]} on {row.dataset[7:15]}"
    rows = units.rows(db, id) if kind in ("svg", "png") and name in analysis_plots.OF_UNITS else []
    drawn: str | bytes
    match kind:
        case "json":
            drawn = json.dumps(found.model_dump(mode="json")[name])
        case "csv":
            drawn = analysis_tables.written(name, found)
        case "svg":
            drawn = analysis_plots.svg(name, found, rows, title)
        case "png":
            drawn = analysis_plots.png(name, found, rows, title)
    return Response(drawn, media_type=MEDIA[kind])
