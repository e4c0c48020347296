"""Rules held against intervals, and when that may be done so that a verdict is seldom wrong.

A verdict that is read again and again is wrong more often than each reading by itself. So it is read at planned looks
alone, at chunk counts that double, and what may go wrong is shared among the looks and the checks (Bonferroni): with
at least the confidence asked for, every interval that is ever read holds what it is of, all at once, and then no
verdict is wrong. The looks are few, so that costs little: a score read at nine looks takes 2.0 times the trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.scoring.interval import Estimate
from service.scoring.score import rounded

Verdict = Literal["pass", "fail", "inconclusive"]
Rule = Literal["min_score", "min_accuracy", "min_layer_score", "max_drop", "max_gap"]

GROWTH = 2  # from one look to the next


@dataclass(frozen=True)
class Check:
    """A rule, its line, and what was measured; None where nothing can be, and then `why` says what is missing.

    measured: for `max_drop` the candidate's score minus the baseline's, for `max_gap` the training score minus this
    one. narrows: will more trials make the interval smaller?
    """

    rule: Rule
    line: float
    measured: Estimate | None
    narrows: bool = False
    site: str | None = None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """`pass` or `fail` if the whole interval lies on one side of the line."""
        if self.measured is None:
            return "inconclusive"
        return judged(self.rule, self.line, self.measured)


def judged(rule: Rule, line: float, measured: Estimate) -> Verdict:
    """What an interval says of a rule; the line itself passes."""
    low, high = measured.low, measured.high
    if rule == "max_gap":
        if -line <= low and high <= line:
            return "pass"
        return "fail" if low > line or high < -line else "inconclusive"
    least = -line if rule == "max_drop" else line
    return "pass" if low >= least else "fail" if high < least else "inconclusive"


def verdict(checks: Sequence[Check]) -> Verdict:
    """All must pass, and one that fails is enough; without a check nothing is known."""
    found = {check.verdict for check in checks}
    if "fail" in found:
        return "fail"
    return "pass" if found == {"pass"} else "inconclusive"


def settled(checks: Sequence[Check]) -> bool:
    """Would more trials be of no use: is the verdict certain, or does nothing that is open depend on them?"""
    if verdict(checks) != "inconclusive":
        return True
    return not any(check.narrows for check in checks if check.verdict == "inconclusive")


def looks(first: int, most: int) -> list[int]:
    """Chunk counts at which the verdict is read: from `first` on, doubled each time, and at last `most`."""
    planned = []
    count = max(first, 1)
    while count < most:
        planned.append(count)
        count *= GROWTH
    return [*planned, max(most, 1)]


def level(confidence: float, looks: int, checks: int) -> float:
    """The confidence of each interval, so that with `confidence` all that are read hold at once."""
    return 1 - (1 - confidence) / (looks * checks)


def turned(estimate: Estimate) -> Estimate:
    """The same with the sign of its value changed."""
    return Estimate(rounded(-estimate.value), rounded(-estimate.high), rounded(-estimate.low))
