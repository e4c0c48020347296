"""Two evaluations side by side as CSV. Equal results give equal bytes."""

import csv as csv_format
import io

from service.schemas import Comparison, Result


def csv(found: Comparison, baseline: Result, candidate: Result) -> str:
    """Lines of side, quantity, fraction, value, low, high, trials: both scores, their difference, then both curves.

    The fraction is empty for what is no point of a curve. Numbers read back exactly.
    """
    text = io.StringIO()
    lines = csv_format.writer(text, lineterminator="\n")
    lines.writerow(["side", "quantity", "fraction", "value", "low", "high", "trials"])
    scores = found.baseline.score, found.candidate.score, found.difference
    for side, score in zip(("baseline", "candidate", "difference"), scores, strict=True):
        lines.writerow([side, "score", "", score.value, score.low, score.high, found.trials])
    for side, result in (("baseline", baseline), ("candidate", candidate)):
        for point in result.curve:
            lines.writerow([side, "curve", point.fraction, point.value, point.low, point.high, point.trials])
    return text.getvalue()
