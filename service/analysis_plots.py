"""An analysis as a picture, SVG or PNG: equal findings give equal bytes. Numbers are service.analysis_tables'.

`relation`, a panel for each site, is drawn in service.scatters.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from service import scatters
from service.plots import BLUE, DRAWING, GREY, MOST_LAYERS, ORANGE, STYLE, plain
from service.scatters import Unit
from service.schemas import Analyses, Analysis, Classes, Importance, Noise, Targeted, Tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OF_UNITS: frozenset[Analysis] = frozenset(("selectivity", "importance", "relation"))  # drawn from the table of units
# Okabe and Ito's, with a dash of its own for each, as some see no colours: an order's name gives both.
LINES = {
    "random": ("#000000", "-"),
    "most_selective": (ORANGE, "--"),
    "least_selective": (BLUE, "-."),
    "largest": ("#009E73", ":"),
    "most_important": ("#CC79A7", (0, (5, 1, 1, 1, 1, 1))),
}
MOST_RANKS = 1_000  # points of the line of all units
QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def svg(name: Analysis, found: Analyses, units: Sequence[Unit], title: str) -> bytes:
    """The picture of an analysis that was asked for, as an SVG document. units: rows of the table, for `OF_UNITS`."""
    if name == "relation" and found.relation is not None:
        return scatters.svg(units, found.relation, title)
    return _saved(name, found, units, title, format="svg", metadata={"Date": None, "Creator": "Lesion"})


def png(name: Analysis, found: Analyses, units: Sequence[Unit], title: str) -> bytes:
    """The picture as PNG."""
    if name == "relation" and found.relation is not None:
        return scatters.png(units, found.relation, title)
    return _saved(name, found, units, title, format="png", dpi=130, metadata={"Software": None})


def _saved(name: Analysis, found: Analyses, units: Sequence[Unit], title: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    with _drawn(name, found, units, title) as figure:
        figure.savefig(buffer, **how)
    return buffer.getvalue()


@contextmanager
def _drawn(name: Analysis, found: Analyses, units: Sequence[Unit], title: str) -> Iterator["Figure"]:
    if found.selectivity is not None and name == "selectivity":
        rows = min(len(found.selectivity), MOST_LAYERS)
        panels: list[Callable[[Axes], None]] = [lambda axes: _draw_tuned(axes, found.selectivity or [], units)]
    elif found.importance is not None and name == "importance":
        importance = found.importance
        rows = min(len(importance.top), MOST_LAYERS)
        panels = [lambda axes: _draw_top(axes, importance), lambda axes: _draw_ranks(axes, units)]
    elif found.targeted is not None and name == "targeted":
        targeted, rows = found.targeted, 0
        panels = [lambda axes: _draw_orders(axes, targeted)]
    elif found.classes is not None and name == "classes":
        classes, rows = found.classes, len(found.classes.curves)
        panels = [lambda axes: _draw_classes(axes, classes)]
    elif found.noise is not None and name == "noise":
        noise, rows = found.noise, 0
        panels = [lambda axes: _draw_noise(axes, noise)]
    else:
        raise KeyError(name)
    with _canvas(plain(title), len(panels), rows) as figure:
        for axes, draw in zip(figure.axes, panels, strict=True):
            draw(axes)
        yield figure


@contextmanager
def _canvas(title: str, panels: int, rows: int) -> Iterator["Figure"]:
    """An empty figure, high enough for so many named rows."""
    from matplotlib import rc_context  # here, since every start of the API would pay for it
    from matplotlib.figure import Figure

    with DRAWING, rc_context(STYLE):
        least = 2.5 if rows and panels == 1 else 4.5
        figure = Figure(figsize=(8 if panels == 1 else 12, max(least, 1.5 + 0.2 * rows)), layout="constrained")
        figure.suptitle(title, fontsize=10, weight="bold", parse_math=False)
        figure.subplots(1, panels)
        yield figure


def _draw_tuned(axes: "Axes", sites: Sequence[Tuned], units: Sequence[Unit]) -> None:
    """A box for each site: the quartiles of its units' selectivity, and the whole of its reach."""
    known: dict[str, list[float]] = {}
    for unit in units:
        if unit["selectivity"] is not None:
            known.setdefault(unit["site"], []).append(unit["selectivity"])
    for row, site in enumerate(sites[:MOST_LAYERS]):
        if site.site in known:
            least, low, middle, high, most = np.quantile(known[site.site], QUARTILES)
            axes.plot([least, most], [row, row], color=GREY, linewidth=1)
            axes.barh(row, high - low, 0.6, low, color=BLUE, alpha=0.35)
            axes.plot(middle, row, "o", color=BLUE)
    names = [f"{plain(site.site, 32)} ({site.units}, {site.dead} never fire)" for site in sites[:MOST_LAYERS]]
    _rows(axes, names, len(sites) - MOST_LAYERS, "each site's units: quartiles, median, and from least to most")
    axes.set(xlim=(-0.02, 1.02), xlabel="class selectivity")


def _draw_top(axes: "Axes", importance: Importance) -> None:
    """What each of the most important units costs, with its interval."""
    shown = [unit for unit in importance.top[:MOST_LAYERS] if unit.importance is not None]
    for row, unit in enumerate(shown):
        assert unit.importance is not None
        added = unit.importance.cross_entropy_added
        arms = [[max(0.0, added.value - added.low)], [max(0.0, added.high - added.value)]]
        axes.errorbar(added.value, row, xerr=arms, fmt="o", color=BLUE, capsize=3)
    sure = {None: "", True: ": certain", False: ": not certain within `passes`"}[importance.certain]
    names = [f"{plain(unit.site, 32)}, unit {unit.unit}" for unit in shown]
    _rows(axes, names, len(importance.top) - len(shown), f"the most important units{sure}")
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set(xlabel="nats added without the unit")


def _draw_ranks(axes: "Axes", units: Sequence[Unit]) -> None:
    """All units, most important first: a network of 10,000s is one line with its band."""
    known = sorted((unit["importance"] for unit in units if unit["importance"]), key=lambda each: each["rank"])
    # Evenly spread over the axis, which is logarithmic: of 50,000 units the line would otherwise be megabytes.
    ranks = np.unique(np.geomspace(1, max(len(known), 1), MOST_RANKS).round().astype(np.int64))[: len(known)]
    added = [known[rank - 1]["cross_entropy_added"] for rank in ranks.tolist()]
    axes.fill_between(ranks, [a["low"] for a in added], [a["high"] for a in added], color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(ranks, [a["value"] for a in added], color=BLUE, linewidth=2)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.set_title(f"all {len(known):,} units", loc="left", fontsize=10)
    axes.set(xlabel="rank", ylabel="nats added without the unit", xscale="log")


def _draw_orders(axes: "Axes", targeted: Targeted) -> None:
    for each in targeted.orders:
        colour, dash = LINES[each.order]
        name = "at random" if each.order == "random" else f"the {each.order.replace('_', ' ')} first"
        x, y = [p.fraction for p in each.curve], [p.value for p in each.curve]
        axes.plot(x, y, color=colour, linestyle=dash, linewidth=2, label=name)
        axes.fill_between(x, [p.low for p in each.curve], [p.high for p in each.curve], color=colour, alpha=0.1, lw=0)
    axes.set_title(f"in which order units are lost ({targeted.examples:,} examples)", loc="left", fontsize=10)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02), xlabel="fraction of units ablated", ylabel="accuracy")
    axes.legend(loc="best", fontsize=9, edgecolor="none", framealpha=0.85)


def _draw_classes(axes: "Axes", classes: Classes) -> None:
    """A row for each class, those that break first on top: a hundred lines would be told apart by nobody."""
    grid = np.array([each.values for each in classes.curves]).reshape(len(classes.curves), len(classes.fractions))
    if len(grid):
        middles = np.arange(len(grid))
        drawn = axes.pcolormesh(classes.fractions, middles, grid, cmap="cividis", vmin=0, vmax=1, shading="nearest")
        axes.figure.colorbar(drawn, ax=axes, label="accuracy")
    half = ["never" if c.half_life is None else f"half is lost at {c.half_life:.2f}" for c in classes.curves]
    names = [f"class {each.label} ({told})" for each, told in zip(classes.curves, half, strict=True)]
    left_out = classes.classes - len(classes.curves)
    _rows(axes, names, left_out, f"which classes break first ({classes.examples:,} examples)")
    axes.grid(visible=False)
    axes.set(xlabel="fraction of units ablated")


def _draw_noise(axes: "Axes", noise: Noise) -> None:
    x = [p.deviations for p in noise.curve]
    label = f"mean {noise.area.value:.3f} [{noise.area.low:.3f}, {noise.area.high:.3f}]"
    axes.plot(x, [p.value for p in noise.curve], color=BLUE, linewidth=2, label=label)
    low, high = [p.low for p in noise.curve], [p.high for p in noise.curve]
    axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.set_title(f"noise on all units at once ({noise.examples:,} examples)", loc="left", fontsize=10)
    axes.set(ylim=(-0.02, 1.02), xlabel="standard deviations of each unit", ylabel="accuracy")
    axes.legend(loc="best", fontsize=9, edgecolor="none", framealpha=0.85)


def _rows(axes: "Axes", names: Sequence[str], left_out: int, heading: str) -> None:
    """Name the rows, the first on top, and say how many are left out."""
    more = f" (and {left_out:,} more)" if left_out > 0 else ""
    axes.set_title(heading + more, loc="left", fontsize=10)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
