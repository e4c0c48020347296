"""What a result says yes or no to, and the exit code that a pipeline reads: the one place where the two meet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.schemas import Result, Verdict

PASS, FAIL, NOT_JUDGED, INCONCLUSIVE = 0, 1, 3, 5  # exit codes; 2 is wrong usage, 4 timed out
CODES: Mapping[Verdict, int] = {"pass": PASS, "fail": FAIL, "inconclusive": INCONCLUSIVE}


@dataclass(frozen=True)
class Judged:
    """A verdict and what it rests on; `verdict` of None: there is no rule, or no score to hold it against."""

    verdict: Verdict | None
    reason: str
    code: int


def judged(result: Result | None, min_score: float | None = None) -> Judged:
    """Read the verdict of a result: its own, if it has one; else the whole interval must clear the line.

    Without either, no score never passes.
    """
    gate: Any = None if result is None else result.gate
    if gate is not None:
        return Judged(gate.verdict, " ".join(gate.reasons), CODES[gate.verdict])
    if result is None or result.score is None:
        why = "there is no result" if result is None else result.score_refused or "there is no score"
        return Judged(None, f"not judged: {why}", NOT_JUDGED)
    score = result.score
    told = f"score {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"
    if min_score is None:
        return Judged(None, f"{told}, no line to hold it against", PASS)
    if score.low >= min_score:
        return Judged("pass", f"{told} is at least {min_score:g}", PASS)
    if score.high < min_score:
        return Judged("fail", f"{told} is below {min_score:g}", FAIL)
    return Judged(
        "inconclusive", f"{told} has {min_score:g} inside its interval: ask for more --precision", INCONCLUSIVE
    )
