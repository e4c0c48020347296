"""Granulated rank correlation: does a measure tell apart networks that differ in one hyper-parameter alone?

Jiang et al. 2020 (arXiv 1912.02178), section 2.2. For each axis, Kendall's coefficient within every group of networks
that agree on all other axes, averaged over the groups; psi is the mean over the axes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Granulated:
    """psi in [-1, 1]; `error`: standard error of the mean over `groups`, taken as independent."""

    psi: float
    error: float
    groups: int


def granulated(measure: Floats, target: Floats, axes: Mapping[str, Floats]) -> dict[str, Granulated]:
    """psi of each axis. measure, target and each of axes: float64[n]; networks that are missing leave groups smaller.

    An axis along which no two networks can be compared has no groups and psi NaN.
    """
    return {axis: _along(axis, measure, target, axes) for axis in axes}


def overall(found: Mapping[str, Granulated]) -> Granulated:
    """Their mean over the axes that have groups; its error from theirs, taken as independent."""
    known = [each for each in found.values() if each.groups]
    error = float(np.sqrt(np.sum([each.error**2 for each in known])) / len(known))
    return Granulated(float(np.mean([each.psi for each in known])), error, sum(each.groups for each in known))


def _along(axis: str, measure: Floats, target: Floats, axes: Mapping[str, Floats]) -> Granulated:
    others = np.stack([values for name, values in axes.items() if name != axis], axis=1)
    _, group = np.unique(others, axis=0, return_inverse=True)
    found = [_kendall(measure[group == each], target[group == each]) for each in np.unique(group)]
    known = np.array([each for each in found if each is not None])
    if not len(known):
        return Granulated(float("nan"), float("nan"), 0)
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")
    return Granulated(float(known.mean()), error, len(known))


def _kendall(one: Floats, other: Floats) -> float | None:
    """The mean of sign products over pairs, ties counting 0, as the paper has it; None of fewer than two networks."""
    first, second = np.triu_indices(len(one), 1)
    if not len(first):
        return None
    return float(np.mean(np.sign(one[first] - one[second]) * np.sign(other[first] - other[second])))
