"""The pictures of docs/evidence.md, as SVG; equal figures give equal bytes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.zoo import rows as table
from benchmarks.zoo import series, uses
from benchmarks.zoo.rows import Row

mpl.use("svg")
from matplotlib import pyplot as plt

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "lesion",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
LEGENDS = {"corruption": "labels drawn anew", "dropout": "dropout"}
LOST = "fraction of units ablated"


def draw(out: Path, zoo: list[Row]) -> None:
    """Every picture that there is data for."""
    with mpl.rc_context(STYLE):
        curves = [(row, float(row["fraction"]), float(row["value"])) for row in series.plain(out / "curves.csv")]
        for figure, panels in {
            "corruption": {"corruption mlp": "MLP, 2 × 128", "corruption conv": "three convolutions"},
            "dropout": {"dropout 0": "true labels", "dropout 0.2": "a fifth of labels drawn anew"},
            "norm": {"norm mlp": "MLPs", "norm conv": "conv nets"},
            "five": {"five mlp": "MLPs", "five conv": "conv nets"},
        }.items():
            _curves(out / f"{figure}.svg", curves, panels)
        _scatter(out / "gap.svg", zoo, "gap", "training less test accuracy")
        _scatter(out / "accuracy.svg", zoo, "test accuracy", "test accuracy")
        if units := series.read(out / "units.csv"):
            _units(out / "selectivity.svg", units)
        if epochs := series.read(out / "epochs.csv"):
            _epochs(out / "stopping.svg", epochs)


def _save(path: Path, figure: Any) -> None:
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _curves(path: Path, rows: list[tuple[dict[str, str], float, float]], panels: dict[str, str]) -> None:
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.2), sharey=True, squeeze=False)
    for place, (name, title) in enumerate(panels.items()):
        axis = axes[0][place]
        mine = [each for each in rows if each[0]["figure"] == name]
        labels = list(dict.fromkeys(each[0]["label"] for each in mine))
        colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, max(len(labels), 1)))
        for colour, label in zip(colours, labels, strict=False):
            same = [each for each in mine if each[0]["label"] == label]
            x, y = (np.array([each[which] for each in same]) for which in (1, 2))
            error = 1.96 * np.array([float(each[0]["error"]) for each in same])
            axis.plot(x, y, color=colour, label=f"{label} ({same[0][0]['networks']})")
            axis.fill_between(x, y - error, y + error, color=colour, alpha=0.2, linewidth=0)
            if name.startswith("dropout") and float(label):
                axis.axvline(float(label), color=colour, linestyle=":", linewidth=1)
        axis.set(title=title, xlabel=LOST, xlim=(0, 1), ylim=(0, 1.02))
        if labels:
            axis.legend(fontsize=7, title=LEGENDS.get(path.stem), title_fontsize=7)
    axes[0][0].set_ylabel("training accuracy")
    _save(path, figure)


def _scatter(path: Path, zoo: list[Row], target: str, label: str) -> None:
    """The score of every network that fits its training set, a panel for each family and kind of labels."""
    panels = [("mlp", False), ("mlp", True), ("conv", False), ("conv", True)]
    figure, axes = plt.subplots(1, 4, figsize=(12, 3))
    for axis, (family, corrupted) in zip(axes, panels, strict=True):
        rows = [row for row in table.half(zoo, family, None, corrupted) if row["score"] is not None]
        for norm, colour in ((0, "tab:blue"), (1, "tab:orange")):
            for depth, marker in ((1, "o"), (3, "^")):
                same = [row for row in rows if (row["norm"], row["depth"]) == (norm, depth)]
                if same:
                    told = f"{'batch norm' if norm else 'none'}, {depth} hidden layer{'s' if depth > 1 else ''}"
                    x, y = table.column(same, "score"), table.column(same, target)
                    axis.scatter(x, y, 8, colour, marker=marker, alpha=0.6, linewidths=0, label=told)
        axis.set(title=f"{family}, {'a fifth wrong' if corrupted else 'true labels'}", xlabel="score")
    axes[0].set_ylabel(label)
    figure.tight_layout()
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=4, fontsize=7)
    _save(path, figure)


def _units(path: Path, units: list[Row]) -> None:
    """A dot a unit: rank of selectivity against rank of importance, within each layer."""
    names = list(dict.fromkeys(str(row["name"]) for row in units))
    figure, axes = plt.subplots(1, len(names), figsize=(2.6 * len(names), 2.8), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        mine = [row for row in units if row["name"] == name and row["selectivity"] is not None]
        for site in dict.fromkeys(str(row["site"]) for row in mine):
            same = [row for row in mine if str(row["site"]) == site]
            axis.scatter(table.column(same, "selectivity"), table.column(same, "added"), 8, alpha=0.6, linewidths=0)
        axis.set_yscale("symlog", linthresh=1e-4)
        family, seed = name.split("-")[1], name[-1]
        axis.set(title=f"{family}, seed {seed}", xlabel="class selectivity", xlim=(0, 1))
    axes[0][0].set_ylabel("nats added without the unit")
    figure.tight_layout()
    _save(path, figure)


def _epochs(path: Path, epochs: list[Row]) -> None:
    """Score, and test accuracy and validation loss, over the epochs of each run."""
    runs = uses.runs(epochs)
    figure, axes = plt.subplots(2, (len(runs) + 1) // 2, figsize=(11, 5), squeeze=False, sharex=True)
    for axis, (_, run) in zip(axes.ravel(), runs.items(), strict=False):
        x = table.column(run, "epoch")
        for name, colour in (("score", "tab:blue"), ("auc", "tab:cyan"), ("test accuracy", "tab:green")):
            axis.plot(x, table.column(run, name), color=colour, label=name)
        beside = axis.twinx()
        beside.plot(x, table.column(run, "validation loss"), color="tab:red", linestyle="--", label="validation loss")
        beside.grid(visible=False)
        first = run[0]
        axis.set(
            title=f"{first['corruption']:.0%} wrong, rate {first['rate']:g}, seed {first['seed']:.0f}", ylim=(0, 1)
        )
        axis.title.set_fontsize(8)
        _legend(axis, (axis, beside))
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    figure.tight_layout()
    _save(path, figure)


def _legend(axis: Any, several: Iterable[Any]) -> None:
    lines, labels = [], []
    for each in several:
        found = each.get_legend_handles_labels()
        lines += found[0]
        labels += found[1]
    axis.legend(lines, labels, fontsize=6, loc="lower right")
