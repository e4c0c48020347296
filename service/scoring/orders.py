"""Accuracy as units are lost in chosen orders and in random ones, on the same examples; for each class too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring.interval import Estimate, student_quantile, wilson

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = 20  # fractions 1/20, 2/20, ... 1, beside 0
REPEATS = 5  # random orders that each example loses units in


def fractions() -> Floats:
    """float64[STEPS + 1], from 0 to 1."""
    return np.arange(STEPS + 1) / STEPS


def count_orders(intact: Bools, given: Bools, random: Bools, labels: Ints, classes: int) -> dict[str, Any]:
    """The sums of a block of examples, to be stored as JSON.

    intact: bool[E], right at fraction 0. given: bool[orders, STEPS, E]; random: bool[E, REPEATS, STEPS].
    labels: int64[E].
    """
    by_chance = _areas(np.concatenate([np.repeat(intact[:, None, None], REPEATS, axis=1), random], axis=2)).mean(axis=1)
    first = np.broadcast_to(intact, (len(given), 1, len(intact)))
    areas = _areas(np.moveaxis(np.concatenate([first, given], axis=1), 1, 2))
    every = np.concatenate([intact[:, None] * REPEATS, random.sum(axis=1)], axis=1)  # [E, STEPS + 1]
    right = np.zeros((classes, STEPS + 1), np.int64)
    np.add.at(right, labels, every)
    return {
        "examples": len(labels),
        "labels": np.bincount(labels, minlength=classes).tolist(),
        "given": given.sum(axis=2).tolist(),
        "right": right.tolist(),
        "areas": [each.tolist() for each in (areas.sum(axis=1), (areas**2).sum(axis=1))],
        "gaps": [each.tolist() for each in ((by_chance - areas).sum(axis=1), ((by_chance - areas) ** 2).sum(axis=1))],
        "by_chance": [np.bincount(labels, by_chance**power, minlength=classes).tolist() for power in (1, 2)],
    }


def _areas(right: Bools) -> Floats:
    """The trapezoid rule along the last axis, from fraction 0 to 1."""
    heights = right.astype(np.float64)
    found: Floats = (heights[..., 1:] + heights[..., :-1]).sum(axis=-1) / (2 * STEPS)
    return found


@dataclass(frozen=True)
class Curve:
    """Accuracy at each fraction, with Wilson's intervals, and the area under it. gap: how much larger the area of
    random orders is, on the same examples; None for those themselves."""

    points: list[Estimate]
    area: Estimate
    gap: Estimate | None


@dataclass(frozen=True)
class ClassCurve:
    """One class's accuracy at each fraction, float[STEPS + 1]; half_life: where half of the first is lost, if it is."""

    label: int
    examples: int
    values: list[float]
    area: Estimate
    half_life: float | None


class Orders:
    """All blocks so far, added in their order."""

    def __init__(self, orders: int, classes: int) -> None:
        self.examples = 0
        self._labels = np.zeros(classes, np.int64)
        self._given = np.zeros((orders, STEPS), np.int64)
        self._right = np.zeros((classes, STEPS + 1), np.int64)
        self._areas, self._gaps = np.zeros((2, orders)), np.zeros((2, orders))
        self._by_chance = np.zeros((2, classes))

    def add(self, sums: Mapping[str, Any]) -> None:
        """Take in a block."""
        self.examples += int(sums["examples"])
        self._labels += np.asarray(sums["labels"], np.int64)
        self._given += np.asarray(sums["given"], np.int64).reshape(self._given.shape)
        self._right += np.asarray(sums["right"], np.int64)
        self._areas += np.asarray(sums["areas"], np.float64)
        self._gaps += np.asarray(sums["gaps"], np.float64)
        self._by_chance += np.asarray(sums["by_chance"], np.float64)

    def random(self, confidence: float) -> Curve:
        """The curve of random orders."""
        right = self._right.sum(axis=0) / REPEATS  # an example counts once, however often it was tried
        points = [wilson(float(each), self.examples, confidence) for each in right]
        total, squares = (float(each.sum()) for each in self._by_chance)
        return Curve(points, mean(total, squares, self.examples, confidence, (0.0, 1.0)), None)

    def curves(self, confidence: float) -> list[Curve]:
        """One for each chosen order."""
        found, first = [], self._right[:, 0].sum() / REPEATS
        for order, right in enumerate(self._given):
            points = [wilson(float(each), self.examples, confidence) for each in (first, *right)]
            area = _mean(self._areas[:, order], self.examples, confidence, (0.0, 1.0))
            found.append(Curve(points, area, _mean(self._gaps[:, order], self.examples, confidence, (-1.0, 1.0))))
        return found

    def classes(self, confidence: float) -> list[ClassCurve]:
        """One for each class that has examples, in random orders; those that break first come first.

        Classes of which no example is right intact have nothing to lose, and come last.
        """
        found = []
        for label in np.flatnonzero(self._labels).tolist():
            examples = int(self._labels[label])
            values = (self._right[label] / (REPEATS * examples)).tolist()
            area = _mean(self._by_chance[:, label], examples, confidence, (0.0, 1.0))
            found.append(ClassCurve(label, examples, values, area, half_life(values)))
        return sorted(found, key=lambda each: (math.inf if each.half_life is None else each.half_life, each.label))


def half_life(values: Sequence[float]) -> float | None:
    """The smallest fraction at which a curve, straight between its points, is at half of its first value."""
    level = values[0] / 2
    if level <= 0:
        return None
    for step, (one, other) in enumerate(pairwise(values)):
        if other <= level:
            return (step + (one - level) / (one - other)) / STEPS
    return None


def mean(total: float, squares: float, examples: int, confidence: float, bounds: tuple[float, float]) -> Estimate:
    """The mean over examples with Student's interval, within bounds; all of them with less than two examples."""
    low, high = bounds
    value = total / max(examples, 1)
    if examples < 2:
        return Estimate(value, low, high)
    spread = max(squares - total * value, 0.0) / (examples - 1) / examples
    half = student_quantile(confidence, examples - 1) * math.sqrt(spread)
    return Estimate(value, min(max(value - half, low), value), max(min(value + half, high), value))


def _mean(sums: Floats, examples: int, confidence: float, bounds: tuple[float, float]) -> Estimate:
    """The same of a sum and a sum of squares, float64[2]."""
    return mean(float(sums[0]), float(sums[1]), examples, confidence, bounds)
