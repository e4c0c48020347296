"""What is published: figures worked out by hand, refusals in words, and figures that JSON can hold."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.scoring import LEAST_MARGIN, METRICS, Intact, Reference, Summary, Tally, live, summarise


def tally(shares: list[float], trials: int = 200) -> Tally:
    """One group with the given share of right answers in each stratum."""
    counts = np.full((1, len(shares)), trials)
    return Tally.counted(np.rint(np.array([shares]) * trials).astype(np.int64), counts)


def against(intact: tuple[int, int], chance: float) -> Reference:
    """Plain accuracy: so many right of so many."""
    return Reference(METRICS["accuracy"], Intact.counted(*intact), chance)


def summary(found: Tally, intact: tuple[int, int] = (100, 100), chance: float = 0.0, **changed) -> Summary:
    asked: dict[str, Any] = {"estimator": "adaptive", "confidence": 0.95}
    return summarise(found, reference=against(intact, chance), **(asked | changed))


def test_score_and_auc_by_hand():
    """auc is the mean of the strata, and the score puts chance at 0 and the intact accuracy at 1."""
    found = summary(tally([0.9, 0.7, 0.3, 0.1]), (90, 100), 0.1)
    assert found.auc.value == 0.5
    assert found.score is not None
    assert found.score.value == 0.5
    assert found.intact.value == 0.9
    assert found.intact.low < 0.9 < found.intact.high
    assert (found.chance, found.trials, found.refusal) == (0.1, 800, None)


@pytest.mark.parametrize(("shares", "score"), [([0.9] * 8, 1.0), ([0.1] * 8, 0.0)])
def test_the_ends_of_the_scale(shares, score):
    """A network that loses nothing scores 1; one that is no better than a constant answer scores 0."""
    found = summary(tally(shares), (90, 100), 0.1).score
    assert found is not None
    assert found.value == score


def test_too_little_to_lose_is_refused_in_words():
    """Below the least margin there is no score and no half-life, and the refusal tells a human why."""
    found = summary(tally([0.5] * 8), (53, 100), 0.5)
    assert found.score is None
    assert found.half_life is None
    assert found.refusal is not None
    assert found.refusal == against((53, 100), 0.5).refusal()
    assert "53.0%" in found.refusal
    assert "50.0%" in found.refusal
    assert found.auc.value == 0.5
    assert live(tally([0.5] * 8), estimator="adaptive", reference=against((53, 100), 0.5), confidence=0.95) is None
    assert summary(tally([0.5] * 8), (56, 100), 0.5).refusal is None
    assert LEAST_MARGIN == 0.05


def test_half_life_by_hand():
    """The half-life is where the curve crosses halfway between A(0) and chance: here in the middle of a slope."""
    shares = [1.0] * 8 + [0.75] * 8 + [0.25] * 8 + [0.0] * 8
    found = summary(tally(shares)).half_life
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(15 / 32)
    assert found.high == pytest.approx(17 / 32)


def test_no_half_life_for_what_never_falls_to_half():
    """A curve that stays above half to the end has no half-life."""
    assert summary(tally([1.0] * 16 + [0.6] * 16)).half_life is None


def test_half_life_sees_through_noise():
    """One unlucky stratum early on is not the half-life: the decreasing fit evens it out."""
    shares = [0.9, 0.45, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1]
    found = summary(tally(shares, 16), (90, 100)).half_life
    assert found is not None
    assert 0.5 < found.value < 0.9


def test_the_curve_starts_exactly_and_goes_on_by_strata():
    """f = 0 is the intact pass, without an interval; every stratum stands at its centre with Wilson's."""
    points = summary(tally([0.9, 0.5, 0.2, 0.1]), (950, 1000), 0.1).curve
    assert [point.fraction for point in points] == [0.0, 0.125, 0.375, 0.625, 0.875]
    assert (points[0].value, points[0].low, points[0].high, points[0].trials) == (0.95, 0.95, 0.95, 1000)
    assert all(point.low < point.value < point.high and point.trials == 200 for point in points[1:])


def test_the_curve_of_a_grid():
    """A grid's curve has its own fractions, averaged over orderings, with an interval over them."""
    right = np.array([[[10, 8, 2], [10, 6, 2]]])
    found = summary(Tally.counted(right, np.full((1, 2, 3), 10)), (10, 10), 0.2, estimator="grid")
    assert [(point.fraction, point.value, point.trials) for point in found.curve] == [
        (0.0, 1.0, 20),
        (0.5, 0.7, 20),
        (1.0, 0.2, 20),
    ]
    assert found.curve[1].low < 0.7 < found.curve[1].high
    assert found.auc.value == pytest.approx(0.65)


def test_layers_are_summarised_one_by_one():
    """With a group a layer, each has its own figures, and the overall ones are of their mean."""
    both = Tally.counted(np.array([[160, 120], [80, 40]]), np.full((2, 2), 200))
    found = summary(both, (100, 100), 0.0)
    assert [group.auc.value for group in found.groups] == [0.7, 0.3]
    assert found.auc.value == 0.5
    assert found.trials == sum(group.trials for group in found.groups) == 800
    assert [point.value for point in found.curve] == [1.0, 0.6, 0.4]


def test_too_empty_a_tally_is_an_error():
    """Nothing is published without an interval; progress shows nothing yet."""
    with pytest.raises(ValueError):
        summary(Tally.empty((1, 4)))
    assert live(Tally.empty((1, 4)), estimator="adaptive", reference=against((9, 10), 0.1), confidence=0.95) is None


@pytest.mark.parametrize(
    "wrong", [{"confidence": 1.0}, {"chance": 1.5}, {"intact": (2, 1)}, {"intact": (0, 0)}, {"confidence": 0.0}]
)
def test_what_is_no_share_is_refused(wrong):
    """Figures that cannot be shares are errors of the caller."""
    with pytest.raises(ValueError):
        summary(tally([0.5]), **wrong)


@settings(deadline=None)
@given(st.data())
def test_any_tally_gives_sound_figures(data):
    """Whatever was counted: low <= value <= high everywhere, within [0, 1] but for the score, and JSON can hold it."""
    groups, strata = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2, 6, 32]))
    size = groups * strata
    trials = np.full(size, data.draw(st.integers(1, 90)))
    right = np.array(data.draw(st.lists(st.integers(0, int(trials[0])), min_size=size, max_size=size)))
    examples = data.draw(st.integers(1, 50))
    intact = (data.draw(st.integers(0, examples)), examples)
    chance = data.draw(st.floats(0, 1))
    confidence = data.draw(st.floats(0.5, 0.999))
    counted = Tally.counted(right.reshape(groups, strata), trials.reshape(groups, strata))
    found = summary(counted, intact, chance, confidence=confidence)
    json.dumps(asdict(found), allow_nan=False)
    assert (found.score is None) == (found.refusal is not None)
    for each in (found.auc, found.intact, found.half_life, *found.curve):
        assert each is None or 0 <= each.low <= each.value <= each.high <= 1
    if found.score is not None:
        assert found.score.low <= found.score.value <= found.score.high
