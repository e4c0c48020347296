"""What each unit is worth: accuracy lost and cross-entropy added when it alone is ablated, from sums over examples."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.scoring.interval import Estimate, normal, student_quantile, wilson
from service.scoring.reference import PROBABILITY_FLOOR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WORST = -math.log(PROBABILITY_FLOOR)  # nats that an answer can cost
SHOWN_CLASSES = 10  # of one unit: those whose accuracy changes most


class Sums(TypedDict):
    """What is kept of a block of units x examples: lists, to be stored as JSON.

    units: their numbers. labels: how many examples of each class. total, squares: of the cross-entropy added, a sum a
    unit. cells, broken, mended: for each unit x class with any, how many answers became wrong, and how many right.
    """

    units: list[int]
    labels: list[int]
    total: list[float]
    squares: list[float]
    cells: list[int]
    broken: list[int]
    mended: list[int]


def count(units: ArrayLike, labels: Ints, classes: int, pairs: "Pairs") -> Sums:
    """The sums of a block. units: int[U], rising; labels: int64[E], of the examples that every one of them met."""
    numbers = np.asarray(units, np.int64)
    own = labels[pairs.examples]
    broken, mended = pairs.before & ~pairs.after, ~pairs.before & pairs.after
    cells, places = np.unique((pairs.units * classes + own)[broken | mended], return_inverse=True)
    changed = broken[broken | mended]
    return {
        "units": numbers.tolist(),
        "labels": np.bincount(labels, minlength=classes).tolist(),
        "total": np.bincount(pairs.units, pairs.added, minlength=len(numbers)).tolist(),
        "squares": np.bincount(pairs.units, pairs.added**2, minlength=len(numbers)).tolist(),
        "cells": cells.tolist(),
        "broken": np.bincount(places, changed, minlength=len(cells)).astype(np.int64).tolist(),
        "mended": np.bincount(places, ~changed, minlength=len(cells)).astype(np.int64).tolist(),
    }


@dataclass(frozen=True)
class Pairs:
    """Pairs of a unit and an example, T of them; those left out of a block have changed nothing.

    units: int64[T], places in the block. examples: int64[T], places among its labels. before, after: bool[T], was the
    answer right, intact and ablated. added: float64[T], nats of cross-entropy.
    """

    units: Ints
    examples: Ints
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    added: Floats


@dataclass(frozen=True)
class Change:
    """One unit's importance. classes: those that change most, as (class, accuracy lost)."""

    examples: int
    accuracy_lost: Estimate
    cross_entropy_added: Estimate
    classes: list[tuple[int, Estimate]] = field(default_factory=list)


class Importance:
    """All units' sums so far, each over the examples that it met."""

    def __init__(self, units: int, classes: int) -> None:
        self._classes = classes
        self.examples = np.zeros(units, np.int64)
        self.total = np.zeros(units)
        self.squares = np.zeros(units)
        self._met: dict[bytes, Ints] = {}  # for the units of a block, how many examples of each class they met
        self._blocks: dict[bytes, Ints] = {}
        self._cells: list[Ints] = []

    def add(self, sums: Mapping[str, Any]) -> None:
        """Take in a block. Blocks are added in their order, so that sums are equal to the last bit."""
        units, labels = np.asarray(sums["units"], np.int64), np.asarray(sums["labels"], np.int64)
        self.examples[units] += int(labels.sum())
        self.total[units] += sums["total"]
        self.squares[units] += sums["squares"]
        key = units.tobytes()
        self._met[key] = self._met.get(key, np.zeros(self._classes, np.int64)) + labels
        self._blocks[key] = units
        cells = np.asarray(sums["cells"], np.int64)
        if len(cells):
            places, classes = np.divmod(cells, self._classes)
            where = units[places] * self._classes + classes
            self._cells.append(np.stack([where, sums["broken"], sums["mended"]]).astype(np.int64))

    def changes(self, confidence: float) -> list[Change]:
        """Each unit's change, with intervals as of a sample of whatever the examples were drawn from."""
        labels: dict[int, Ints] = {}
        for key, units in self._blocks.items():
            for unit in units.tolist():  # blocks of a round share their counts: no row for each unit is made
                labels[unit] = self._met[key] if unit not in labels else labels[unit] + self._met[key]
        hits: dict[int, dict[int, tuple[int, int]]] = {}
        for where, broken, mended in self._merged():
            unit, label = divmod(where, self._classes)
            hits.setdefault(unit, {})[label] = (broken, mended)
        return [self._change(unit, labels[unit], hits.get(unit, {}), confidence) for unit in range(len(self.examples))]

    def _merged(self) -> Iterable[tuple[int, int, int]]:
        if not self._cells:
            return []
        where, broken, mended = np.concatenate(self._cells, axis=1)
        names, places = np.unique(where, return_inverse=True)
        sums = (np.bincount(places, each).astype(np.int64).tolist() for each in (broken, mended))
        return zip(names.tolist(), *sums, strict=True)

    def _change(self, unit: int, labels: Ints, hits: dict[int, tuple[int, int]], confidence: float) -> Change:
        examples = int(self.examples[unit])
        broken, mended = (sum(pair[which] for pair in hits.values()) for which in range(2))
        shares = [(label, lost(*pair, int(labels[label]), confidence)) for label, pair in hits.items()]
        most = sorted(shares, key=lambda share: (-abs(share[1].value), share[0]))[:SHOWN_CLASSES]
        return Change(
            examples=examples,
            accuracy_lost=lost(broken, mended, examples, confidence),
            cross_entropy_added=added(float(self.total[unit]), float(self.squares[unit]), examples, confidence),
            classes=most,
        )


def lost(broken: int, mended: int, examples: int, confidence: float) -> Estimate:
    """The share of accuracy lost, in [-1, 1]: the difference of two paired proportions, (broken - mended) / examples.

    The interval is Donner and Zou's (Stat. Methods Med. Res. 21, 2012) of Wilson's intervals for the two shares, which
    exclude each other and so correlate by -sqrt(p q / ((1 - p)(1 - q))). A unit that changed nothing has the value 0
    and an interval that n examples leave: all that there is if n = 0.
    """
    if examples < 1:
        return Estimate(0.0, -1.0, 1.0)
    worse, better = (wilson(each, examples, confidence) for each in (broken, mended))
    odds = [each.value / (1 - each.value) if each.value < 1 else 0.0 for each in (worse, better)]
    together = -math.sqrt(odds[0] * odds[1])
    value = (broken - mended) / examples
    below = _joined(worse.value - worse.low, better.high - better.value, together)
    above = _joined(worse.high - worse.value, better.value - better.low, together)
    return Estimate(value, max(value - below, -1.0), min(value + above, 1.0))


def _joined(one: float, other: float, together: float) -> float:
    return math.sqrt(max(one**2 - 2 * together * one * other + other**2, 0.0))


def added(total: float, squares: float, examples: int, confidence: float) -> Estimate:
    """The mean cross-entropy added, in nats, with Student's interval; with less than two examples, all there is."""
    mean = total / max(examples, 1)
    if examples < 2:
        return Estimate(mean, -WORST, WORST)
    variance = max(squares - total * mean, 0.0) / (examples - 1)
    half = student_quantile(confidence, examples - 1) * math.sqrt(variance / examples)
    return Estimate(mean, mean - half, mean + half)


def undecided(importance: Importance, top: int, population: int, error: float) -> Ints:
    """Units of which it is not certain whether they are among the `top` that add most cross-entropy. int64[U], rising.

    population: N, the examples that there are; a unit that met them all is known. error: the probability that one
    interval of one look may be wrong; whoever looks at n units in r rounds shares theirs among n r (Bonferroni).
    """
    units = len(importance.examples)
    if top >= units:
        return np.empty(0, np.int64)
    met = np.maximum(importance.examples, 1)
    mean = importance.total / met
    half = normal(1 - error) * np.sqrt(doubt(importance, met, population))
    low, high = mean - half, mean + half
    outside = high < np.sort(low)[-top]
    inside = low > np.sort(high)[-top - 1]
    return np.flatnonzero(~outside & ~inside & (met < population))


def doubt(importance: Importance, met: Ints, population: int) -> Floats:
    """The variance of each unit's mean, as of one of this dataset, once it has met so many examples. float64[U], >= 0.

    met: int64[U], of the `population` that there are. A unit's variance gets one more example of the units' mean
    variance: a unit that nothing showed in a few examples is not certain to do nothing.
    """
    known = np.maximum(importance.examples, 1)
    second = np.maximum(importance.squares / known - (importance.total / known) ** 2, 0.0)
    variance = (second * known + second.mean()) / (known + 1)
    left = np.maximum(1 - met / population, 0.0)  # the finite population's correction (Cochran, section 2.6)
    found: Floats = variance / met * left
    return found
