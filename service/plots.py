"""A result's curve as SVG, PNG or CSV: equal results give equal bytes. Drawing in the terminal is service.terminal."""

import csv as csv_format
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.measures import metric, reach
from service.schemas import Estimate, Layer, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any kind of colour vision, and in grey.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "axes.axisbelow": True,
    "svg.hashsalt": "lesion",  # else every drawing gets random ids
    "svg.fonttype": "none",  # text stays text: small, selectable, readable aloud
}
LONGEST = 90  # characters of a title that still fit
MOST_LAYERS = 80  # rows of the panel of sites: beyond that nobody reads a picture, and the JSON has them all
DRAWING = threading.Lock()  # matplotlib is not thread-safe, and the API draws from a pool of threads


def csv(result: Result) -> str:
    """The curve with a line for each fraction: fraction, value, low, high, trials. Numbers read back exactly."""
    text = io.StringIO()
    lines = csv_format.writer(text, lineterminator="\n")
    lines.writerow(["fraction", "value", "low", "high", "trials"])
    lines.writerows([p.fraction, p.value, p.low, p.high, p.trials] for p in result.curve)
    return text.getvalue()


def svg(result: Result, title: str) -> bytes:
    """The curve as an SVG document of 8 x 4.5 inches, or wider if there are layers."""
    return _saved(result, title, format="svg", metadata={"Date": None, "Creator": "Lesion", "Title": plain(title)})


def png(result: Result, title: str) -> bytes:
    """The curve as a PNG picture of 1200 x 675 pixels, or wider if there are layers."""
    return _saved(result, title, format="png", dpi=150, metadata={"Software": None})


def _saved(result: Result, title: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    with _canvas(result, title) as figure:
        figure.savefig(buffer, **how)
    return buffer.getvalue()


@contextmanager
def _canvas(result: Result, title: str) -> Iterator["Figure"]:
    # Imported here and not above: it costs 0.9 s, which every start of the API and of the tests would pay.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with DRAWING, rc_context(STYLE):
        layers = result.layers[:MOST_LAYERS]
        tall = max(4.5, 1.5 + 0.2 * len(layers))
        figure = Figure(figsize=(12 if layers else 8, tall), layout="constrained")
        columns = figure.subplots(1, 2 if layers else 1, squeeze=False)[0]
        columns[0].set_title(plain(title), loc="left", weight="bold", pad=22, parse_math=False)
        columns[0].text(0, 1.02, _caption(result), transform=columns[0].transAxes, color=GREY, parse_math=False)
        _draw_curve(columns[0], result)
        if layers:
            _draw_layers(columns[1], layers, len(result.layers) - len(layers))
        yield figure


def _draw_curve(axes: "Axes", result: Result) -> None:
    """Curve, band, chance, A(0) and half-life, each named in the legend."""
    name = metric(result)
    bottom, top = reach([result])
    margin = 0.02 * (top - bottom)
    axes.set(xlim=(-0.01, 1.01), ylim=(bottom - margin, top + margin), xlabel="fraction of units ablated", ylabel=name)
    if result.curve:
        curve(axes, result, f"{name}, with its {_confidence(result)} interval", BLUE)
    else:
        why = result.score_refused or "there is no curve over several sites; see the sites on the right"
        axes.text(0.5, 0.5, f"No curve: {plain(why)}", ha="center", wrap=True, parse_math=False)
    axes.axhline(result.chance, color=GREY, linestyle="--", linewidth=1, label=f"chance {result.chance:.3f}")
    intact = f"intact network {interval(result.intact)}"
    axes.errorbar(0, result.intact.value, arms(result.intact), fmt="o", color=BLUE, capsize=3, label=intact)
    if result.half_life is not None:
        half = result.chance + (result.intact.value - result.chance) / 2
        label = f"half-life {interval(result.half_life)}"
        at = result.half_life
        axes.errorbar(at.value, half, xerr=arms(at), fmt="D", color=ORANGE, capsize=3, label=label)
    axes.legend(loc="best", fontsize=9, edgecolor="none", framealpha=0.85)


def curve(axes: "Axes", result: Result, label: str, colour: str, line: str = "-") -> None:
    """A result's curve, and its interval as a band. line: matplotlib's word for its style."""
    x = [point.fraction for point in result.curve]
    axes.plot(x, [point.value for point in result.curve], line, color=colour, linewidth=2, label=label)
    low, high = [point.low for point in result.curve], [point.high for point in result.curve]
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def _draw_layers(axes: "Axes", layers: list[Layer], left_out: int) -> None:
    """Each site's score (its auc where the score is refused), first site on top."""
    more = f" (and {left_out} more)" if left_out else ""
    axes.set_title(f"each site alone{more}", loc="left", weight="bold", pad=22)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.axvline(1, color=GREY, linewidth=1)
    for row, layer in enumerate(layers):
        shown = layer.score or layer.auc
        sign, colour, inside = ("o", BLUE, BLUE) if layer.score else ("s", GREY, "white")
        axes.errorbar(shown.value, row, xerr=arms(shown), fmt=sign, color=colour, mfc=inside, capsize=3)
    note = "" if all(layer.score for layer in layers) else " (hollow square: no score, its area under the curve)"
    axes.set(ylim=(len(layers) - 0.5, -0.5), xlabel="score" + note)
    names = [f"{plain(layer.site, 32)} ({layer.units})" for layer in layers]
    axes.set_yticks(range(len(layers)), names, parse_math=False)


def _caption(result: Result) -> str:
    found = "no score" if result.score is None else f"score {interval(result.score)} at {_confidence(result)}"
    if result.score is None and result.curve and result.score_refused:
        found += f": {result.score_refused}"
    return plain(f"{found}   ·   scope {result.scope}   ·   clamp {result.clamp}", 140)


def _confidence(result: Result) -> str:
    return f"{100 * float(result.provenance.config.get('confidence', 0.95)):g} %"


def interval(estimate: Estimate) -> str:
    """An estimate as a caption has it."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def arms(estimate: Estimate) -> list[list[float]]:
    """Lengths of an error bar's two arms, as matplotlib wants them; never below zero."""
    return [[max(0.0, estimate.value - estimate.low)], [max(0.0, estimate.high - estimate.value)]]


def plain(text: str, longest: int = LONGEST) -> str:
    """Text from an upload, fit for XML: nothing unprintable, and no longer than there is room for."""
    clean = "".join(sign if sign.isprintable() else " " for sign in text)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"
