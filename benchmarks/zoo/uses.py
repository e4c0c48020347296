"""What the score is used for in the paper, tried out: when to stop training, and which hyper-parameters to take."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from benchmarks.zoo import rows as table
from benchmarks.zoo.rows import Row
from benchmarks.zoo.tables import interval, markdown
from service.scoring import relation

PATIENCE = 3  # checkpoints without a higher value that end a run
CHOOSING, REPORTING = 0, 1


@dataclass(frozen=True)
class Stop:
    """Where a rule stops one run. `lost`: test accuracy less than that of the run's best checkpoint."""

    epoch: int
    accuracy: float
    lost: float


Rule = Callable[[list[Row]], int]


def highest(name: str) -> Rule:
    """The checkpoint where a column is highest."""
    return lambda run: int(np.nanargmax(table.column(run, name)))


def first_peak(name: str) -> Rule:
    """The best checkpoint until then, once a column has not been higher for PATIENCE checkpoints."""

    def rule(run: list[Row]) -> int:
        best = 0
        values = np.nan_to_num(table.column(run, name), nan=-np.inf)
        for place, value in enumerate(values):
            if value > values[best]:
                best = place
            elif place - best >= PATIENCE:
                break
        return best

    return rule


def by_loss(run: list[Row]) -> int:
    """The checkpoint of the least validation loss."""
    return int(np.argmin(table.column(run, "validation loss")))


# Ways to read the score, one of which is chosen on the first seed's runs.
CANDIDATES: dict[str, Rule] = {
    "score, highest": highest("score"),
    "score, first peak": first_peak("score"),
    "auc, highest": highest("auc"),
    "auc, first peak": first_peak("auc"),
}


def runs(epochs: list[Row]) -> dict[str, list[Row]]:
    """The checkpoints of each run, by its name, in order."""
    return {name: list(rows) for name, rows in groupby(epochs, key=lambda row: str(row["name"]))}


def stop(run: list[Row], rule: Rule) -> Stop:
    """Where a rule stops a run, and what that costs."""
    place = rule(run)
    accuracy = table.column(run, "test accuracy")
    return Stop(int(run[place]["epoch"]), float(accuracy[place]), float(accuracy.max() - accuracy[place]))


def chosen_rule(epochs: list[Row]) -> str:
    """The candidate that costs least test accuracy on the first seed's runs."""
    mine = [run for run in runs(epochs).values() if run[0]["seed"] == CHOOSING]
    return min(CANDIDATES, key=lambda name: sum(stop(run, CANDIDATES[name]).lost for run in mine))


def stopping(epochs: list[Row]) -> str:
    """The table of early stopping: by the score as chosen, by validation loss, and not at all."""
    name = chosen_rule(epochs)
    lines = []
    for run in runs(epochs).values():
        if run[0]["seed"] != REPORTING:
            continue
        ours, loss, last = (stop(run, rule) for rule in (CANDIDATES[name], by_loss, lambda run: len(run) - 1))
        lines.append(
            [
                f"{run[0]['corruption']:.0%}",
                f"{run[0]['rate']:g}",
                *(str(each.epoch) for each in (ours, loss)),
                str(ours.epoch - loss.epoch),
                *(f"{each.accuracy:.4f} (−{each.lost:.4f})" for each in (ours, loss, last)),
            ]
        )
    heads = ("labels drawn anew", "learning rate", "epoch by score", "by validation loss", "apart")
    accuracy = ("test accuracy by score (lost)", "by validation loss (lost)", "at the end (lost)")
    return f"Rule chosen on the first seed's runs: {name}.\n\n{markdown((*heads, *accuracy), lines)}"


def picking(zoo: list[Row]) -> str:
    """The table of hyper-parameter choice on the reporting half: rank correlation with test accuracy, and regret."""
    lines = []
    for family in ("mlp", "conv"):
        for corrupted in (False, True):
            rows = [row for row in table.half(zoo, family, REPORTING, corrupted) if row["score"] is not None]
            lines += _picked(rows, f"{family}, {'a fifth of labels wrong' if corrupted else 'true labels'}")
    heads = ("networks", "chosen by", "Spearman's with test accuracy", "test accuracy", "best", "regret")
    return markdown(heads, lines)


def _picked(rows: list[Row], name: str) -> list[list[str]]:
    if len(rows) < 8:
        return []
    accuracy = table.column(rows, "test accuracy")
    found = []
    for label, measure, sign in (
        ("score, highest", "score", 1),
        ("noise area, largest", "noise area", 1),
        ("training loss, least", "training loss", -1),
        ("validation accuracy, highest", "validation accuracy", 1),
    ):
        values = sign * table.column(rows, measure)
        got = float(accuracy[int(np.nanargmax(values))])
        ranks = relation.related(values, accuracy, np.zeros(len(rows), np.int64), seed=1, confidence=0.95)
        cells = [interval(ranks.spearman), f"{got:.4f}", f"{accuracy.max():.4f}", f"{accuracy.max() - got:.4f}"]
        found.append([f"{name} ({len(rows)})", label, *cells])
    mean = float(accuracy.mean())
    chance = ["", f"{mean:.4f}", f"{accuracy.max():.4f}", f"{accuracy.max() - mean:.4f}"]
    return [*found, [f"{name} ({len(rows)})", "chance (mean of all)", *chance]]
