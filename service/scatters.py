"""Selectivity against importance, a dot a unit and a panel a site, as SVG or PNG: equal tables give equal bytes."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.plots import BLUE, DRAWING, GREY, ORANGE, STYLE, plain
from service.schemas import Correlation, Estimate, Relation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
MOST_DOTS = 2_000  # that an SVG holds one by one; of more it would be megabytes, so they become a picture within it
MOST_PANELS = 24  # sites of most units; nobody reads more panels, and the table has them all
Unit = dict[str, Any]


def svg(units: Sequence[Unit], relation: Relation, title: str) -> bytes:
    """The picture as an SVG document. units: rows of the table."""
    return _saved(units, relation, title, format="svg", dpi=130, metadata={"Date": None, "Creator": "Lesion"})


def png(units: Sequence[Unit], relation: Relation, title: str) -> bytes:
    """The picture as PNG."""
    return _saved(units, relation, title, format="png", dpi=130, metadata={"Software": None})


def _saved(units: Sequence[Unit], relation: Relation, title: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    with _canvas(units, relation, title) as figure:
        figure.savefig(buffer, **how)
    return buffer.getvalue()


@contextmanager
def _canvas(units: Sequence[Unit], relation: Relation, title: str) -> Iterator["Figure"]:
    from matplotlib import rc_context  # here, since every start of the API would pay for it
    from matplotlib.figure import Figure

    by_site: dict[str, list[Unit]] = {}
    for unit in units:
        by_site.setdefault(unit["site"], []).append(unit)
    largest = sorted(by_site, key=lambda site: -len(by_site[site]))[:MOST_PANELS]
    shown = [site for site in by_site if site in largest]
    found = {each.site: each for each in relation.layers if each.property == "selectivity"}
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    with DRAWING, rc_context(STYLE):
        figure = Figure(figsize=(max(3.2 * columns, 6.4), 1 + 2.8 * rows), layout="constrained")
        figure.suptitle(_heading(title, relation, len(by_site) - len(shown)), fontsize=10, parse_math=False)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, site in zip(panels, shown, strict=False):
            _draw(axes, site, by_site[site], found.get(site), rasterized=len(units) > MOST_DOTS)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        yield figure


def _heading(title: str, relation: Relation, left_out: int) -> str:
    more = f" ({left_out} smaller sites are left out)" if left_out else ""
    sentences = relation.finding.replace(". ", ".\n")
    return f"{plain(title)}{more}\n{sentences}"


def _draw(
    axes: "Axes", site: str, units: Sequence[Unit], found: Correlation | None, *, rasterized: bool = False
) -> None:
    """Dots of all that fire, and what was found of them."""
    firing = [unit for unit in units if unit["selectivity"] is not None and unit["importance"] is not None]
    values = [unit["importance"]["cross_entropy_added"]["value"] for unit in firing]
    axes.axhline(0, color=GREY, linewidth=1)
    dots: dict[str, Any] = {"color": BLUE, "markersize": 3.5, "alpha": 0.6, "mew": 0, "rasterized": rasterized}
    axes.plot([unit["selectivity"] for unit in firing], values, "o", **dots)
    top = sorted(firing, key=lambda unit: unit["importance"]["rank"])[:1]
    for unit in top:
        place = (unit["selectivity"], unit["importance"]["cross_entropy_added"]["value"])
        axes.plot(*place, "o", color=ORANGE, markersize=5)
        axes.annotate(str(unit["unit"]), place, xytext=(4, -3), textcoords="offset points", fontsize=8)
    silent = len(units) - len(firing)
    never = f", {silent} never fire" if silent else ""
    axes.set_title(f"{plain(site, 32)}: {len(units)} units{never}\n{_told(found)}", fontsize=9, parse_math=False)
    axes.set(xlim=(-0.03, 1.03), xlabel="class selectivity", ylabel="nats added without the unit")


def _told(found: Correlation | None) -> str:
    estimate: Estimate | None = None if found is None else found.spearman
    if estimate is None:
        return "too few units to correlate"
    return f"Spearman {estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"
