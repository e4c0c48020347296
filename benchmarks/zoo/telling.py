"""Writes docs/evidence/ and the tables of docs/evidence.md, and renders that page for the service."""

import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.zoo import choices, comparing, findings, pictures, score, series, tables
from benchmarks.zoo import rows as table
from benchmarks.zoo.factors import Recipe

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "evidence.md"
BLOCK = re.compile(r"(<!-- zoo: ([a-z -]+) -->\n)(?:.*?\n)??(<!-- end of zoo -->)", re.DOTALL)


def tell(folder: Path, recipes: list[Recipe], docs: Path = ROOT / "docs") -> None:
    """Everything from what lies in the folder; `again` does the same from docs/evidence/ alone."""
    out = docs / "evidence"
    table.write(out / "zoo.csv", table.assemble(folder, recipes))
    outcomes = {outcome["key"]: outcome for outcome in score.read(folder)}
    series.write(out, folder, recipes, outcomes)
    again(docs)


def again(docs: Path) -> None:
    """The judgements, the pictures and the tables of the page, from the committed CSV files."""
    out = docs / "evidence"
    zoo = table.read(out / "zoo.csv")
    made: dict[str, str] = {"zoo": tables.zoo(zoo)}
    made |= choices.made(zoo)
    judged = comparing.judged(zoo, choices.chosen(zoo))
    comparing.write(out / "judged.csv", judged)
    made |= tables.judged(judged)
    made |= findings.told(out, zoo)
    pictures.draw(out, zoo)
    page = docs / "evidence.md"
    if page.exists():
        page.write_text(filled(page.read_text(), made))


def filled(text: str, made: Mapping[str, str]) -> str:
    """The page with each marked block replaced by the table of its name."""

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}{made[found[2]]}{found[3]}"

    return BLOCK.sub(block, text)
