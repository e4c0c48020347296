"""The zoo's statistics: equal to slow direct computations, right on simulated zoos, blind where nothing is."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.zoo.granulated import granulated, overall
from benchmarks.zoo.information import information
from benchmarks.zoo.partial import partial

Floats = NDArray[np.float64]
RNG = np.random.default_rng


def factorial(*sizes: int) -> dict[str, Floats]:
    """A full factorial of axes a, b, c ..., so many values each."""
    rows = np.array(list(itertools.product(*(range(size) for size in sizes))), dtype=np.float64)
    return dict(zip("abcdefgh", rows.T, strict=False))


def scoring_program(measure: Floats, gap: Floats, axes: dict[str, Floats]) -> float:
    """PGDL's score, pair of networks by pair of networks, as its scoring program goes."""
    found = []
    for one, other in itertools.permutations(axes, 2):
        tables: dict[tuple[float, ...], Floats] = defaultdict(lambda: np.zeros((2, 2)))
        for i, j in itertools.product(range(len(gap)), repeat=2):
            key = (axes[one][i], axes[one][j], axes[other][i], axes[other][j])
            tables[key][int(gap[i] <= gap[j]), int(measure[i] <= measure[j])] += 1
        told = entropies = 0.0
        for table in tables.values():
            p = table / table.sum()
            rows, columns = p.sum(axis=1), p.sum(axis=0)
            told += sum(
                p[a, b] * math.log2(p[a, b] / (rows[a] * columns[b])) for a in (0, 1) for b in (0, 1) if p[a, b]
            )
            entropies -= sum(each * math.log2(each) for each in rows if each)
        found.append(told / entropies)
    return 100 * min(found)


def test_the_pgdl_score_is_the_scoring_programs() -> None:
    """Our vectorised score equals a direct one over all pairs of networks, itself included, on three seeds."""
    axes = factorial(2, 3, 2)
    for seed in range(3):
        gap, noise = RNG(seed).normal(size=(2, 12))
        for measure in (gap + noise, -gap, np.round(noise)):
            found = information(measure, gap, axes, permutations=3, seed=0)
            assert found.score == pytest.approx(scoring_program(measure, gap, axes), abs=1e-9)


def test_the_pgdl_score_of_the_gap_itself_is_all_there_is() -> None:
    """A measure that orders networks as the gap does tells everything: 100, whatever its sign and scale."""
    gap = RNG(1).normal(size=16)
    axes = factorial(2, 2, 4)
    assert information(np.exp(gap), gap, axes, permutations=9, seed=0).score == pytest.approx(100)
    # Against the gap, pairs of a network with itself are odd ones out: they have neither the larger gap nor measure.
    assert 40 < information(-gap, gap, axes, permutations=9, seed=0).score < 100


def test_what_a_hyper_parameter_tells_is_no_information() -> None:
    """A gap that is an axis's doing, and a measure that sees that axis alone, score nothing, however high their tau."""
    axes = factorial(2, 2, 2, 2, 2)
    random = RNG(3)
    gap = 10 * axes["a"] + random.normal(size=32)
    measure = 10 * axes["a"] + random.normal(size=32)
    found = information(measure, gap, axes, permutations=99, seed=0)
    assert found.score < 5
    assert "a" in found.given
    assert found.p > 0.05


def test_the_permutation_null_holds_its_level() -> None:
    """Measures that know nothing are significant at 5 % about one time in twenty, in 200 simulated zoos."""
    axes = factorial(2, 2, 2, 2)
    random = RNG(4)
    ps = []
    for each in range(200):
        measure, gap = random.normal(size=(2, 16))
        ps.append(information(measure, gap, axes, permutations=39, seed=each).p)
    assert 0.005 < np.mean(np.array(ps) <= 0.05) < 0.11


def test_psi_sees_each_axis_alone() -> None:
    """A measure that goes with the gap along one axis and against it along another has psi 1 and -1."""
    axes = factorial(2, 3, 2)
    gap = 100 * axes["a"] + 10 * axes["b"] + axes["c"]
    found = granulated(100 * axes["a"] - 10 * axes["b"] + 0 * axes["c"], gap, axes)
    assert [found[axis].psi for axis in "abc"] == [1, -1, 0]
    assert [found[axis].groups for axis in "abc"] == [6, 4, 6]
    assert overall(found).psi == pytest.approx(0)


def test_psi_of_a_zoo_with_holes_counts_what_can_be_compared() -> None:
    """A network that is missing takes its group along; an axis of one value has none and does not spoil the mean."""
    axes = factorial(2, 2) | {"c": np.zeros(4)}
    gap = np.arange(4.0)
    kept = np.array([True, True, True, False])
    found = granulated(gap[kept], gap[kept], {name: values[kept] for name, values in axes.items()})
    assert (found["a"].groups, found["b"].groups, found["c"].groups) == (1, 1, 0)
    assert overall(found).psi == 1


def test_partial_correlation_takes_out_what_is_given() -> None:
    """Two properties that share a cause correlate; given the cause, they don't, and 95 % intervals say so."""
    random, covered, apart = RNG(5), 0, 0
    for _ in range(200):
        cause, one, other = random.normal(size=(3, 80))
        found = partial(cause + one, cause + other, [cause])
        assert found is not None
        covered += found.low <= 0 <= found.high
        alone = partial(cause + one, cause + other, [])
        assert alone is not None
        apart += alone.low > 0
    assert covered >= 0.9 * 200
    assert apart >= 0.9 * 200


def test_nothing_is_left_of_what_is_given_whole() -> None:
    """A measure that is one of the given ones, or that never varies, has no partial correlation."""
    one, other = RNG(6).normal(size=(2, 20))
    assert partial(one, other, [one]) is None
    assert partial(np.ones(20), other, []) is None
