"""Renders docs/evidence.md into service/evidence.html, pictures within: `python -m benchmarks.zoo.page`.

Everything that is written here comes from docs/evidence/*.csv: tables, pictures, the page, the service's populations.
"""

import base64
import re
from pathlib import Path

from markdown_it import MarkdownIt

from benchmarks.zoo import populations, rows, telling

RENDERED = telling.ROOT / "service" / "evidence.html"
PICTURE = re.compile(r'src="(evidence/[a-z-]+\.svg)"')
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)


def render(docs: Path) -> str:
    """The page as HTML without a frame, the same for the same files."""
    html: str = MarkdownIt("commonmark", {"html": False}).enable("table").render((docs / "evidence.md").read_text())
    html = re.sub(r"<p>&lt;!--.*?--&gt;</p>\n?|&lt;!--.*?--&gt;\n?", "", html)
    html = TABLE.sub(r'<div class="scroll" tabindex="0" role="region" aria-label="Table">\g<0></div>', html)

    def within(found: re.Match[str]) -> str:
        return f'src="data:image/svg+xml;base64,{base64.b64encode((docs / found[1]).read_bytes()).decode()}"'

    return PICTURE.sub(within, html)


def main() -> None:
    """Tables and pictures from docs/evidence/, then the page."""
    docs = telling.ROOT / "docs"
    telling.again(docs)
    populations.write(telling.ROOT / "service" / "populations.json", rows.read(docs / "evidence" / "zoo.csv"))
    RENDERED.write_text(render(docs))


if __name__ == "__main__":
    main()
