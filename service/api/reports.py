"""An evaluation's reports: one HTML file that needs nothing besides itself, and files for CI."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from service import ci_reports, problems, report, schemas
from service.api import answers, standings
from service.api.deps import Caller, ReadDb, Used, documented, may
from service.api.media import MEDIA, described
from service.store import evaluations, units

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])
WRITTEN = described("The report.", "xml", "sarif", "md")


@router.get(
    "/{id}/report.html",
    response_class=HTMLResponse,
    responses=documented(problems.NotFound, problems.NotReady, problems.Conflict),
)
def show(caller: Annotated[Caller, may("evaluations:read")], db: ReadDb, backends: Used, id: str) -> HTMLResponse:
    """Give the report: score, meaning, curve, analyses and provenance as one HTML file, to send on or to keep."""
    row = evaluations.get(db, caller.tenant, id)
    evaluation = answers.evaluation(row, backends.signer)
    if evaluation.result is None:
        if evaluation.state in schemas.ENDED:
            raise problems.Conflict(f"The evaluation has {evaluation.state}; there is nothing to report.")
        raise problems.NotReady("The evaluation has not ended; wait with GET /v1/evaluations/{id}?wait=60.")
    standing = standings.of(db, row, evaluation.result)
    html = report.html(evaluation, evaluation.result, standing, units.rows(db, id))
    return HTMLResponse(html, headers={"Content-Security-Policy": report.POLICY})


@router.get(
    "/{id}/report.{kind}",
    response_class=Response,
    responses=WRITTEN | documented(problems.NotFound, problems.NotReady),
)
def show_for_ci(
    caller: Annotated[Caller, may("evaluations:read")],
    db: ReadDb,
    backends: Used,
    id: str,
    kind: Literal["xml", "md", "sarif"],
) -> Response:
    """Give an ended evaluation as JUnit XML, a case for each of the gate's checks, as SARIF, or as Markdown.

    What failed or was cancelled has a report as well: an error, since nothing was judged.
    """
    row = evaluations.get(db, caller.tenant, id)
    if row.state not in schemas.ENDED:
        raise problems.NotReady("The evaluation has not ended; wait with GET /v1/evaluations/{id}?wait=60.")
    shown = answers.evaluation(row, backends.signer)
    match kind:
        case "xml":
            written = ci_reports.junit(shown)
        case "sarif":
            written = ci_reports.sarif(shown)
        case "md":
            written = ci_reports.markdown(shown).encode()
    return Response(written, media_type=MEDIA[kind])
