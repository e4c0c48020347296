"""Two evaluations side by side as SVG or PNG: equal results give equal bytes."""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.measures import metric, reach
from service.plots import BLUE, DRAWING, GREY, ORANGE, STYLE, arms, curve, interval, plain
from service.schemas import Comparison, Estimate, Result, Side

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 100  # characters of a line of the summary
LOOKS = (("baseline", BLUE, "-"), ("candidate", ORANGE, "--"))


def svg(found: Comparison, baseline: Result, candidate: Result) -> bytes:
    """Both curves and scores, and the difference, as an SVG document of 8 x 6 inches."""
    return _saved(found, (baseline, candidate), format="svg", metadata={"Date": None, "Creator": "Lesion"})


def png(found: Comparison, baseline: Result, candidate: Result) -> bytes:
    """The same as a PNG picture of 1200 x 900 pixels."""
    return _saved(found, (baseline, candidate), format="png", dpi=150, metadata={"Software": None})


def _saved(found: Comparison, results: tuple[Result, Result], **how: Any) -> bytes:
    buffer = io.BytesIO()
    with _drawn(found, results) as figure:
        figure.savefig(buffer, **how)
    return buffer.getvalue()


@contextmanager
def _drawn(found: Comparison, results: tuple[Result, Result]) -> Iterator["Figure"]:
    from matplotlib import rc_context  # here, since every start of the API would pay for it
    from matplotlib.figure import Figure

    with DRAWING, rc_context(STYLE):
        figure = Figure(figsize=(8, 6), layout="constrained")
        curves, below = figure.subplots(2, 1, height_ratios=[4, 1])
        title = f"{_named(found.candidate)} against {_named(found.baseline)}"
        curves.set_title(title, loc="left", weight="bold", pad=36)
        said = "\n".join(textwrap.wrap(plain(found.summary, 2 * WIDTH), WIDTH))
        curves.text(0, 1.02, said, transform=curves.transAxes, color=GREY, fontsize=9, parse_math=False)
        _draw_curves(curves, found, results)
        _draw_difference(below, found)
        yield figure


def _draw_curves(axes: "Axes", found: Comparison, results: tuple[Result, Result]) -> None:
    bottom, top = reach(results)
    margin = 0.02 * (top - bottom)
    axes.set(xlim=(-0.01, 1.01), ylim=(bottom - margin, top + margin))
    axes.set(xlabel="fraction of units ablated", ylabel=metric(results[0]))
    scores = found.baseline.score, found.candidate.score
    for (side, colour, line), result, score in zip(LOOKS, results, scores, strict=True):
        curve(axes, result, f"{side}, score {interval(score)}", colour, line)
    for chance in sorted({result.chance for result in results}):
        axes.axhline(chance, color=GREY, linestyle=":", linewidth=1, label=f"chance {chance:.3f}")
    axes.legend(loc="best", fontsize=9, edgecolor="none", framealpha=0.85)


def _draw_difference(axes: "Axes", found: Comparison) -> None:
    """The difference with its interval, beside the line of none."""
    how = "paired" if found.paired else "not paired"
    title = f"difference {_signed(found.difference)} at {100 * found.confidence:g} %, {how}"
    axes.set_title(title, loc="left", fontsize=10)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.errorbar(found.difference.value, 0, xerr=arms(found.difference), fmt="o", color=BLUE, capsize=4)
    far = 1.15 * max(abs(found.difference.low), abs(found.difference.high), 0.02)
    axes.set(xlim=(-far, far), ylim=(-1, 1), xlabel="score of the candidate minus that of the baseline")
    axes.set_yticks([])


def _named(side: Side) -> str:
    return f"{side.model[7:15]} ({side.id[-6:]})"


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
