"""Which examples and masks find out what a unit is worth: it alone is ablated, on examples that all units share."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

ALONE = 6  # the stream's purpose: the first word of its spawn key; those of `trials`, lots and bootstraps come before


@lru_cache(maxsize=1)
def order(seed: int, examples: int) -> Ints:
    """The dataset in a random order, int64[N]: importance is measured on the first so many. The same on any machine."""
    keys = Philox(SeedSequence(seed, spawn_key=(ALONE,))).random_raw(examples)
    return np.argsort(keys, kind="stable")


def masks(sites: Sequence[int], units: Ints) -> list[Bools]:
    """bool[U, units of the site] for each site: row i keeps all but unit `units[i]`, counted through all sites."""
    kept, start = [], 0
    for size in sites:
        mask = np.ones((len(units), size), np.bool_)
        rows = np.flatnonzero((units >= start) & (units < start + size))
        mask[rows, units[rows] - start] = False
        kept.append(mask)
        start += size
    return kept
