"""Selectivity and information against a direct computation, and what chance alone shows of them."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service import scoring

Floats = NDArray[np.float64]
CLASSES = 5


def driven(seed: int, examples: int, units: int) -> tuple[Floats, NDArray[np.int64]]:
    """Activations of rectified units, each driven by one class more than by others, and labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, examples)
    gains = generator.random((CLASSES, units)) * 2
    return np.maximum(generator.standard_normal((examples, units)) + gains[labels] - 0.8, 0), labels


def tuned(means: Any, labels: Any, sizes: Any = None, step: int = 97) -> scoring.Columns:
    """What Lesion says, the examples coming in parts."""
    borders = scoring.edges(means, scoring.bins(len(labels), CLASSES))
    tuning = scoring.Tuning(CLASSES, borders)
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        tuning.add(means[part], (np.abs(means) if sizes is None else sizes)[part], labels[part])
    return tuning.columns()


def plain_information(activation: Floats, labels: NDArray[np.int64], bins: int) -> float:
    """Bits, by counting: entropies of bins, of classes and of both, less the bias."""
    borders = [np.sort(activation)[max(math.ceil(len(labels) * step / bins) - 1, 0)] for step in range(1, bins)]
    binned = np.array([sum(value > border for border in borders) for value in activation])

    def entropy(names: NDArray[Any]) -> float:
        shares = np.unique(names, return_counts=True)[1] / len(names)
        return float(-(shares * np.log2(shares)).sum())

    found = entropy(binned) + entropy(labels) - entropy(binned * 1000 + labels)
    freedom = (len(np.unique(binned)) - 1) * (len(np.unique(labels)) - 1)
    return max(found - freedom / (2 * len(labels) * math.log(2)), 0.0)


@pytest.mark.parametrize("examples", [60, 2000])
def test_selectivity_and_information_are_those_of_a_direct_computation(examples: int) -> None:
    """Class by class with means of numpy, and bit by bit with entropies, for each of 30 units."""
    means, labels = driven(1, examples, 30)
    found = tuned(means, labels)
    bins = scoring.bins(examples, CLASSES)
    for unit, activation in enumerate(means.T):
        by_class = [activation[labels == label].mean() for label in range(CLASSES)]
        largest = max(by_class)
        rest = np.mean([mean for label, mean in enumerate(by_class) if label != np.argmax(by_class)])
        assert found.selectivity[unit] == pytest.approx((largest - rest) / (largest + rest), abs=1e-12)
        assert found.driver[unit] == np.argmax(by_class)
        assert found.information[unit] == pytest.approx(plain_information(activation, labels, bins), abs=1e-12)
        assert found.fires[unit] == (activation > 0).mean()
        assert found.mean[unit] == pytest.approx(activation.mean(), abs=1e-12)
        assert found.std[unit] == pytest.approx(activation.std(), abs=1e-12)


def test_parts_do_not_matter() -> None:
    """Counts are the same for any parts, sums up to rounding: one pass over any number of examples."""
    means, labels = driven(2, 1000, 12)
    whole, parts = tuned(means, labels, step=1000), tuned(means, labels, step=13)
    for name, column in vars(whole).items():
        np.testing.assert_allclose(vars(parts)[name], column, atol=1e-12)


def test_extremes_have_the_values_of_the_definition() -> None:
    """One class alone: 1. The same for all: 0 and no bit. Never: dead, without selectivity. A class each: all bits."""
    labels = np.arange(500) % CLASSES
    means = np.stack([labels == 3, np.ones(500), np.zeros(500), labels + 1.0], axis=1).astype(np.float64)
    found = tuned(means, labels)
    assert found.selectivity[0] == 1
    assert found.driver[0] == 3
    assert (found.selectivity[1], found.information[1]) == (0, 0)
    assert found.dead.tolist() == [False, False, True, False]
    assert np.isnan(found.selectivity[2])
    assert (found.fires[2], found.information[2]) == (0, 0)
    assert found.information[3] == pytest.approx(math.log2(CLASSES) - 16 / (1000 * math.log(2)), abs=1e-9)


def test_a_unit_with_signs_is_judged_by_what_lies_above_zero() -> None:
    """Selectivity stays within 0 and 1 for any nonlinearity; a unit that is never above zero does not fire."""
    generator = np.random.default_rng(3)
    labels = np.arange(400) % CLASSES
    maps = generator.standard_normal((400, 6, 9)) + (labels == 2)[:, None, None]
    maps[:, 5] = -np.abs(maps[:, 5])
    found = tuned(maps.mean(axis=2), labels, np.abs(maps).mean(axis=2))
    above = np.maximum(maps, 0).mean(axis=2)
    by_class = np.stack([above[labels == label].mean(axis=0) for label in range(CLASSES)])
    expected, _ = scoring.class_selectivity(by_class)
    np.testing.assert_allclose(found.selectivity[:5], expected[:5], atol=1e-12)
    assert np.isnan(found.selectivity[5])
    assert (found.fires[5], found.dead[5]) == (0, False)


def test_labels_permuted_nothing_is_found() -> None:
    """Units that tell much of the class tell nothing of permuted labels: no bits on average, none called informative.

    At 95 % confidence over all 30 units, one run in twenty may name one; of 100 runs, 11 or more would come once in a
    hundred.
    """
    means, labels = driven(4, 500, 30)
    assert (tuned(means, labels).surprise < 0.05 / 30).mean() > 0.9
    generator = np.random.default_rng(5)
    runs = [tuned(means, generator.permutation(labels)) for _ in range(100)]
    assert sum((run.surprise < 0.05 / 30).any() for run in runs) <= 10
    assert np.mean([run.information for run in runs]) < 0.01
    assert np.mean(tuned(means, labels).information) > 0.1


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_no_activation_makes_a_number_that_json_cannot_hold(poison: float) -> None:
    """A hostile model may answer anything: counted as zero, or as the largest number there is."""
    means, labels = driven(6, 200, 3)
    poisoned = means.astype(np.float32)
    poisoned[7, 1] = poison
    found = tuned(poisoned, labels, np.abs(poisoned))
    for name in ("mean", "fires", "size", "information", "surprise"):
        assert np.isfinite(vars(found)[name]).all(), name
    np.testing.assert_allclose(found.selectivity[[0, 2]], tuned(means, labels).selectivity[[0, 2]], atol=1e-6)
