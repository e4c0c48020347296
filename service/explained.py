"""What each problem means and what to do next: as JSON, as Markdown (docs/errors.md is made of it), as a page."""

import re
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from service import problems
from service.remedies import NEXT

HEAD = """# Errors

Every error is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): a stable `type`, a
`title`, the `status`, and a `detail` that says what to do about this one. An evaluation that failed has the same
as its `problem`. Each `type` is an address of the service itself: there a browser is shown the paragraph below,
`Accept: application/json` gives it as JSON, and `text/markdown` as Markdown. This file is made of them by
`scripts/errors`.
"""


@dataclass(frozen=True)
class Explained:
    """One problem type, explained."""

    name: str
    title: str
    status: int
    meaning: str
    next: str

    def json(self) -> dict[str, Any]:
        """As JSON, with its `type` as errors have it."""
        told = asdict(self)
        return {"type": f"/problems/{told.pop('name')}", **told}

    def markdown(self) -> str:
        """As a section."""
        return f"## {self.name}\n\n**{self.title}** ({self.status}). {self.meaning} {self.next}\n"

    def html(self) -> str:
        """As a section of a page."""
        return (
            f'<section class="card"><h2 id="{self.name}"><a href="/problems/{self.name}">{self.name}</a></h2>'
            f"<p><strong>{_inline(self.title)}</strong> ({self.status}). {_inline(self.meaning)}</p>"
            f"<p>{_inline(self.next)}</p></section>"
        )


def explain(kind: type[problems.Problem]) -> Explained:
    """What is to be said of a problem."""
    meaning = " ".join((kind.__doc__ or "").split())
    return Explained(kind.type, kind.title, kind.status, meaning, NEXT[kind.type])


def every() -> list[Explained]:
    """All of them, as service.problems orders them."""
    return [explain(kind) for kind in problems.BY_TYPE.values()]


def markdown() -> str:
    """docs/errors.md."""
    return "\n".join([HEAD, *(each.markdown() for each in every())])


def page(title: str, shown: list[Explained]) -> str:
    """A page for a browser, in the looks of the page at `/`."""
    sections = "".join(each.html() for each in shown)
    back = "" if len(shown) > 1 else '<p><a href="/problems">← All errors</a></p>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Lesion</title>"
        '<link rel="icon" href="/page/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/page/page.css"></head><body>'
        '<header class="top"><a class="brand" href="/"><img src="/page/icon.svg" alt="" width="28" height="28">Lesion'
        '</a><nav aria-label="Lesion"><a href="/">Evaluations</a><a href="/docs">API</a><a href="/problems">Errors</a>'
        f'<a href="/evidence">Evidence</a></nav></header><main>{back}<h1>{escape(title)}</h1>{sections}</main></body>'
        "</html>\n"
    )


def _inline(text: str) -> str:
    """Text with `code` in it, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
