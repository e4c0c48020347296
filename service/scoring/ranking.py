"""How many pairs of units stand in the wrong order of importance, and what more examples would mend of that."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from service.scoring.importance import Importance, doubt

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OTHERS = 1_024  # units that each is held against, at most
BLOCK = 256  # units at a time


def mended(importance: Importance, more: Ints, population: int) -> Floats:
    """By how much fewer pairs will probably stand in the wrong order, for each example that a unit meets. float64[U].

    more: int64[U], examples that each would meet on top of what it met; 0 where there are none left, which mends
    nothing. population: N, the examples that there are.

    Two means of units that differ by d, with variances v and w, stand in the wrong order with the probability
    Phi(-|d| / sqrt(v + w)), if d is what it seems (Chen et al., J. Discrete Event Dyn. Syst. 10, 2000, allocate by the
    like). Each unit is held against all others, or against 1,024 evenly spread over the ranking, which stand for the
    rest.
    """
    met = np.maximum(importance.examples, 1)
    mean = importance.total / met
    now, then = doubt(importance, met, population), doubt(importance, met + more, population)
    others = np.argsort(-mean, kind="stable")[:: -(-len(mean) // OTHERS)]
    found = np.empty(len(mean))
    for start in range(0, len(mean), BLOCK):
        own = slice(start, start + BLOCK)
        apart = np.abs(mean[own, None] - mean[others])
        pairs = _wrong(apart, now[own, None] + now[others]) - _wrong(apart, then[own, None] + now[others])
        pairs[np.arange(len(apart))[:, None] + start == others] = 0  # a unit has no order with itself
        found[own] = pairs.sum(axis=1)
    gained: Floats = found * len(mean) / len(others) / np.maximum(more, 1) * (more > 0)
    return gained


def _wrong(apart: Floats, variance: Floats) -> Floats:
    """Phi(-apart / sqrt(variance)): one half for two that are alike, 0 where nothing is in doubt."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(variance > 0, ndtr(-apart / np.sqrt(variance)), np.where(apart > 0, 0.0, 0.5))
    return found
