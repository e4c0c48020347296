"""Which examples a chunk's trials push where examples weigh differently: heavy ones are drawn more often."""

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LOTS = 4  # the stream's purpose: the first word of its spawn key, after those of worker.ablation.trials


def shelves(weights: Floats) -> Floats:
    """Where on [0, N] each example's share of all weight ends: float64[N]. weights: float64[N], none negative."""
    ends = np.cumsum(weights)
    return np.asarray(ends * (len(weights) / ends[-1]))


def drawn(ends: Floats, places: Ints, seed: int, index: int) -> Ints:
    """The examples at these places, int64[T], each drawn as often as it weighs; what weighs nothing, never.

    places: int64[T] in [0, N), as `trials.draw` has them for chunk `index`: uniform, and each once an epoch. A place
    and a random part of 1 behind it is a point on [0, N], which falls on one example's share. So the mean of the
    trials' values is the weighted mean without any weight in it, right answers are still counted in integers, and an
    example that weighs as much as 25 others is tried with 25 lesions where they are tried with one.
    """
    words = Philox(SeedSequence(seed, spawn_key=(LOTS, index))).random_raw(len(places))
    points = places + (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.minimum(np.searchsorted(ends, points, side="right"), len(ends) - 1)
