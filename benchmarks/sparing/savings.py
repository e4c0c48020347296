"""What each way would save of the trials that an interval of some width takes: from a sample of trials, with intervals.

An interval's width follows from the variance of one trial within its stratum of fractions, and the trials that it takes
are in proportion to that. So a way saves 1 minus its variance per pass over that of plain trials.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.sparing.sample import Sample
from service.scoring.interval import normal

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STRATA = 32  # of fractions, as `adaptive` has them
BLOCKS = 8  # of fractions, within which controls are fitted
BINS = 8  # of margins, with equally many examples
HALVES = 2  # a control is fitted on one half of the trials and read on the other
PARTS = 20  # of the jackknife

MIRRORED = ("elsewhere", "complement", "complement, apart")  # at 1 - f


@dataclass(frozen=True)
class Saving:
    """A share of the trials, with its 95 % interval; below 0 it costs more."""

    value: float
    low: float
    high: float


def savings(sample: Sample) -> dict[str, Saving]:
    """What each way saves, by name. The intervals leave out one part of the trials after another (the jackknife)."""
    rows = np.arange(len(sample.labels))
    found = {}
    for name, saved in WAYS.items():
        value = saved(sample, rows)
        others = np.array([saved(sample, rows[rows % PARTS != part]) for part in range(PARTS)])
        half = normal(0.95) * float(np.sqrt((PARTS - 1) * ((others - others.mean()) ** 2).mean()))
        found[name] = Saving(value, value - half, value + half)
    return found


def _strata(fractions: Floats, count: int) -> Ints:
    return np.minimum((fractions * count).astype(np.int64), count - 1)


def _rests(sample: Sample, kind: str, rows: Ints) -> Floats:
    """float64[T], a trial's answer less the mean of its stratum. Those of `again` have no common fractions."""
    right = sample.right[kind][rows].astype(np.float64)
    fractions = sample.fractions[rows]
    if kind == "again":
        return np.asarray(right - right.mean())
    at = _strata(1 - fractions if kind in MIRRORED else fractions, STRATA)
    means = np.bincount(at, right, STRATA) / np.maximum(np.bincount(at, minlength=STRATA), 1)
    found: Floats = right - means[at]
    return found


def _plain(sample: Sample, rows: Ints) -> Floats:
    return _rests(sample, "plain", rows)


def _pairs(kind: str) -> Callable[[Sample, Ints], float]:
    """Two passes of an example: their mean's variance is half that of one, times 1 + their correlation."""

    def saved(sample: Sample, rows: Ints) -> float:
        one, other = _plain(sample, rows), _rests(sample, kind, rows)
        return float(1 - ((one + other) ** 2).mean() / ((one**2).mean() + (other**2).mean()))

    return saved


def _shared(kind: str) -> Callable[[Sample, Ints], float]:
    """What two trials of one example have in common: more no knowledge of examples can take off."""

    def saved(sample: Sample, rows: Ints) -> float:
        one = _plain(sample, rows)
        return float((one * _rests(sample, kind, rows)).mean() / (one**2).mean())

    return saved


def _allocated(sample: Sample, rows: Ints) -> float:
    """Trials where answers vary: in proportion to each stratum's standard deviation (Neyman, 1934)."""
    at = _strata(sample.fractions[rows], STRATA)
    spread = np.bincount(at, _plain(sample, rows) ** 2, STRATA) / np.maximum(np.bincount(at, minlength=STRATA), 1)
    return float(1 - np.sqrt(spread).mean() ** 2 / spread.mean())


def _controlled(cells: Callable[[Sample, Ints], Ints]) -> Callable[[Sample, Ints], float]:
    """Strata of examples within blocks of fractions; each cell's mean comes from the other half of the trials."""

    def saved(sample: Sample, rows: Ints) -> float:
        rests = _plain(sample, rows)
        known = cells(sample, rows)
        places = known * BLOCKS + _strata(sample.fractions[rows], BLOCKS)
        size = BLOCKS * (int(known.max()) + 1)
        half = (rows // PARTS) % HALVES
        left = 0.0
        for own in range(HALVES):
            fit, read = half != own, half == own
            means = np.bincount(places[fit], rests[fit], size) / np.maximum(np.bincount(places[fit], minlength=size), 1)
            left += float(((rests[read] - means[places[read]]) ** 2).sum())
        return 1 - left / float((rests**2).sum())

    return saved


def _intact(sample: Sample, rows: Ints) -> Ints:
    found: Ints = (sample.margin[rows] > 0).astype(np.int64)
    return found


def _class(sample: Sample, rows: Ints) -> Ints:
    return sample.labels[rows]


def _margin(sample: Sample, rows: Ints) -> Ints:
    edges = np.quantile(sample.margin, np.arange(1, BINS) / BINS)
    found: Ints = np.searchsorted(edges, sample.margin[rows])
    return found


def _both(sample: Sample, rows: Ints) -> Ints:
    return _class(sample, rows) * BINS + _margin(sample, rows)


WAYS: dict[str, Callable[[Sample, Ints], float]] = {
    "the same example at 1 - f": _pairs("elsewhere"),
    "the same example, ordering reversed": _pairs("reversed"),
    "the same example, the other units": _pairs("complement"),
    "two examples, ordering reversed": _pairs("reversed, apart"),
    "two examples, the other units": _pairs("complement, apart"),
    "allocation by spread (Neyman)": _allocated,
    "stratified by class": _controlled(_class),
    "control: right or wrong intact": _controlled(_intact),
    "control: intact margin, 8 bins": _controlled(_margin),
    "control: class and margin": _controlled(_both),
    "an example's own part known": _shared("again"),
    "an example's own curve known": _shared("twin"),
}
