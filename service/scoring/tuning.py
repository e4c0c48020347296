"""How each unit is tuned to the classes: selectivity, mutual information, how often it fires. One pass, sums alone."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST = float(np.finfo(np.float32).max)
MOST_BINS = 10  # of a unit's activation, for its information
PER_CELL = 5  # examples that each cell of bins x classes should expect: the rule for chi-squared tests (Cochran, 1954)


@dataclass(frozen=True)
class Columns:
    """What is known of each unit, float64[units] or as said; NaN where it has no value.

    mean, std: of its activation over the examples. size: mean of the activation without its sign. fires: share of
    examples, in [0, 1], on which it is above zero anywhere; dead, bool: never anything but zero. selectivity, in
    [0, 1], and driver, the class that drives it most. information: bits about the class, >= 0; surprise: the
    probability of so much association by chance.
    """

    mean: Floats
    std: Floats
    size: Floats
    fires: Floats
    dead: NDArray[np.bool_]
    selectivity: Floats
    driver: Floats
    information: Floats
    surprise: Floats


def bins(examples: int, classes: int) -> int:
    """Into how many bins an activation is sorted: 2 to MOST_BINS, so that cells hold about PER_CELL examples."""
    return min(MOST_BINS, max(2, examples // (PER_CELL * max(classes, 1))))


def edges(sample: NDArray[np.floating], count: int) -> Floats:
    """Borders of bins that hold equally many of a sample, float64[count - 1, units]; equal ones leave bins empty.

    sample: [S, units], activations of some examples.
    """
    ordered = np.sort(np.asarray(sample, np.float64), axis=0)
    places = [math.ceil(len(ordered) * step / count) - 1 for step in range(1, count)]
    return ordered[np.maximum(places, 0)]


class Tuning:
    """Sums over the examples seen so far, for some units. Memory: units x classes x bins, whatever the dataset."""

    def __init__(self, classes: int, borders: Floats) -> None:
        """borders: float64[bins - 1, units], as `edges` gives them."""
        units = borders.shape[1]
        self._borders = borders
        self._labels = np.zeros(classes, np.int64)
        self._driven = np.zeros((classes, units))
        self._table = np.zeros((classes, len(borders) + 1, units), np.int64)
        self._sums = np.zeros((3, units))  # of means, of their squares, of sizes
        self._fires = np.zeros(units, np.int64)
        self._largest = np.zeros(units)

    def add(self, means: NDArray[np.floating], sizes: NDArray[np.floating], labels: Ints) -> None:
        """Count some examples. means, sizes: [T, units], of activations with and without sign; labels: int64[T]."""
        # No number counts as zero, infinity as the largest float32: a hostile model may answer either.
        mean, size = (np.nan_to_num(np.asarray(e, np.float64), posinf=LARGEST, neginf=-LARGEST) for e in (means, sizes))
        self._labels += np.bincount(labels, minlength=len(self._labels))
        self._sums += [mean.sum(axis=0), (mean**2).sum(axis=0), size.sum(axis=0)]
        self._fires += np.count_nonzero(size > -mean, axis=0)  # opposite only where nothing is above zero
        self._largest = np.maximum(self._largest, size.max(axis=0, initial=0.0))
        above = (size + mean) / 2  # what lies above zero; of a ReLU, the activation itself
        order = np.argsort(labels, kind="stable")
        present, starts = np.unique(labels[order], return_index=True)
        self._driven[present] += np.add.reduceat(above[order], starts, axis=0)
        for place in range(self._table.shape[1]):  # a bin at a time, so that no [T, bins, units] is ever held
            beyond = np.ones(mean.shape, np.bool_) if place == 0 else mean > self._borders[place - 1]
            within = beyond if place == len(self._borders) else beyond & ~(mean > self._borders[place])
            counted = np.add.reduceat(within[order].astype(np.int64), starts, axis=0)
            self._table[present, place] += counted

    def columns(self) -> Columns:
        """What the sums say. Raises ValueError before the first example."""
        examples = int(self._labels.sum())
        if examples == 0:
            raise ValueError("no example has a label")
        mean, squares, size = self._sums / examples
        present = self._labels > 0
        selectivity, driver = class_selectivity(self._driven[present] / self._labels[present, None])
        bits, surprise = information(self._table[present])
        dead = self._largest == 0
        return Columns(
            mean=mean,
            std=np.sqrt(np.maximum(squares - mean**2, 0.0)),
            size=size,
            fires=self._fires / examples,
            dead=dead,
            selectivity=selectivity,
            driver=np.where(np.isnan(selectivity), np.nan, np.flatnonzero(present)[driver]),
            information=bits,
            surprise=surprise,
        )


def class_selectivity(means: Floats) -> tuple[Floats, Ints]:
    """(mu_max - mu_rest) / (mu_max + mu_rest), in [0, 1], and which class has mu_max. float64 and int64[units].

    means: float64[classes, units] >= 0, the mean activation for each class; mu_rest is the mean over the other
    classes. Morcos et al. 2018 (arXiv 1803.06959), section 2.3. NaN for a unit that never is above zero, and where
    there is one class alone.
    """
    driver = means.argmax(axis=0)
    if len(means) < 2:
        return np.full(means.shape[1], np.nan), driver
    largest = means.max(axis=0)
    rest = (means.sum(axis=0) - largest) / (len(means) - 1)
    whole = largest + rest
    silent = whole <= 0
    index = np.where(silent, np.nan, (largest - rest) / np.where(silent, 1.0, whole))
    return np.clip(index, 0.0, 1.0), driver


def information(table: Ints) -> tuple[Floats, Floats]:
    """Bits that a unit's binned activation tells of the class, and how probable so much is by chance. float64[units].

    table: int64[classes, bins, units], examples. From the plug-in value its bias under independence is taken,
    (bins - 1)(classes - 1) / (2 N ln 2) with the bins that are in use (Roulston, Physica D 125, 1999); what would be
    below 0 is 0. The probability is that of Pearson's chi-squared test of independence.
    """
    counts = table.astype(np.float64)
    examples = counts.sum(axis=(0, 1))
    by_class, by_bin = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    expected = by_class * by_bin / examples
    used = expected > 0
    safe = np.where(used, expected, 1.0)
    ratios = np.where(counts > 0, counts / safe, 1.0)
    plain = (counts * np.log2(ratios)).sum(axis=(0, 1)) / examples
    freedom = (np.count_nonzero(by_class[:, 0] > 0, axis=0) - 1) * (np.count_nonzero(by_bin[0] > 0, axis=0) - 1)
    bits = np.maximum(plain - freedom / (2 * examples * math.log(2)), 0.0)
    squared = np.where(used, (counts - expected) ** 2 / safe, 0.0).sum(axis=(0, 1))
    by_chance = np.where(freedom > 0, special.chdtrc(np.maximum(freedom, 1), squared), 1.0)
    return bits, by_chance
