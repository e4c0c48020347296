"""What the `type` of every error leads to: its meaning and what to do next, as a browser or a program wants it."""

from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from service import explained, problems
from service.api.deps import PUBLIC, Responses, documented
from service.explained import Explained

router = APIRouter(prefix="/problems", tags=["service"])
JSON, HTML, MARKDOWN = "application/json", "text/html", "text/markdown"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SHOWN: Responses = {200: {"description": "As `Accept` asks.", "content": {JSON: {}, HTML: {}, MARKDOWN: {}}}}
Accept = Annotated[str, Header(description=f"`{JSON}`, `{HTML}` or `{MARKDOWN}`.")]


@router.get("", openapi_extra=PUBLIC, response_class=Response, responses=SHOWN)
def list_(accept: Accept = "*/*") -> Response:
    """List every problem type, each with its meaning and what to do next."""
    return _shown(accept, "Errors", explained.every())


@router.get("/{type}", openapi_extra=PUBLIC, response_class=Response, responses=SHOWN | documented(problems.NotFound))
def show(type: str, accept: Accept = "*/*") -> Response:
    """Say what a problem type means and what to do next; the `type` of every error points here."""
    kind = problems.BY_TYPE.get(type)
    if kind is None:
        raise problems.NotFound(f"There is no problem type {type!r}; there are {', '.join(sorted(problems.BY_TYPE))}.")
    return _shown(accept, kind.title, explained.explain(kind))


def _shown(accept: str, title: str, what: Explained | list[Explained]) -> Response:
    several = what if isinstance(what, list) else [what]
    headers = {"Vary": "Accept"}
    match preferred(accept):
        case "text/html":
            return HTMLResponse(explained.page(title, several), headers=headers | {"Content-Security-Policy": POLICY})
        case "text/markdown":
            text = "\n".join(each.markdown() for each in several)
            return PlainTextResponse(text, headers=headers, media_type=MARKDOWN)
        case _:
            body: Any = {"data": [each.json() for each in what]} if isinstance(what, list) else what.json()
            return JSONResponse(body, headers=headers)


def preferred(accept: str) -> str:
    """Which of the three an Accept header likes best; JSON where it says nothing (RFC 9110, in short)."""
    wants = {}
    for part in accept.lower().split(","):
        media, *parameters = (each.strip() for each in part.split(";"))
        weights = [each[2:] for each in parameters if each.startswith("q=")]
        try:
            wants[media] = float(weights[0]) if weights else 1.0
        except ValueError:
            wants[media] = 0.0
    wildcard = wants.get("*/*", 0.0)
    liked = {
        media: wants.get(media, wants.get(f"{media.partition('/')[0]}/*", wildcard)) for media in (JSON, HTML, MARKDOWN)
    }
    return max(liked, key=lambda media: liked[media])
