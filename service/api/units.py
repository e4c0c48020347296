"""GET of what an evaluation's analyses found of each unit: pages, whole tables, and a picture."""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from service import problems, scatters, schemas, unit_tables
from service.api import answers
from service.api.deps import Backends, Caller, Cursor, ReadDb, Used, documented, may
from service.api.media import MEDIA, described
from service.store import evaluations, units
from service.store.session import reading
from service.store.tables import EvaluationRow

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])

Reader = Annotated[Caller, may("evaluations:read")]
DRAWN = described("The units.", "jsonl", "csv", "svg", "png")
Limit = Annotated[int, Query(ge=1, le=units.PAGE, description="Most units of one page.")]


@router.get(
    "/{id}/units",
    responses=documented(problems.NotFound, problems.NotReady, problems.Conflict, problems.Invalid),
)
def list_units(caller: Reader, db: ReadDb, id: str, limit: Limit = 100, cursor: Cursor = None) -> schemas.Units:
    """List what was found of each unit, in the order of the network."""
    _analysed(evaluations.get(db, caller.tenant, id))
    start = 0 if cursor is None else int(answers.read_cursor(cursor, float)[0])
    if start < 0 or start > 2**40:
        raise problems.Invalid("`cursor` is none of ours: take `next_cursor` of the page before, unchanged.")
    lines = units.some(db, id, start, limit + 1)
    more = answers.write_cursor(float(start + limit)) if len(lines) > limit else None
    found = [schemas.Unit.model_validate_json(line) for line in lines[:limit]]
    return schemas.Units(data=found, next_cursor=more)


@router.get(
    "/{id}/units.{kind}",
    response_class=Response,
    responses=DRAWN | documented(problems.NotFound, problems.NotReady, problems.Conflict),
)
def units_as(
    caller: Reader, db: ReadDb, backends: Used, id: str, kind: Literal["jsonl", "csv", "svg", "png"]
) -> Response:
    """Give all units at once, as lines of JSON or as CSV; or a picture of selectivity against importance."""
    row = evaluations.get(db, caller.tenant, id)
    result = _analysed(row)
    if kind in ("jsonl", "csv"):
        return StreamingResponse(_streamed(backends, id, kind == "csv"), media_type=MEDIA[kind])
    if result.analyses is None or result.analyses.relation is None:
        raise problems.Conflict("The picture shows selectivity against importance: ask for `relation` in `analyses`.")
    title = f"{row.model[7:15]} on {row.dataset[7:15]}"
    draw = scatters.svg if kind == "svg" else scatters.png
    return Response(draw(units.rows(db, id), result.analyses.relation, title), media_type=MEDIA[kind])


def _streamed(backends: Backends, id: str, as_csv: bool) -> Iterator[str]:
    """Page by page, each read in a transaction of its own, so that a slow caller holds no connection."""
    if as_csv:
        yield unit_tables.head()
    number = 0
    while True:
        with reading(backends.engine) as db:
            lines = units.page(db, id, number)
        if lines is None:
            return
        yield unit_tables.rows(lines) if as_csv else lines
        number += 1


def _analysed(row: EvaluationRow) -> schemas.Result:
    """The result; raises `Conflict` where there is no table of units, `NotReady` while there is none yet."""
    result = answers.result(row)
    if result is None:
        if row.state in schemas.ENDED:
            raise problems.Conflict(f"The evaluation has {row.state}; nothing is known of its units.")
        raise problems.NotReady("The evaluation has not ended; wait with GET /v1/evaluations/{id}?wait=60.")
    if result.analyses is None:
        raise problems.Conflict('Nothing was asked of single units; evaluate with {"analyses": ["relation"]}.')
    return result
