"""Rank correlations of units: as scipy has them, within layers, and with intervals that cover."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from service.scoring import relation
from service.scoring.relation import related

Floats = NDArray[np.float64]
RUNS = 400


def one_layer(units: int) -> NDArray[np.int64]:
    return np.zeros(units, np.int64)


@pytest.mark.parametrize("levels", [4, 1000])
def test_one_layer_has_the_values_of_scipy(levels: int) -> None:
    """Spearman's rho and Kendall's tau-b, with ties and without."""
    generator = np.random.default_rng(levels)
    one, other = generator.integers(0, levels, (2, 40)).astype(np.float64)
    found = related(one, other, one_layer(40), seed=0, confidence=0.95)
    assert found.spearman is not None
    assert found.kendall is not None
    assert found.spearman.value == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    assert found.kendall.value == pytest.approx(stats.kendalltau(one, other).statistic, abs=1e-12)


def test_layers_are_not_compared_with_each_other() -> None:
    """Layers that differ in both properties, and nothing within them: no relation, where all in one would show one."""
    generator = np.random.default_rng(1)
    layers = np.repeat(np.arange(4), 30)
    one, other = generator.standard_normal((2, 120)) + 5 * layers
    found = related(one, other, layers, seed=0, confidence=0.95)
    assert found.spearman is not None
    assert found.spearman.low < 0 < found.spearman.high
    assert found.units == 120
    pooled = related(one, other, one_layer(120), seed=0, confidence=0.95)
    assert pooled.spearman is not None
    assert pooled.spearman.low > 0.5


KINDS: dict[str, Callable[[Floats], Floats]] = {
    "plain": lambda x: x,
    "many that do nothing": lambda x: np.maximum(x, 0) ** 3,
    "coarse": lambda x: np.round(x),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("units", [8, 16, 64])
def test_where_there_is_no_relation_none_is_found(units: int, kind: str) -> None:
    """Selectivity shuffled among the units: the intervals cover 0 in 95 % of runs, in 93.5 % of 400 at least."""
    generator = np.random.default_rng(units)
    covered = []
    for seed in range(RUNS):
        one, other = generator.standard_normal(units), KINDS[kind](generator.standard_normal(units))
        found = related(one, other, one_layer(units), seed=seed, confidence=0.95)
        both = (found.spearman, found.kendall)
        covered.append([each is None or each.low <= 0 <= each.high for each in both])
    assert np.mean(covered, axis=0).min() >= 0.935


def test_where_there_is_one_it_is_found() -> None:
    """A correlation of ranks of about 0.5 among 64 units: inside the intervals as often, and 0 outside of most."""
    generator = np.random.default_rng(7)
    spearman = np.array([6 / np.pi * np.arcsin(0.5 / 2)])  # of a bivariate normal law with correlation 0.5
    kendall = 2 / np.pi * np.arcsin(0.5)
    hits, clear = [], []
    for seed in range(200):
        one = generator.standard_normal(64)
        other = 0.5 * one + np.sqrt(0.75) * generator.standard_normal(64)
        found = related(one, other, one_layer(64), seed=seed, confidence=0.95)
        assert found.spearman is not None
        assert found.kendall is not None
        hits.append(
            [
                found.spearman.low <= spearman[0] <= found.spearman.high,
                found.kendall.low <= kendall <= found.kendall.high,
            ]
        )
        clear.append(found.spearman.low > 0)
    assert np.mean(hits, axis=0).min() >= 0.93
    assert np.mean(clear) > 0.9


def test_too_few_units_and_no_spread_give_none() -> None:
    """Seven units, units without a value, and a property that all share: nothing is claimed."""
    values = np.arange(10.0)
    assert related(values[:7], values[:7], one_layer(7), seed=0, confidence=0.95).spearman is None
    missing = np.where(values < 4, np.nan, values)
    found = related(missing, values, one_layer(10), seed=0, confidence=0.95)
    assert (found.units, found.spearman) == (6, None)
    assert related(np.ones(10), values, one_layer(10), seed=0, confidence=0.95).kendall is None


def test_layers_too_large_for_pairs_have_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tens of thousands of units take no table of pairs; on fewer, both ways agree."""
    generator = np.random.default_rng(9)
    one, other = generator.integers(0, 50, (2, 300)).astype(np.float64)
    layers = np.repeat([0, 1], [200, 100])
    small = related(one, other, layers, seed=0, confidence=0.95)
    monkeypatch.setattr(relation, "MOST_UNITS", 50)
    large = related(one, other, layers, seed=0, confidence=0.95)
    assert small.spearman is not None
    assert large.spearman is not None
    assert small.kendall is not None
    assert large.kendall is not None
    assert large.spearman.value == pytest.approx(small.spearman.value, abs=1e-12)
    assert large.kendall.value == pytest.approx(small.kendall.value, abs=1e-12)
    assert large.spearman.low == pytest.approx(small.spearman.low, abs=0.05)


def test_the_same_seed_gives_the_same_interval() -> None:
    """Bit by bit; another seed another one."""
    one, other = np.random.default_rng(3).standard_normal((2, 30))
    found = [related(one, other, one_layer(30), seed=seed, confidence=0.9) for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0].spearman is not None
    assert found[2].spearman is not None
    assert found[0].spearman.value == found[2].spearman.value
