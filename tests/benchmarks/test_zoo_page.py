"""docs/evidence.md, what the service shows of it, and the populations it ships: all made from the same CSV files."""

import json
import re
from pathlib import Path

from benchmarks.zoo import page, populations, rows, telling

DOCS = telling.ROOT / "docs"


def test_the_service_shows_what_the_docs_say() -> None:
    """service/evidence.html is made, not written: scripts/evidence makes it again."""
    assert page.RENDERED.read_text() == page.render(DOCS)


def test_the_shipped_populations_are_the_zoos(tmp_path: Path) -> None:
    """Scores of networks above 95 % training accuracy, and of no others."""
    zoo = rows.read(DOCS / "evidence" / "zoo.csv")
    populations.write(tmp_path / "populations.json", zoo)
    assert (tmp_path / "populations.json").read_text() == (telling.ROOT / "service" / "populations.json").read_text()
    told = json.loads((tmp_path / "populations.json").read_text())
    assert sum(len(each["scores"]) for each in told) == sum(row["fits"] == 1 for row in zoo)


def test_no_table_and_no_picture_is_missing() -> None:
    """Every block that the page marks was filled, and every picture that it names is there."""
    text = (DOCS / "evidence.md").read_text()
    blocks = re.findall(r"<!-- zoo: ([a-z -]+) -->\n(.*?)<!-- end of zoo -->", text, re.DOTALL)
    assert len(blocks) >= 20
    assert [name for name, filled in blocks if filled.count("\n") < 3] == []
    pictures = re.findall(r"\]\((evidence/[a-z-]+\.svg)\)", text)
    assert len(pictures) >= 7
    assert [each for each in pictures if not (DOCS / each).exists()] == []


def test_every_network_was_tried_and_is_told_of() -> None:
    """At least 96 count in a full factorial, and those that do not reach 95 % are in the file all the same."""
    zoo = rows.read(DOCS / "evidence" / "zoo.csv")
    mine = [row for row in zoo if row["family"] == "mlp"]
    axes = rows.axes(mine)
    assert len(mine) == 2 ** len(axes) >= 96
    assert all((row["training accuracy"] >= 0.95) == bool(row["fits"]) for row in zoo)
    assert all(row["score"] is not None and row["sharpness"] is not None for row in zoo)
