"""Curves in chosen and random orders from sums, against direct means; gaps that cover; which classes break first."""

import json
from typing import Any

import numpy as np
import pytest

from service import scoring
from service.scoring import orders
from service.scoring.orders import REPEATS, STEPS

CLASSES = 3


def answered(seed: int, examples: int, shift: float = 0.0) -> tuple[Any, ...]:
    """Each example is right until some fraction is lost: random ones, and `shift` earlier in two chosen orders."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, examples)
    fractions = scoring.fractions()[1:]
    needs = generator.random((examples, REPEATS)) * (0.4 + 0.3 * labels[:, None])
    random = fractions < needs[:, :, None]
    chosen = generator.random((2, examples)) * (0.4 + 0.3 * labels) - shift
    return np.ones(examples, np.bool_), fractions[None, :, None] < chosen[:, None, :], random, labels


def summed(given: tuple[Any, ...], step: int = 70) -> scoring.Orders:
    found = scoring.Orders(2, CLASSES)
    intact, chosen, random, labels = given
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        sums = scoring.count_orders(intact[part], chosen[:, :, part], random[part], labels[part], CLASSES)
        found.add(json.loads(json.dumps(sums)))
    return found


def test_sums_are_those_of_a_direct_computation() -> None:
    """Points, areas, gaps and classes, as means of numpy have them."""
    given = answered(1, 300)
    intact, chosen, random, labels = given
    found = summed(given)
    curve = found.curves(0.95)[1]
    heights = np.concatenate([[intact.mean()], chosen[1].mean(axis=1)])
    assert [point.value for point in curve.points] == pytest.approx(heights.tolist())
    assert curve.area.value == pytest.approx(np.trapezoid(heights, scoring.fractions()))
    by_chance = np.concatenate([[1.0], random.mean(axis=(0, 1))])
    assert found.random(0.95).area.value == pytest.approx(np.trapezoid(by_chance, scoring.fractions()))
    assert curve.gap is not None
    assert curve.gap.value == pytest.approx(found.random(0.95).area.value - curve.area.value)
    for each in found.classes(0.95):
        own = random[labels == each.label].mean(axis=(0, 1))
        assert each.values == pytest.approx([1.0, *own.tolist()])
        assert each.examples == (labels == each.label).sum()
        assert each.area.value == pytest.approx(np.trapezoid(each.values, scoring.fractions()))


def test_classes_that_break_first_come_first() -> None:
    """In order of the fraction at which half is lost; one that was never right has nothing to lose, and is last."""
    intact, chosen, random, labels = answered(2, 900)
    assert [each.label for each in summed((intact, chosen, random, labels)).classes(0.95)] == [0, 1, 2]
    intact[labels == 0] = False
    random[labels == 0] = False
    last = summed((intact, chosen, random, labels)).classes(0.95)[-1]
    assert (last.label, last.half_life) == (0, None)


def test_half_life_is_where_half_is_lost() -> None:
    """Straight between points; None for a curve that never falls so low, or has nothing to lose."""
    assert orders.half_life([1.0, 0.75, 0.25, *[0.0] * (STEPS - 2)]) == pytest.approx(1.5 / STEPS)
    assert orders.half_life([1.0] * STEPS + [0.6]) is None
    assert orders.half_life([0.0] * (STEPS + 1)) is None


def test_an_order_that_is_as_good_as_random_shows_no_gap() -> None:
    """The gap's interval covers 0 in 95 % of runs (93.5 % of 400, at least), and not where units are chosen well."""
    covered = []
    for seed in range(400):
        gap = summed(answered(seed, 60)).curves(0.95)[0].gap
        assert gap is not None
        covered.append(gap.low <= 0 <= gap.high)
    assert np.mean(covered) >= 0.935
    clear = summed(answered(1, 300, shift=0.2)).curves(0.95)[0].gap
    assert clear is not None
    assert clear.low > 0.05


def test_one_example_leaves_everything_open() -> None:
    """Its interval is all that an area may be."""
    found = orders.mean(0.4, 0.16, 1, 0.95, (0.0, 1.0))
    assert (found.value, found.low, found.high) == (0.4, 0.0, 1.0)
