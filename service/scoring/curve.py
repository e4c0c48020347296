"""From the tally to the curve A(f), and to the fraction at which half of it is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from service.scoring.interval import Estimate, Estimator, cell, counted, student
from service.scoring.reference import Reference
from service.scoring.tally import Tally

__all__ = ["Point", "Tally", "curve", "half_life"]


@dataclass(frozen=True)
class Point:
    """A(fraction) with its interval, and the trials behind it."""

    fraction: float
    value: float
    low: float
    high: float
    trials: int


def curve(tally: Tally, *, estimator: Estimator, reference: Reference, confidence: float) -> list[Point]:
    """A(f) of a tally, averaged over its groups, in order of the fraction.

    `adaptive`: f = 0, known from the intact pass, exactly if that took all of the dataset; then a point a stratum, at
    its centre, with Wilson's interval (or Student's, of values that aren't right or wrong). `grid`: its K fractions,
    averaged over the orderings that are measured whole, with Student's interval over them. Strata or fractions without
    a trial are left out.
    """
    strata = estimator == "adaptive"
    return _strata(tally, reference, confidence) if strata else _fractions(tally, reference, confidence)


def half_life(points: Sequence[Point], *, reference: Reference, reach: float, confidence: float) -> Estimate | None:
    """The smallest fraction at which A(f) - chance is half of A(0) - chance, in [0, 1]; None if it never is.

    A curve that rises as units are lost is turned over first. value: where the decreasing fit of the points (isotonic
    regression; Barlow et al., 1972) crosses that level.
    interval: it holds for every decreasing curve, cliffs and plateaus included. Coming from 0, a point that is
    clearly above the level puts the crossing beyond the near end of its reach; coming from 1, one clearly below
    puts it before the far end. Each side stops at the first point that isn't clear, and tests in a fixed order
    need no correction for their number (Maurer, Hothorn and Lehmacher, 1995). Interpolating between the points'
    limits would be a third narrower, and was wrong in four runs of five on a staircase of two units.
    reach: a point is the average over the fractions this far to either side of it (half a stratum; `grid`: 0).
    Where A(0) is counted on a part of the dataset, clear of the level is clear of half of all that A(0) may be.
    """
    level = reference.chance + (reference.first - reference.chance) / 2
    first = counted(reference, confidence)
    unsure = (first.high - first.low) / 4
    if reference.metric.rising:
        points, level = [Point(p.fraction, -p.value, -p.high, -p.low, p.trials) for p in points], -level
    at = np.array([point.fraction for point in points])
    weights = np.array([point.trials for point in points], np.float64)
    from scipy.optimize import isotonic_regression  # here, since every process would pay for it at its start

    fit = isotonic_regression([point.value for point in points], weights=weights, increasing=False).x
    below = np.flatnonzero(fit <= level)
    if len(below) == 0 or below[0] == 0:
        return None
    end = int(below[0])
    value = float(np.interp(level, [fit[end], fit[end - 1]], [at[end], at[end - 1]]))
    above = takewhile(lambda point: point.low > level + unsure, points)
    under = takewhile(lambda point: point.high < level - unsure, reversed(points))
    low = max((point.fraction - reach for point in above), default=0.0)
    high = min((point.fraction + reach for point in under), default=1.0)
    return Estimate(value, max(min(low, value), 0.0), min(max(high, value), 1.0))


def _strata(tally: Tally, reference: Reference, confidence: float) -> list[Point]:
    first = counted(reference, confidence)
    points = [Point(0.0, first.value, first.low, first.high, reference.examples)]
    strata = tally.trials.shape[1]
    columns = (each.sum(axis=0).tolist() for each in (tally.total, tally.squares, tally.trials))
    for stratum, (total, squares, trials) in enumerate(zip(*columns, strict=True)):
        if trials > 0:
            mean = cell(total, squares, trials, confidence, reference)
            points.append(Point((stratum + 0.5) / strata, mean.value, mean.low, mean.high, trials))
    return points


def _fractions(tally: Tally, reference: Reference, confidence: float) -> list[Point]:
    whole = np.all(tally.trials >= reference.examples, axis=(0, 2))
    if not whole.any():
        return []
    trials = tally.trials[:, whole].sum(axis=(0, 1))
    heights = (tally.total[:, whole] / tally.trials[:, whole]).mean(axis=0)
    points = []
    for step in range(heights.shape[1]):
        fraction = step / (heights.shape[1] - 1)
        mean = student(heights[:, step], confidence, reference.metric)
        points.append(Point(fraction, mean.value, mean.low, mean.high, int(trials[step])))
    return points
