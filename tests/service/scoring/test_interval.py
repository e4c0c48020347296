"""Wilson, Student, the interval of auc, and the rule that stops an evaluation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from service.scoring import METRICS, Estimator, Intact, Reference, Tally, auc, enough, student, wilson

ACCURACY = METRICS["accuracy"]


def even(right: int, trials: int, shape: tuple[int, ...] = (1, 32)) -> Tally:
    """The same counts in every cell."""
    return Tally.counted(np.full(shape, right), np.full(shape, trials))


def against(right: int, examples: int, chance: float = 0.1) -> Reference:
    """Plain accuracy: so many right of so many."""
    return Reference(ACCURACY, Intact.counted(right, examples), chance)


NINE = against(9, 9)


def stop(tally: Tally, estimator: Estimator = "adaptive", **changed) -> bool:
    asked: dict[str, Any] = {
        "reference": against(99, 100),
        "confidence": 0.95,
        "precision": 0.05,
        "chunks": 2,
        "max_trials": None,
        "min_chunks": 2,
    }
    return enough(tally, estimator=estimator, **(asked | changed))


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy(right, trials, confidence):
    """Our closed form is Wilson's interval as scipy has it."""
    right = min(right, trials)
    ours = wilson(right, trials, confidence)
    known = stats.binomtest(right, trials).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((known.low, known.high), abs=1e-9)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1


def test_wilson_needs_a_trial():
    """No trial, no proportion."""
    with pytest.raises(ValueError):
        wilson(0, 0, 0.95)


def test_student_agrees_with_scipy():
    """The interval over orderings is the textbook's; one ordering says nothing about the others."""
    values = np.array([0.2, 0.3, 0.25, 0.4])
    ours = student(values, 0.9, ACCURACY)
    known = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (ours.low, ours.high) == pytest.approx((known.low, known.high))
    alone = student(values[:1], 0.9, ACCURACY)
    assert (alone.value, alone.low, alone.high) == (0.2, 0.0, 1.0)


def test_strata_make_the_interval_narrower_than_one_lump():
    """A curve that falls from right to wrong has less variance within strata than a binomial with its mean."""
    trials = np.full((1, 32), 200)
    falling = auc(
        Tally.counted(trials * (np.arange(32) < 16), trials), estimator="adaptive", reference=NINE, confidence=0.95
    )
    flat = auc(even(100, 200), estimator="adaptive", reference=NINE, confidence=0.95)
    assert falling is not None
    assert flat is not None
    assert falling.value == flat.value == 0.5
    assert falling.high - falling.low < (flat.high - flat.low) / 4


def test_all_right_is_not_certain():
    """When no trial has gone wrong yet, the interval still has a width, which shrinks with trials."""
    widths = []
    for trials in (1, 4, 16, 64, 256):
        found = auc(even(trials, trials), estimator="adaptive", reference=NINE, confidence=0.95)
        assert found is not None
        assert found.value == found.high == 1.0
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert 0 < widths[-1] < 0.002
    assert widths[0] > 0.02


def test_empty_strata_have_no_interval():
    """While a stratum has no trial, or fewer than two orderings are whole, there is nothing to publish."""
    assert auc(Tally.empty((1, 32)), estimator="adaptive", reference=NINE, confidence=0.95) is None
    assert auc(Tally.empty((1, 3, 5)), estimator="grid", reference=NINE, confidence=0.95) is None


def test_the_grid_counts_whole_orderings_alone():
    """An ordering that is half measured doesn't touch the interval; equal orderings leave no width."""
    tally = even(5, 10, (1, 3, 11))
    tally.trials[0, 2, 4:] = 0
    tally.total[0, 2] = 0
    found = auc(tally, estimator="grid", reference=against(10, 10), confidence=0.95)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_a_cliff_between_two_fractions_widens_the_grid():
    """A grid can't see where between two fractions a cliff is, so its interval holds both ends of that gap."""
    right = np.tile(np.where(np.arange(11) < 4, 10, 0), (1, 3, 1))
    found = auc(
        Tally.counted(right, np.full((1, 3, 11), 10)), estimator="grid", reference=against(10, 10), confidence=0.95
    )
    assert found is not None
    assert (found.low, found.value, found.high) == pytest.approx((0.3, 0.35, 0.4))


def test_groups_weigh_the_same():
    """The overall auc is the mean over groups, and its variance the mean of theirs over the number of groups."""
    one, two = even(10, 100), even(90, 100)
    both = Tally.counted(np.concatenate([one.total, two.total]), np.concatenate([one.trials, two.trials]))
    found, alone = (auc(each, estimator="adaptive", reference=NINE, confidence=0.95) for each in (both, one))
    assert found is not None
    assert alone is not None
    assert found.value == 0.5
    assert (found.high - found.low) * np.sqrt(2) == pytest.approx(alone.high - alone.low)


def test_it_stops_when_the_score_is_precise_enough():
    """The width is that of the score, not of the auc: less to lose takes more trials."""
    assert stop(even(400, 800))
    assert not stop(even(5, 10))
    assert stop(even(400, 800), reference=against(60, 100, 0.4))
    assert not stop(even(400, 800), reference=against(60, 100, 0.5))


def test_a_refused_score_stops_on_the_auc():
    """Where no score will be published, the precision is asked of the auc, or an evaluation would never end."""
    assert stop(even(400, 800), reference=against(50, 100, 0.5))
    assert not stop(even(5, 10), reference=against(50, 100, 0.5))


def test_it_never_stops_on_the_first_chunk_unless_it_must():
    """The first chunk alone ends an evaluation only where another would cost more trials than allowed."""
    assert not stop(even(400, 800), chunks=1)
    assert stop(even(8, 16), chunks=1, max_trials=1000)
    assert not stop(even(8, 16), chunks=1, max_trials=1024)
    assert not stop(Tally.empty((1, 32)), chunks=0, max_trials=1)


def test_a_grid_stops_when_it_is_complete():
    """A grid is as large as was asked, however precise it is before."""
    whole = even(50, 100, (1, 2, 3))
    assert stop(whole, "grid")
    whole.trials[0, 1, 2] = 99
    assert not stop(whole, "grid")
