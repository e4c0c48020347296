"""Where a verdict becomes an exit code."""

from types import SimpleNamespace

import pytest

from service.registries.verdicts import judged
from service.schemas import Estimate
from tests.service import answers


@pytest.mark.parametrize(
    ("low", "high", "line", "verdict", "code"),
    [
        (0.50, 0.60, 0.50, "pass", 0),
        (0.50, 0.60, 0.501, "inconclusive", 5),
        (0.50, 0.60, 0.60, "inconclusive", 5),
        (0.50, 0.60, 0.601, "fail", 1),
        (0.50, 0.60, None, None, 0),
    ],
)
def test_the_whole_interval_must_clear_the_line(low, high, line, verdict, code):
    """Pass and fail are said only where the interval lies on one side; without a line nothing is said."""
    found = judged(answers.result(score=Estimate(value=0.55, low=low, high=high)), line)
    assert (found.verdict, found.code) == (verdict, code)


def test_no_score_is_not_judged_and_never_passes():
    """A refused score exits with 3, whatever the line."""
    found = judged(answers.refused(), 0.0)
    assert (found.verdict, found.code) == (None, 3)
    assert "nothing to lose" in found.reason
    assert judged(None).code == 3


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 5)])
def test_a_verdict_of_the_result_comes_first(verdict, code):
    """Who asked the service for a verdict gets that one, and its reasons."""
    gate = SimpleNamespace(verdict=verdict, reasons=["min_accuracy holds.", "max_drop does not."])
    found = judged(answers.result().model_copy(update={"gate": gate}), 0.99)
    assert (found.verdict, found.code) == (verdict, code)
    assert found.reason == "min_accuracy holds. max_drop does not."
