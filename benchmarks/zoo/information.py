"""Conditional mutual information of a measure and the generalisation gap, as PGDL scored its entries (NeurIPS 2020).

Written after what the competition's scoring program does. All ordered pairs of networks are looked at, each with
itself too. Given two hyper-parameters, pairs are put into a cell for each combination of their four values; in a cell,
the mutual information of "the first has the larger gap" and "the first has the larger measure" is taken. The mean over
the cells, divided by the mean entropy of the former, is the normalised information; the score is a hundred times the
least over all pairs of hyper-parameters: what a measure tells that no two hyper-parameters tell by themselves.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Information:
    """`score` in [0, 100]; `given`: the pair of axes where it is least; `null`: 95 % of permuted measures are below."""

    score: float
    given: tuple[str, str]
    null: float
    p: float


def information(
    measure: Floats, gap: Floats, axes: Mapping[str, Floats], *, permutations: int, seed: int
) -> Information:
    """The PGDL score of a measure, float64[n], and what it is where the measure's values are permuted among networks.

    Cells without any pair, which networks that are missing leave, are left out of both means. p is that of a
    permutation test: (1 + permuted scores as large) / (1 + permutations). ValueError of fewer than two axes.
    """
    cells = _cells(axes)
    if not cells:
        raise ValueError("a pair of axes is wanted")
    above = gap[:, None] > gap[None, :]
    score, given = _least(measure, above, cells)
    random = np.random.default_rng(seed)
    permuted = np.array([_least(random.permutation(measure), above, cells)[0] for _ in range(permutations)])
    p = (1 + int((permuted >= score).sum())) / (1 + permutations)
    return Information(100 * score, given, 100 * float(np.quantile(permuted, 0.95)), p)


def _cells(axes: Mapping[str, Floats]) -> dict[tuple[str, str], Ints]:
    """For each pair of axes, int64[n, n]: the cell of each pair of networks."""
    codes = {name: np.unique(values, return_inverse=True)[1].astype(np.int64) for name, values in axes.items()}
    found = {}
    for one, other in itertools.combinations(codes, 2):
        both = codes[one] * (codes[other].max() + 1) + codes[other]
        found[one, other] = both[:, None] * (both.max() + 1) + both[None, :]
    return found


def _least(
    measure: Floats, above: NDArray[np.bool_], cells: Mapping[tuple[str, str], Ints]
) -> tuple[float, tuple[str, str]]:
    signs = 2 * above.astype(np.int64) + (measure[:, None] > measure[None, :])
    found = {given: _normalised(cell, signs) for given, cell in cells.items()}
    given = min(found, key=lambda each: found[each])
    return found[given], given


def _normalised(cell: Ints, signs: Ints) -> float:
    counts = np.bincount((4 * cell + signs).ravel(), minlength=4 * (int(cell.max()) + 1)).reshape(-1, 2, 2)
    counts = counts[counts.sum(axis=(1, 2)) > 0]
    shares = counts / counts.sum(axis=(1, 2), keepdims=True)
    of_gap, of_measure = _entropy(shares.sum(axis=2)), _entropy(shares.sum(axis=1))
    told = of_gap + of_measure - _entropy(shares.reshape(-1, 4))
    return float(told.mean() / of_gap.mean()) if of_gap.any() else 0.0


def _entropy(shares: Floats) -> Floats:
    """In bits, float64[cells] of float64[cells, k]."""
    found: Floats = -np.sum(shares * np.log2(np.where(shares > 0, shares, 1.0)), axis=1)
    return found
