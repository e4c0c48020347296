"""Masks that lose units in given orders, and in random ones: how many, which first, and none that is dead."""

import numpy as np

from worker.ablation import ordered

SITES = (5, 3)
FRACTIONS = np.array([0.0, 0.2, 0.5, 1.0])


def test_given_orders_lose_the_largest_first_in_each_site() -> None:
    """The dead, whose key is no number, come last and are never lost; of equal keys the first is lost first."""
    keys = np.array([0.1, np.nan, 0.9, 0.5, 0.5, 3.0, np.nan, 7.0])
    ranked = ordered.ranks(keys, SITES)
    assert ranked.tolist() == [3, 4, 0, 1, 2, 1, 2, 0]
    first, second = ordered.given(ranked[None], SITES, ~np.isnan(keys), FRACTIONS)
    lost = [np.flatnonzero(~row).tolist() for row in first]
    assert lost == [[], [2], [2, 3], [0, 2, 3, 4]]  # of four that live: floor(4 f + 1/2)
    assert [np.flatnonzero(~row).tolist() for row in second] == [[], [], [2], [0, 2]]


def test_random_orders_are_uniform_and_nested() -> None:
    """What is lost stays lost; each living unit is lost as often as another; a row does not depend on its block."""
    alive = np.array([True, True, False, True, True, True, True, True])
    whole = ordered.random(1, 0, 600, SITES, alive, FRACTIONS)
    for mask, size in zip(whole, SITES, strict=True):
        rows = mask.reshape(600, len(FRACTIONS), size)
        assert (rows[:, 1:] <= rows[:, :-1]).all()
    half = ~whole[0].reshape(600, len(FRACTIONS), 5)[:, 2]
    assert (half.sum(axis=1) == 2).all()
    assert half[:, 2].sum() == 0
    # 300 of 600 expected, standard deviation 12
    assert np.abs(half.sum(axis=0)[[0, 1, 3, 4]] - 300).max() < 50
    part = ordered.random(1, 250, 10, SITES, alive, FRACTIONS)
    for one, other in zip(part, whole, strict=True):
        np.testing.assert_array_equal(one, other[250 * len(FRACTIONS) : 260 * len(FRACTIONS)])
