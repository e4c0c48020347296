"""The picture of selectivity against importance: what is in it, the same each time, and no upload breaks it."""

import io
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from rich.console import Console

from service import scatters, unit_tables
from service.commands import findings
from service.schemas import (
    Analyses,
    ClassLost,
    Correlation,
    Estimate,
    Importance,
    Relation,
    Tuned,
    Unit,
    UnitImportance,
    UnitTable,
    canonical,
)
from tests.service import answers

FINDING = "How selective a unit is does not show how much it matters on this model (a). More (b)."


def unit(site: str, number: int, dead: bool = False) -> Unit:
    """A unit that matters the more the higher its number."""
    importance = UnitImportance(
        rank=100 - number,
        examples=500,
        accuracy_lost=answers.estimate(0.001 * number),
        cross_entropy_added=Estimate(value=0.01 * number, low=0.01 * number - 0.01, high=0.0125 * number),
        classes=[ClassLost(label=4, accuracy_lost=answers.estimate(0.05))] if number % 2 else [],
    )
    told = {"mean": 1.0, "std": 0.5, "fires": 0.5, "information": 0.2, "informative": True}
    index = {"selectivity": None, "driver": None} if dead else {"selectivity": 0.3, "driver": 7}
    return Unit(site=site, unit=number, dead=dead, importance=importance, **told, **index)


def relation(sites: list[str]) -> Relation:
    def told(site: str | None) -> Correlation:
        half = answers.estimate(0.1, 0.2)
        return Correlation(property="selectivity", site=site, units=9, spearman=half, kendall=None)

    return Relation(finding=FINDING, overall=[told(None)], layers=[told(site) for site in sites])


def rows(sites: list[str]) -> list[dict[str, Any]]:
    return [unit(site, number, number == 0).model_dump(mode="json") for site in sites for number in range(10)]


def test_svg_says_what_it_shows() -> None:
    """A panel for each site with its name, its dead units and its correlation, below the sentence."""
    drawn = scatters.svg(rows(["conv1", "fc"]), relation(["conv1", "fc"]), "digits.onnx")
    said = "\n".join(ElementTree.fromstring(drawn).itertext())
    for part in ("digits.onnx", "conv1: 10 units, 1 never fire", "Spearman +0.10 [-0.10, +0.30]", "class selectivity"):
        assert part in said
    assert "does not show how much it matters" in said
    assert drawn == scatters.svg(rows(["conv1", "fc"]), relation(["conv1", "fc"]), "digits.onnx")


def test_many_sites_and_any_names_make_a_picture() -> None:
    """The largest sites are drawn; names of an upload are text, whatever is in them."""
    names = [f"<b>&$x_{number}\x00" for number in range(40)]
    drawn = scatters.png(rows(names), relation(names), "$\\frac{")
    with Image.open(io.BytesIO(drawn)) as picture:
        assert np.asarray(picture).std() > 1
    svg = scatters.svg(rows(names), relation(names), "$\\frac{")
    assert "16 smaller sites are left out" in "".join(ElementTree.fromstring(svg).itertext())


def test_csv_has_a_cell_for_each_column() -> None:
    """With importance and without; the class that is hit most, where one is."""
    plain = unit("a,b", 3).model_copy(update={"importance": None})
    text = unit_tables.rows("".join(canonical(u.model_dump(mode="json")) + "\n" for u in (unit("c", 5), plain)))
    one, other = text.splitlines()
    assert one == "c,5,1.0,0.5,0.5,False,0.3,7,0.2,True,95,500,0.005,-0.005,0.015,0.05,0.04,0.0625,4,0.05"
    assert other.startswith('"a,b",3,1.0,')
    assert other.endswith("True" + "," * 10)
    assert unit_tables.head().count(",") == one.count(",") == 19


def test_the_terminal_shows_tables_and_the_sentence() -> None:
    """The most important units first, a line a site, what was found; nothing that steers the terminal."""
    found = Analyses(
        selectivity=[
            Tuned(site="evil\x1b[2J", units=10, dead=1, informative=4, fires=0.5, selectivity=0.3, information=None)
        ],
        importance=Importance(examples=500, top=[unit("evil\x1b[2J", 9), unit("fc", 8)], certain=False),
        relation=relation(["evil\x1b[2J"]),
        units=UnitTable(units=10, digest=answers.MODEL),
        passes=100,
    )
    out = Console(width=100, markup=False, highlight=False)
    with out.capture() as capture:
        out.print(findings.shown(found, "ev_1"))
    said = capture.get()
    for part in ("The 2 most important units (not certain within `passes`)", "+0.090 [+0.080, ", "4: -5.0%"):
        assert part in said
    for part in ("+0.100 [-0.100, +0.300]", "does not show how much it matters", "/v1/evaluations/ev_1/units.csv"):
        assert part in said
    assert "\x1b[2J" not in said
    assert "evil?[2J" in said
