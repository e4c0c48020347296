"""An evaluation's report: one HTML file that needs nothing besides itself."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service import problems, report, schemas
from service.api import answers, standings
from service.api.deps import Caller, ReadDb, Used, documented, may
from service.store import evaluations

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])


@router.get(
    "/{id}/report.html",
    response_class=HTMLResponse,
    responses=documented(problems.NotFound, problems.NotReady, problems.Conflict),
)
def show(caller: Annotated[Caller, may("evaluations:read")], db: ReadDb, backends: Used, id: str) -> HTMLResponse:
    """Give the report: score, meaning, curve and provenance as one HTML file, to send on or to keep."""
    row = evaluations.get(db, caller.tenant, id)
    evaluation = answers.evaluation(row, backends.signer)
    if evaluation.result is None:
        if evaluation.state in schemas.ENDED:
            raise problems.Conflict(f"The evaluation has {evaluation.state}; there is nothing to report.")
        raise problems.NotReady("The evaluation has not ended; wait with GET /v1/evaluations/{id}?wait=60.")
    html = report.html(evaluation, evaluation.result, standings.of(db, row, evaluation.result))
    return HTMLResponse(html, headers={"Content-Security-Policy": report.POLICY})
