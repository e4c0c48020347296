"""Masks for losing units in a given order, or each example in random orders of its own, at equally spaced fractions."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ORDERED = 7  # the stream's purpose: the first word of its spawn key
LAST = np.uint64(2**64 - 1)


def ranks(keys: Floats, sites: Sequence[int]) -> Ints:
    """int64[units]: when each unit is lost within its site, 0 first: those of the largest key, of equals the first.

    keys: float64[units], counted through all sites; NaN is lost last.
    """
    found = np.empty(len(keys), np.int64)
    for low, high in _places(sites):
        own = np.argsort(-keys[low:high], kind="stable")  # NaN goes to the end
        found[low + own] = np.arange(high - low)
    return found


def given(ranked: Ints, sites: Sequence[int], alive: Bools, fractions: Floats) -> list[Bools]:
    """bool[orders * fractions, units of the site] for each site, orders first. ranked: int64[orders, units].

    alive: bool[units], those that fractions are of; the others must come last in each order, and are never lost.
    """
    parts = [(ranked[:, low:high], int(alive[low:high].sum())) for low, high in _places(sites)]
    return [_lost(each, count, fractions) for each, count in parts]


def random(seed: int, start: int, rows: int, sites: Sequence[int], alive: Bools, fractions: Floats) -> list[Bools]:
    """bool[rows * fractions, units of the site] for each site: every row has an order of its own at each site.

    start: the number of the first row in the evaluation; a row's orders depend on its number, the seed and the site.
    """
    masks = []
    for site, (low, high) in enumerate(_places(sites)):
        own = alive[low:high]
        streams = [SeedSequence(seed, spawn_key=(ORDERED, site, start + row)) for row in range(rows)]
        keys = np.stack([Philox(stream).random_raw(high - low) for stream in streams])
        order = np.argsort(np.where(own, keys >> np.uint64(1), LAST), axis=1, kind="stable")
        masks.append(_lost(np.argsort(order, axis=1, kind="stable"), int(own.sum()), fractions))
    return masks


def _places(sites: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(np.cumsum([0, *sites]).tolist()))


def _lost(ranked: Ints, alive: int, fractions: Floats) -> Bools:
    """floor(f n + 1/2) of n units are lost at a fraction f, as in `worker.ablation.trials`."""
    dropped = np.floor(fractions * alive + 0.5).astype(np.int64)
    return (ranked[:, None, :] >= dropped[None, :, None]).reshape(-1, ranked.shape[1])
