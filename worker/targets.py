"""What outputs are held against, whatever the metric: a value for each trial, weights, A(0) and chance.

A(f) is the weighted mean over the dataset of each example's value, by weights that are known beforehand and have the
mean 1. Labels live here, in the parent; the child that runs the model never sees them.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service import problems, scoring
from worker.answers import Numbers

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Target(Protocol):
    """What outputs are held against."""

    @property
    def weights(self) -> Floats | None:
        """float64[N] with the mean 1; None where all examples weigh the same."""

    @property
    def chance(self) -> float:
        """The metric's value for the best constant answer."""

    @property
    def counts(self) -> bool:
        """Is every value right or wrong?"""

    @property
    def labelled(self) -> int:
        """How many labels there are."""

    @property
    def lots(self) -> Floats | None:
        """How often `adaptive` draws each example, float64[N] with the mean 1; None: all as often."""

    def values(self, outputs: Numbers, examples: Ints) -> Bools | Floats:
        """Each trial's value, [T], finite. outputs: float32[T, *tail]; examples: int64[T], which were pushed."""

    def drawn(self, values: Bools | Floats, examples: Ints) -> Bools | Floats:
        """Values of trials whose examples were drawn by `lots`: their plain mean is the weighted mean of all."""

    def intact(self, values: Bools | Floats) -> scoring.Intact:
        """A(0) of the intact network's values, [N] in the dataset's order."""


def checked(weights: Floats | None, examples: int) -> Floats:
    """Weights as given, float64[N], or ones. Raises `DatasetMismatch` for what cannot be weights."""
    if weights is None:
        return np.ones(examples)
    if not np.all(np.isfinite(weights)) or weights.min() < 0 or not 0 < weights.sum() < np.inf:
        raise problems.DatasetMismatch(
            "The weights must be finite numbers, none below 0 and not all of them 0. Mend them, or leave `weights` out."
        )
    return weights


def normal(weights: Floats) -> Floats | None:
    """Weights with the mean 1; None if they are all equal."""
    if np.all(weights == weights[0]):
        return None
    found: Floats = weights * (len(weights) / weights.sum())
    return found


def measured(values: Bools | Floats, weights: Floats, influences: Floats) -> scoring.Intact:
    """A(0) of weighted values. influences: float64[N], by how much drawing an example once more moves their sum."""
    examples = len(values)
    error = np.sqrt((influences**2).sum() / max(examples - 1, 1) / examples)
    effective = examples**2 / float((weights**2).sum())
    return scoring.Intact(float((weights * values).sum()), examples, effective, float(error))
