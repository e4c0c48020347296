"""What a gate's planned looks would cost if each interval took account of that they share trials, beside Bonferroni."""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from service.scoring import gate
from service.scoring.interval import normal

NODES = 160  # of the quadrature: enough for eight digits with looks no closer than CLOSEST
CLOSEST = 50  # of the time up to a look, the next one comes a fiftieth later or more


def saved(chunks: int) -> float:
    """The share of the trials that an interval of some width would take less, with a budget of so many chunks."""
    planned = gate.looks(2, chunks)
    quantile = normal(level(0.95, tuple(planned), 1))
    return 1 - (quantile / normal(gate.level(0.95, len(planned), 1))) ** 2


@lru_cache(maxsize=64)
def level(confidence: float, planned: tuple[int, ...], checks: int) -> float:
    """The confidence of each interval, so that with `confidence` all that are read hold at once (Pocock, 1977).

    planned: the chunk counts of the looks, rising.
    """
    miss = (1 - confidence) / checks
    low, high = normal(1 - miss), normal(1 - miss / len(planned))
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if missed(middle, planned) <= miss else (middle, high)
    return 2 * NormalDist().cdf(high) - 1


def missed(quantile: float, planned: Sequence[int]) -> float:
    """How often a mean of normal values lies more than so many standard errors off at any of the looks.

    After n values their sum is a Brownian motion at time n. Its density, as far as it was within the bounds at every
    look so far, is carried from look to look by quadrature (Armitage, McPherson and Rowe, JRSS A 132, 1969). A look
    that follows closely on another counts as a little later than it is, which errs on the safe side.
    """
    points, weights = np.polynomial.legendre.leggauss(NODES)
    before, time = np.zeros(1), 0.0
    density = np.ones(1)
    for look in planned:
        step = max(look - time, time / CLOSEST)
        time += step
        reach = quantile * math.sqrt(time)
        at = reach * points
        steps = np.exp(-((at[:, None] - before) ** 2) / (2 * step)) / math.sqrt(2 * math.pi * step)
        density = (steps @ density) * reach * weights
        before = at
    return 1 - float(density.sum())
