"""The tables beside the paper's figures: corruption, dropout, batch normalisation, best and worst, single units."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.zoo import rows as table
from benchmarks.zoo import series, uses
from benchmarks.zoo.rows import Row
from benchmarks.zoo.series import FIVE
from benchmarks.zoo.tables import markdown


def told(out: Path, zoo: list[Row]) -> dict[str, str]:
    """By name; what has no data yet says so."""
    single, epochs = series.read(out / "series.csv"), series.read(out / "epochs.csv")
    made = {
        "corruption": _ladder([row for row in single if row["group"] == "ladder"]),
        "dropout": _dropout([row for row in single if row["group"] == "dropout"]),
        "norm": _norm(zoo),
        "five": _five(zoo),
        "selectivity": _selectivity(series.read(out / "relations.csv")),
        "choice": uses.picking(zoo),
    }
    made["stopping"] = uses.stopping(epochs) if epochs else "Not scored yet.\n"
    return made


def _mean(rows: list[Row], name: str) -> str:
    values = table.column(rows, name)
    values = values[~np.isnan(values)]
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})" if len(values) else "none"


def _grouped(rows: list[Row], key: Callable[[Row], tuple[object, ...]], heads: tuple[str, ...]) -> str:
    lines = []
    for each in sorted({key(row) for row in rows}, key=str):
        same = [row for row in rows if key(row) == each]
        means = (_mean(same, name) for name in ("training accuracy", "test accuracy", "score", "half-life"))
        lines.append(
            [*(f"{part:.0%}" if isinstance(part, float) else str(part) for part in each), str(len(same)), *means]
        )
    return markdown((*heads, "networks", "training accuracy", "test accuracy", "score", "half-life"), lines)


def _ladder(rows: list[Row]) -> str:
    return _grouped(rows, lambda row: (row["family"], row["corruption"]), ("family", "labels drawn anew"))


def _dropout(rows: list[Row]) -> str:
    return _grouped(rows, lambda row: (row["corruption"], row["dropout"]), ("labels drawn anew", "dropout"))


def _norm(zoo: list[Row]) -> str:
    """Pairs of networks that differ in batch normalisation alone."""
    lines = []
    for family in ("mlp", "conv"):
        for corrupted in (False, True):
            rows = [row for row in table.half(zoo, family, None, corrupted) if row["score"] is not None]
            found = []
            for name in ("score", "test accuracy"):
                apart = _pairs(rows, "norm", name)
                if len(apart) < 2:
                    break
                half = float(stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart)))
                found += [f"{apart.mean():+.3f} ± {half:.3f}", f"{(apart > 0).mean():.0%} of {len(apart)}"]
            if found:
                lines.append([f"{family}, {'a fifth of labels wrong' if corrupted else 'true labels'}", *found])
    heads = ("networks", "score with less without", "higher with", "test accuracy with less without", "higher with")
    return markdown(heads, lines)


def _pairs(rows: list[Row], axis: str, name: str) -> table.Floats:
    """What networks with an axis at its upper level have more of than those like them in all else."""
    others = [each for each in table.AXES if each != axis]
    low = {tuple(row[each] for each in others): row for row in rows if not row[axis]}
    found = []
    for row in rows:
        twin = low.get(tuple(row[each] for each in others))
        if row[axis] and twin is not None:
            found.append(row[name] - twin[name])
    return np.array(found, dtype=np.float64)


def _five(zoo: list[Row]) -> str:
    """Best and worst five by test accuracy, of networks with true labels."""
    lines = []
    for family in ("mlp", "conv"):
        rows = [row for row in table.half(zoo, family, None, corrupted=False) if row["score"] is not None]
        if len(rows) < 4 * FIVE:
            continue
        ranked = sorted(rows, key=lambda row: float(row["test accuracy"]))
        best, worst = ranked[-FIVE:], ranked[:FIVE]
        apart = stats.mannwhitneyu(table.column(best, "score"), table.column(worst, "score"))
        cells = [_mean(side, name) for name in ("test accuracy", "score") for side in (best, worst)]
        lines.append([f"{family} ({len(rows)})", *cells, f"{apart.pvalue:.3f}"])
    heads = ("networks", "test accuracy, best five", "worst five", "score, best five", "worst five", "p (Mann-Whitney)")
    return markdown(heads, lines)


def _selectivity(relations: list[Row]) -> str:
    lines = []
    for row in relations:
        cells = [
            f"{row[f'{each} value']:+.2f} [{row[f'{each} low']:+.2f}, {row[f'{each} high']:+.2f}]"
            for each in ("spearman", "kendall")
            if row[f"{each} value"] is not None
        ]
        lines.append([str(row["name"]), str(row["property"]), f"{row['units']:.0f}", *cells])
    return markdown(("network", "property", "units", "Spearman's with importance", "Kendall's tau"), lines)
