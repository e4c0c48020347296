"""Whether the score predicts: docs/evidence.md as a page, so that who reads a score finds what it is worth."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service import evidence
from service.api.deps import PUBLIC

router = APIRouter(tags=["service"])
# Its pictures lie within it.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@router.get("/evidence", openapi_extra=PUBLIC, response_class=HTMLResponse)
def show() -> HTMLResponse:
    """Say when the score predicts how well a network does on new examples, and when it doesn't: docs/evidence.md."""
    return HTMLResponse(evidence.page(), headers={"Content-Security-Policy": POLICY})
