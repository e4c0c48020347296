"""Do two properties of units go together? Spearman's and Kendall's rank correlations, with bootstrap intervals."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

from service.scoring.interval import Estimate, normal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_UNITS = 8  # with fewer no interval of a rank correlation means anything
RESAMPLES = 999
MOST_UNITS = 1500  # that are resampled: beyond, the intervals are those that hold for many units
BOOTSTRAP = 5  # the stream's purpose, after those of worker.ablation.trials and worker.lots


@dataclass(frozen=True)
class Correlation:
    """Rank correlations in [-1, 1], over so many units; None where a property is the same for all of them."""

    units: int
    spearman: Estimate | None
    kendall: Estimate | None


def related(one: Floats, other: Floats, layers: Ints, *, seed: int, confidence: float) -> Correlation:
    """How two properties of units go together: float64[n] both; int64[n], the layer of each.

    Ranks are taken within each layer, and pairs of units of one layer counted, since units of different layers cannot
    be compared (Amjad et al. 2021). Each layer's ranks are centred and divided by its size, so that all count alike.
    Spearman's is Pearson's correlation of ranks; Kendall's is tau-b (Biometrika 33, 1945). Units that lack a property
    (NaN) are left out, and so are layers of fewer than two others.

    Intervals: the units of each layer are drawn again, with replacement, and the interval is the middle of what comes
    out, at least as wide as that of independent units (Bonett and Wright, Psychometrika 65, 2000: Fisher's z with the
    variance (1 + r^2 / 2) / (n - 3), and 0.437 / (n - 4) for tau).
    """
    known = ~(np.isnan(one) | np.isnan(other))
    groups = [np.flatnonzero(known & (layers == layer)) for layer in np.unique(layers)]
    groups = [group for group in groups if len(group) >= 2]
    units = sum(len(group) for group in groups)
    if units < LEAST_UNITS:
        return Correlation(units, None, None)
    layouts = [(_Layer if len(group) <= MOST_UNITS else _Large)(one[group], other[group]) for group in groups]
    whole = [layer.whole() for layer in layouts]
    spearman, kendall = (float(_ratio([each[which] for each in whole])[0]) for which in range(2))
    if math.isnan(spearman) or math.isnan(kendall):
        return Correlation(units, None, None)
    drawn: list[tuple[Floats, Floats]] = []
    if units <= MOST_UNITS:
        weights = [_resampled(len(group), seed, index) for index, group in enumerate(groups)]
        drawn = [layer.sums(each) for layer, each in zip(layouts, weights, strict=True) if isinstance(layer, _Layer)]
    variances = ((1 + spearman**2 / 2) / (units - 3), 0.437 / (units - 4))
    found = []
    for which, (value, variance) in enumerate(zip((spearman, kendall), variances, strict=True)):
        again = _ratio([each[which] for each in drawn]) if drawn else np.empty(0)
        found.append(_interval(value, again[~np.isnan(again)], variance, confidence))
    return Correlation(units, *found)


class _Layer:
    """One layer's units in pairs. A resample is a weight for each unit: how often it was drawn."""

    def __init__(self, one: Floats, other: Floats) -> None:
        self.units = len(one)
        # Signs of all differences; sums of products of these and of whole weights are exact, in any order.
        self._signs = [np.sign(each[:, None] - each[None, :]) for each in (one, other)]

    def whole(self) -> tuple[Floats, Floats]:
        """The sums of the layer as it is."""
        return self.sums(np.ones((1, self.units)))

    def sums(self, weights: Floats) -> tuple[Floats, Floats]:
        """What Spearman's and Kendall's correlations of each resample are made of: float64[3, B] each.

        weights: float64[B, n]. The sum of products, and the two sums of squares, of ranks and of pairs.
        """
        one, other = self._signs
        total = weights.sum(axis=1)
        # Twice the centred mid-rank: how many are below it less how many are above.
        ranks = [(weights @ each.T) / total[:, None] for each in self._signs]
        spearman = [(weights * left * right).sum(axis=1) for left, right in _squares(*ranks)]
        kendall = [((weights @ pairs) * weights).sum(axis=1) / total for pairs in (one * other, one**2, other**2)]
        return np.stack(spearman), np.stack(kendall)


class _Large:
    """A layer of so many units that their pairs cannot be held."""

    def __init__(self, one: Floats, other: Floats) -> None:
        self._one, self._other = one, other

    def whole(self) -> tuple[Floats, Floats]:
        """The sums of the layer as it is, as `_Layer` has them."""
        from scipy import stats  # here, since every process would pay for it at its start

        units = len(self._one)
        ranks = [(2 * stats.rankdata(each) - units - 1) / units for each in (self._one, self._other)]
        spearman = [np.array([math.fsum(left * right)]) for left, right in _squares(*ranks)]
        unequal = [units**2 - float((np.unique(e, return_counts=True)[1] ** 2).sum()) for e in (self._one, self._other)]
        tau = float(stats.kendalltau(self._one, self._other).statistic) if min(unequal) > 0 else 0.0
        kendall = np.array([[tau * math.sqrt(unequal[0] * unequal[1])], [unequal[0]], [unequal[1]]]) / units
        return np.stack(spearman), kendall


def _squares(one: Floats, other: Floats) -> list[tuple[Floats, Floats]]:
    return [(one, other), (one, one), (other, other)]


def _ratio(parts: list[Floats]) -> Floats:
    """Correlations from the layers' sums, float64[3, B]; NaN where there is no spread."""
    product, one, other = np.sum(parts, axis=0)
    spread = np.sqrt(one * other)
    found: Floats = np.where(spread > 0, product / np.where(spread > 0, spread, 1.0), np.nan)
    return found


def _resampled(units: int, seed: int, layer: int) -> Floats:
    """float64[RESAMPLES, units]: how often each unit is drawn."""
    words = Philox(SeedSequence(seed, spawn_key=(BOOTSTRAP, layer))).random_raw(RESAMPLES * units)
    drawn = ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53 * units).astype(np.int64).reshape(RESAMPLES, units)
    places = drawn + units * np.arange(RESAMPLES)[:, None]
    return np.bincount(places.ravel(), minlength=RESAMPLES * units).reshape(RESAMPLES, units).astype(np.float64)


def _interval(value: float, again: Floats, variance: float, confidence: float) -> Estimate:
    z, half = math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12)), normal(confidence) * math.sqrt(variance)
    low, high = math.tanh(z - half), math.tanh(z + half)
    if len(again) >= RESAMPLES // 2:
        tails = np.quantile(again, [(1 - confidence) / 2, (1 + confidence) / 2])
        low, high = min(low, float(tails[0])), max(high, float(tails[1]))
    return Estimate(value, min(low, value), max(high, value))
