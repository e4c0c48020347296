"""Labels that are values: R2 of a regression."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import problems, scoring
from worker import answers
from worker.targets import Floats, Ints, checked, measured, normal


@dataclass(eq=False)
class Values:
    """Labels that are values, for R2: 1 minus the squared error over the labels' own variance, column by column.

    labels: float64[N, K]. spreads: float64[K], the columns' variances. low, high: float64[K], as far as an output is
    believed: one whole range of the labels beyond them; what is further away, or no number, counts as the further end.
    lots: float64[N]. A network loses most where labels lie far from their mean: half of the trials go there, in
    proportion, so that no few examples decide alone whether an interval covers.
    """

    labels: Floats
    spreads: Floats
    low: Floats
    high: Floats
    middle: Floats
    weights: Floats | None
    lots: Floats
    chance: float = 0.0
    counts: bool = False

    @property
    def labelled(self) -> int:
        """How many labels there are."""
        return self.labels.size

    def values(self, outputs: answers.Numbers, examples: Ints) -> Floats:
        """Each trial's value, [T]: the mean over the columns; 1 is exact, 0 what the labels' mean would give."""
        labels = self.labels[examples]
        given = outputs.reshape(len(outputs), -1).astype(np.float64)
        if given.shape != labels.shape:
            raise problems.DatasetMismatch(
                f"The model gives {given.shape[1]} values an example, the labels have {labels.shape[1]} columns. "
                "Give as many labels as outputs, or choose another `output`."
            )
        furthest = np.where(labels - self.low > self.high - labels, self.low, self.high)
        given = np.where(np.isnan(given), furthest, np.clip(given, self.low, self.high))
        found: Floats = 1 - ((labels - given) ** 2 / self.spreads).mean(axis=1)
        return found

    def drawn(self, values: NDArray[Any], examples: Ints) -> Floats:
        """Each trial's loss, divided by how much more often its example was drawn than it weighs."""
        weights = 1.0 if self.weights is None else self.weights[examples]
        return np.asarray(1 - (1 - values) * weights / self.lots[examples])

    def intact(self, values: NDArray[Any]) -> scoring.Intact:
        """A(0) of the intact network's values, [N], with the standard error of a ratio (delta method)."""
        weights = np.ones(len(values)) if self.weights is None else self.weights
        missed = 1 - float(np.average(values, weights=weights))
        spread = ((self.labels - self.middle) ** 2 / self.spreads).mean(axis=1)
        return measured(values, weights, weights * (1 - values - missed * spread))


def values(labels: NDArray[np.floating[Any]], weights: Floats | None) -> Values:
    """The target of labels that are values. labels: float[N] or float[N, K], finite; weights: float64[N] or None.

    Raises `DatasetMismatch` where a column of labels doesn't vary.
    """
    columns = labels.reshape(len(labels), -1).astype(np.float64)
    given = checked(weights, len(columns))
    with np.errstate(over="ignore", invalid="ignore"):
        middle = np.average(columns, axis=0, weights=given)
        spreads = np.average((columns - middle) ** 2, axis=0, weights=given)
    useless = np.flatnonzero(~((spreads > 0) & np.isfinite(spreads)))
    if len(useless):
        raise problems.DatasetMismatch(
            f"R2 needs labels that vary and are finite; column {int(useless[0])} of {columns.shape[1]} is not so. "
            "Leave it out."
        )
    low, high = columns.min(axis=0), columns.max(axis=0)
    reach = high - low
    lots = given * (1 + ((columns - middle) ** 2 / spreads).mean(axis=1))
    whole = normal(given)
    return Values(columns, spreads, low - reach, high + reach, middle, whole, lots * (len(lots) / lots.sum()))
