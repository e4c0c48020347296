"""docs/evidence.md as a page of the service: evidence.html, which scripts/evidence renders from it, in our frame."""

from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).parent / "evidence.html"


@lru_cache(maxsize=1)
def page() -> str:
    """The whole page, in the looks of the page at `/`."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Evidence · Lesion</title>'
        '<link rel="icon" href="/page/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/page/page.css"><link rel="stylesheet" href="/page/parts.css"></head><body>'
        '<header class="top"><a class="brand" href="/"><img src="/page/icon.svg" alt="" width="28" height="28">Lesion'
        '</a><nav aria-label="Lesion"><a href="/">Evaluations</a><a href="/docs">API</a><a href="/problems">Errors</a>'
        '<a href="/evidence">Evidence</a></nav></header>'
        f'<main class="evidence">{FILE.read_text()}</main></body></html>\n'
    )
