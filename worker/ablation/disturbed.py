"""Gaussian noise for all units of a trial, of each unit's own size, in one direction at growing strength."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

NOISE = 8  # the stream's purpose: the first word of its spawn key


def noise(
    seed: int, start: int, rows: int, deviations: Floats, sites: Sequence[int], strengths: Floats
) -> list[NDArray[np.float32]]:
    """float32[rows * strengths, units of the site] for each site: every row has a draw of its own, at each strength.

    deviations: float64[units], counted through all sites: the standard deviation of the noise at strength 1. start: the
    number of the first row in the evaluation; a row's draw depends on its number and the seed.
    """
    total = len(deviations)
    words = np.stack(
        [Philox(SeedSequence(seed, spawn_key=(NOISE, start + row))).random_raw(total) for row in range(rows)]
    )
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    drawn = special.ndtri(uniform) * deviations
    whole = (drawn[:, None, :] * strengths[None, :, None]).reshape(-1, total).astype(np.float32)
    ends = np.cumsum(sites)[:-1]
    return [np.ascontiguousarray(each) for each in np.split(whole, ends, axis=1)]
