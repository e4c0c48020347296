"""What a curve is held against, by other metrics than accuracy: margins, refusals, figures that run the other way."""

import math
from typing import Any

import numpy as np
import pytest

from service.scoring import METRICS, Intact, Reference, Tally, count, enough, live, sample, summarise

COSTS = METRICS["cross_entropy"]


def costs(first: float, chance: float) -> Reference:
    """Cross-entropy of 100 examples."""
    return Reference(COSTS, Intact(100 * first, 100, 100, 0.05), chance, binary=False)


def rising(first: float = 0.2, last: float = 2.2) -> Tally:
    """A cost that rises evenly over 32 strata, 64 trials each, spread by 0.1 to either side."""
    means = np.linspace(first, last, 32)[None]
    return Tally(64 * means, 64 * (means**2 + 0.01), np.full((1, 32), 64))


def test_a_cost_is_scored_upside_down() -> None:
    """Of a cost, 1 is still unhurt and 0 a constant answer's; a curve that rises evenly to chance scores a half."""
    found = summarise(rising(), estimator="adaptive", reference=costs(0.2, 2.2), confidence=0.95)
    assert found.score is not None
    assert found.auc.value == pytest.approx(1.2)
    assert found.score.value == pytest.approx(0.5)
    assert found.score.low < 0.5 < found.score.high
    assert found.half_life is not None
    assert found.half_life.low <= found.half_life.value <= found.half_life.high
    assert found.half_life.value == pytest.approx(0.5, abs=0.02)
    assert [point.value for point in found.curve] == sorted(point.value for point in found.curve)
    assert all(point.low <= point.value <= point.high for point in found.curve)


def test_a_cost_above_chance_scores_below_nothing() -> None:
    """A network that ends up worse than a constant answer loses more than everything."""
    found = live(rising(2.3, 4.3), estimator="adaptive", reference=costs(0.2, 2.2), confidence=0.95)
    assert found is not None
    assert found.value < 0


@pytest.mark.parametrize(
    ("metric", "first", "chance", "told"),
    [
        ("cross_entropy", 2.27, 2.3, "cross-entropy is 2.270 nats, and that of always answering with the labels'"),
        ("cross_entropy", 2.4, 2.3, "less than 0.05 nats"),
        ("r2", 0.04, 0.0, "r2 is 0.040, and the best constant answer's is 0.000. With less than 0.05"),
        ("r2", -3.0, 0.0, "nothing to lose"),
        ("balanced_accuracy", 0.52, 0.5, "balanced_accuracy is 0.520"),
        ("agreement", 1.0, 0.96, "one and the same answer to 96.0% of the dataset. With less than 5% of other answers"),
    ],
)
def test_too_little_to_lose_is_refused_in_each_metrics_words(
    metric: str, first: float, chance: float, told: str
) -> None:
    """The margin is 0.05 of every metric in its own unit, in the direction in which it is good."""
    reference = Reference(METRICS[metric], Intact(100 * first, 100, 100, 0.01), chance)
    assert not reference.scored
    assert told in str(reference.refusal())
    less, more = (chance, chance - 0.051) if metric == "cross_entropy" else (chance - 0.051, chance)
    best = Reference(
        METRICS[metric], Intact(100 * (more if metric == "cross_entropy" else chance), 100, 100, 0.01), less
    )
    assert best.refusal() is None


def test_the_stop_rule_looks_at_the_scores_width_of_a_cost() -> None:
    """The width is divided by what there is to lose, which for a cost lies below chance."""
    asked: dict[str, Any] = {"estimator": "adaptive", "confidence": 0.95, "precision": 0.01, "chunks": 4}
    assert enough(rising(), reference=costs(0.2, 2.2), **asked)
    assert not enough(rising(), reference=costs(2.0, 2.2), **asked)
    assert not enough(rising(), reference=costs(0.2, 2.2), **(asked | {"chunks": 3}))


def test_the_intact_value_has_the_interval_of_its_kind() -> None:
    """Wilson's for plain counts; of weighted shares Wilson's of fewer; normal for costs; none for agreement."""
    accuracy = METRICS["accuracy"]
    plain = sample(Reference(accuracy, Intact.counted(90, 100), 0.1), 0.95)
    weighted = sample(Reference(accuracy, Intact(90.0, 100, 50.0, 0.03), 0.1), 0.95)
    uncertain = sample(Reference(accuracy, Intact(90.0, 100, 50.0, 0.06), 0.1), 0.95)
    widths = [each.high - each.low for each in (plain, weighted, uncertain)]
    assert widths == sorted(widths)
    assert widths[0] < widths[1] < widths[2]
    perfect = sample(Reference(accuracy, Intact(100.0, 100, 50.0, 0.0), 0.1), 0.95)
    assert (perfect.value, perfect.high) == (1, 1)
    assert 0.9 < perfect.low < 1
    cost = sample(costs(0.2, 2.2), 0.95)
    assert (cost.low, cost.high) == pytest.approx((0.2 - 1.96 * 0.05, 0.2 + 1.96 * 0.05), abs=1e-5)
    agreed = sample(Reference(METRICS["agreement"], Intact(100, 100, None), 0.4), 0.95)
    assert (agreed.low, agreed.value, agreed.high) == (1, 1, 1)


@pytest.mark.parametrize(
    ("metric", "total", "chance"), [("accuracy", 101.0, 0.5), ("r2", math.nan, 0.0), ("cross_entropy", 50.0, -1.0)]
)
def test_what_is_no_value_of_the_metric_is_an_error(metric: str, total: float, chance: float) -> None:
    """Shares lie in [0, 1], costs above 0, and nothing is NaN."""
    with pytest.raises(ValueError):
        Reference(METRICS[metric], Intact(total, 100, 100, 0.1), chance)


def test_sums_of_values_survive_json_and_squares_must_belong() -> None:
    """A chunk of values is stored as sums and squares; what no values can have is refused."""
    payload = count([1, 1, 0], np.array([0.1, 0.2, -3.0]))
    assert payload == {"cells": [0, 1], "total": [-3.0, 0.1 + 0.2], "squares": [9.0, 0.1**2 + 0.2**2], "trials": [1, 2]}
    tally = Tally.empty((1, 2)).add(payload)
    assert tally.total.tolist() == [[-3.0, 0.1 + 0.2]]
    for wrong in ({"total": [9.0, 0.3]}, {"squares": [math.inf, 1.0]}, {"trials": [1, 0]}, {"squares": [9.0]}):
        with pytest.raises(ValueError):
            Tally.empty((1, 2)).add({**payload, **wrong})


def test_counts_say_the_same_as_values_of_0_and_1() -> None:
    """Right answers counted are the sums of values that are 0 or 1."""
    cells, right = [0, 0, 1], np.array([True, False, True])
    one = Tally.empty((1, 2)).add(count(cells, right))
    other = Tally.empty((1, 2)).add(count(cells, right.astype(float)))
    assert np.array_equal(one.total, other.total)
    assert np.array_equal(one.squares, other.squares)
