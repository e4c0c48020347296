"""Partial rank correlation: what a measure says of a target beyond what other properties say."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from service.scoring.interval import Estimate, normal

Floats = NDArray[np.float64]


def partial(measure: Floats, target: Floats, given: Sequence[Floats], *, confidence: float = 0.95) -> Estimate | None:
    """Spearman's partial correlation of measure and target, float64[n], given others; None if nothing is left.

    All are turned into ranks, and the residuals of a linear regression on the ranks of `given` are correlated. The
    interval is Bonett and Wright's for Spearman's (Psychometrika 65, 2000), with as many examples fewer as are given.
    """
    ranks = [stats.rankdata(each) for each in given if len(np.unique(each)) > 1]
    known = np.column_stack([np.ones(len(measure)), *ranks])
    sides = [stats.rankdata(each) for each in (measure, target)]
    left = [side - known @ np.linalg.lstsq(known, side, rcond=None)[0] for side in sides]
    spreads = [float(np.linalg.norm(each)) for each in left]
    free = len(measure) - len(ranks) - 3
    if free < 1 or any(spread < 1e-9 * len(measure) ** 1.5 for spread in spreads):
        return None
    value = float(left[0] @ left[1] / (spreads[0] * spreads[1]))
    z, half = (
        math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12)),
        normal(confidence) * math.sqrt((1 + value**2 / 2) / free),
    )
    return Estimate(value, math.tanh(z - half), math.tanh(z + half))
