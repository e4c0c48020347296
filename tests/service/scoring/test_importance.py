"""A unit's importance from sums: against a direct computation, by simulation, and which are certainly the most."""

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service import scoring
from service.scoring import importance

CLASSES = 4


def answered(seed: int, units: int, examples: int) -> tuple[Any, ...]:
    """Labels, right answers intact, right answers and nats added for each unit and example."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, examples)
    before = generator.random(examples) < 0.9
    harm = np.linspace(0, 0.4, units)[:, None]
    after = before & (generator.random((units, examples)) > harm)
    added = generator.gamma(0.5, 1.0, (units, examples)) * harm
    return labels, before, after, added


def payload(rows: NDArray[np.int64], part: slice, given: tuple[Any, ...]) -> dict[str, Any]:
    """What a worker stores of a block, as JSON gives it back; pairs in which nothing changes are left out."""
    labels, before, after, added = given
    at = np.arange(len(labels))[part]
    units, places = np.nonzero(added[rows][:, part] != 0)
    pairs = scoring.Pairs(
        units, places, before[at[places]], after[rows[units], at[places]], added[rows[units], at[places]]
    )
    found: dict[str, Any] = json.loads(json.dumps(scoring.count_pairs(rows, labels[part], CLASSES, pairs)))
    return found


def test_sums_are_those_of_a_direct_computation() -> None:
    """Two blocks of units, three of examples: losses, nats, and each class's losses, as numpy has them."""
    given = answered(1, 7, 300)
    labels, before, after, added = given
    found = scoring.Importance(7, CLASSES)
    for part in (slice(0, 128), slice(128, 256), slice(256, 300)):
        for rows in (np.arange(4), np.arange(4, 7)):
            found.add(payload(rows, part, given))
    for unit, change in enumerate(found.changes(0.95)):
        assert change.examples == 300
        assert change.accuracy_lost.value == pytest.approx((before.mean() - after[unit].mean()), abs=1e-12)
        assert change.cross_entropy_added.value == pytest.approx(added[unit].mean(), abs=1e-12)
        for label, lost in change.classes:
            own = labels == label
            assert lost.value == pytest.approx(before[own].mean() - after[unit, own].mean(), abs=1e-12)
            assert lost.low <= lost.value <= lost.high
        told = dict(change.classes)
        assert all(told[label].value != 0 for label in range(CLASSES) if (before != after[unit])[labels == label].any())


def test_a_unit_that_changes_nothing_has_importance_zero() -> None:
    """Exactly, whatever was counted of others; what its interval leaves open shrinks with the examples."""
    given = answered(2, 3, 200)
    found = scoring.Importance(3, CLASSES)
    found.add(payload(np.arange(3), slice(0, 200), given))
    first = found.changes(0.95)[0]
    assert (first.accuracy_lost.value, first.cross_entropy_added.value, first.classes) == (0.0, 0.0, [])
    assert 0 < first.accuracy_lost.high < 4 / 200
    assert first.accuracy_lost.low == -first.accuracy_lost.high


@pytest.mark.parametrize(
    ("broken", "mended", "examples"), [(0.02, 0.0, 200), (0.01, 0.01, 400), (0.1, 0.08, 100), (0.3, 0.05, 60)]
)
def test_intervals_cover(broken: float, mended: float, examples: int) -> None:
    """The accuracy lost where the examples come from lies in 95 % of its intervals: in 93 % of 1000 runs, at least."""
    generator = np.random.default_rng(3)
    draws = generator.multinomial(examples, [broken, mended, 1 - broken - mended], 1000)
    intervals = [scoring.lost(int(b), int(m), examples, 0.95) for b, m, _ in draws]
    assert np.mean([each.low <= broken - mended <= each.high for each in intervals]) >= 0.93


def test_nothing_known_leaves_everything_open() -> None:
    """Without an example, or with one, the interval is all that the quantity allows, and finite."""
    assert vars(scoring.lost(0, 0, 0, 0.95)) == {"value": 0.0, "low": -1.0, "high": 1.0}
    one = importance.added(0.3, 0.09, 1, 0.95)
    assert (one.value, one.low, one.high) == (0.3, math.log(1e-12), -math.log(1e-12))


def test_the_most_important_are_certain_before_all_is_measured() -> None:
    """Rounds that double: few units are measured to the end, and in 60 runs the top is the true one but once or so."""
    wrong, spent = 0, 0
    for seed in range(60):
        given = answered(seed, 30, 2048)
        truth = set(np.argsort(-given[3].mean(axis=1), kind="stable")[:3].tolist())
        found, alive, met = scoring.Importance(30, CLASSES), np.arange(30), 0
        while len(alive) and met < 2048:
            stop = max(2 * met, 128)
            found.add(payload(alive, slice(met, stop), given))
            spent += len(alive) * (stop - met)
            met = stop
            alive = scoring.undecided(found, 3, 2048, 0.05 / (30 * 5))
        means = found.total / found.examples
        wrong += set(np.argsort(-means, kind="stable")[:3].tolist()) != truth
    assert wrong <= 3
    assert spent < 0.6 * 60 * 30 * 2048


def test_a_top_of_all_is_certain() -> None:
    """Whoever asks for as many as there are need not wait."""
    assert len(scoring.undecided(scoring.Importance(3, CLASSES), 3, 100, 0.01)) == 0
