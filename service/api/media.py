"""The kinds of answer that a name's ending asks for, and how the document tells of them."""

from service.api.deps import Responses

MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "md": "text/markdown; charset=utf-8",
    "png": "image/png",
    "sarif": "application/sarif+json",
    "svg": "image/svg+xml",
    "xml": "application/xml",
}


def described(what: str, *kinds: str) -> Responses:
    """The 200 of a route whose answer is of one of these kinds."""
    return {200: {"description": what, "content": {MEDIA[kind].partition(";")[0]: {} for kind in kinds}}}
