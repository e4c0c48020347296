"""The figures as a picture: passes a second beside the loop of hooks, and seconds to ±0.01 by dataset size."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed.questions import FORMS

NAMES = {
    "hooks": "PyTorch, forward hooks",
    "runtime": "onnxruntime, masks",
    "captum": "Captum",
    "nnsight": "nnsight",
    "grid": "Lesion, grid",
}
SHORT = {"mlp": "MLP", "cnn": "CNN", "residual": "ResNet-20", "encoder": "encoder", "lite0": "EfficientNet-Lite0"}
# Okabe and Ito's: told apart with any kind of colour vision. One for each of NAMES, one for each network.
WHO = ("#6B6B6B", "#56B4E9", "#E69F00", "#CC79A7", "#0072B2")
WHICH = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "speed",  # the same figures make the same file
}


def draw(rows: Sequence[Sequence[Any]], curves: Mapping[str, Sequence[tuple[int, float, float]]], path: Path) -> None:
    """rows: as in docs/speed.csv. curves: for each network, examples, seconds of `adaptive` and of the loop."""
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 9), layout="constrained")
        axes = figure.subplots(len(FORMS) + 1, 1, squeeze=False)[:, 0]
        for axis, form in zip(axes, FORMS, strict=False):
            _bars(axis, form, rows)
        axes[0].legend(fontsize=8, ncols=5, loc="lower left", bbox_to_anchor=(0, 1.12), frameon=False)
        _seconds(axes[-1], curves)
        figure.savefig(path, metadata={"Date": None})


def _bars(axis: Axes, form: str, rows: Sequence[Sequence[Any]]) -> None:
    names = list(dict.fromkeys(row[0] for row in rows))
    for place, who in enumerate(NAMES):
        own = {row[0]: row[-1] for row in rows if row[1] == form and row[2] == who}
        heights = [own.get(name) or 0 for name in names]
        bars = axis.bar(np.arange(len(names)) + (place - 2) * 0.16, heights, 0.15, label=NAMES[who], color=WHO[place])
        if who == "grid":
            axis.bar_label(bars, fmt="%.1f", fontsize=8)
    axis.axhline(1, color="black", linewidth=0.6)
    axis.set_title(f"{form}: passes a second, hook loop = 1", loc="left", fontsize=9)
    axis.set_xticks(np.arange(len(names)), [SHORT[name] for name in names])


def _seconds(axis: Axes, curves: Mapping[str, Sequence[tuple[int, float, float]]]) -> None:
    for place, (name, points) in enumerate(curves.items()):
        if points:
            examples, adaptive, loop = zip(*points, strict=True)
            axis.plot(examples, adaptive, "o-", color=WHICH[place], label=SHORT[name])
            axis.plot(examples, loop, "x--", color=WHICH[place])
    axis.set(xscale="log", yscale="log", xlabel="examples in the dataset")
    axis.set_title("network: seconds to ±0.01 at 95 %; lines: adaptive, dashes: hook loop", loc="left", fontsize=9)
    if any(curves.values()):
        axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
