"""From the tally to what is published: auc, score, half-life and curve, or why there is no score."""

import math
from dataclasses import dataclass

from service.scoring.curve import Point, curve, half_life
from service.scoring.interval import Estimate, Estimator, auc, sampled
from service.scoring.reference import Reference
from service.scoring.tally import Tally

__all__ = ["Estimate", "Group", "Summary", "live", "sample", "summarise"]

DIGITS = 6  # published; far below any interval's width, far above the last bits in which two machines may differ


@dataclass(frozen=True)
class Group:
    """One curve's figures: of the whole scope, or of one site where sites are ablated one at a time.

    score: None where it is refused. half_life: a fraction in [0, 1]; None where the score is refused, or where the
    curve never falls to half. trials: all that were counted for it.
    """

    score: Estimate | None
    auc: Estimate
    half_life: Estimate | None
    curve: list[Point]
    trials: int


@dataclass(frozen=True)
class Summary:
    """All figures of an evaluation, each with its interval.

    score and auc are about this very dataset: their intervals cover what ablating in every order, at every
    fraction, on every example would give. Where A(0) is counted on a part of it, that is in them.
    intact is A(0) as a sample of whatever the dataset was drawn from, hence an interval around a known figure.
    groups: one entry a group of the design; score, auc, half_life and curve are of the mean over the groups.
    refusal: why there is no score, a sentence for humans.
    """

    score: Estimate | None
    refusal: str | None
    auc: Estimate
    intact: Estimate
    chance: float
    half_life: Estimate | None
    curve: list[Point]
    groups: list[Group]
    trials: int


def summarise(tally: Tally, *, estimator: Estimator, reference: Reference, confidence: float) -> Summary:
    """What a tally says. All figures are rounded to six digits, so equal tallies give equal JSON, byte by byte.

    confidence: of every interval, in (0, 1).
    Raises ValueError where the tally is too empty for an interval: a stratum without a trial, or fewer than two
    orderings measured whole.
    """
    if not 0 < confidence < 1:
        raise ValueError("confidence lies between 0 and 1")
    groups = [_figures(tally.group(index), estimator, reference, confidence) for index in range(len(tally.trials))]
    whole = _figures(tally, estimator, reference, confidence) if len(groups) > 1 else groups[0]
    return Summary(
        score=whole.score,
        refusal=reference.refusal(),
        auc=whole.auc,
        intact=sample(reference, confidence),
        chance=rounded(reference.chance),
        half_life=whole.half_life,
        curve=whole.curve,
        groups=groups,
        trials=whole.trials,
    )


def sample(reference: Reference, confidence: float) -> Estimate:
    """A(0) with its interval: the dataset as a sample of where it came from."""
    return _rounded(sampled(reference, confidence))


def live(tally: Tally, *, estimator: Estimator, reference: Reference, confidence: float) -> Estimate | None:
    """The score so far, for showing progress; None while too little is measured, and where it is refused.

    Looked at often, its intervals are wrong more often than one of them alone: show them, decide nothing by them.
    """
    if not reference.scored:
        return None
    measured = auc(tally, estimator=estimator, reference=reference, confidence=confidence, for_score=True)
    return _score(measured, reference) if measured else None


def _figures(tally: Tally, estimator: Estimator, reference: Reference, confidence: float) -> Group:
    area = auc(tally, estimator=estimator, reference=reference, confidence=confidence)
    if area is None:
        raise ValueError("too few trials for an interval")
    score = live(tally, estimator=estimator, reference=reference, confidence=confidence)
    points = curve(tally, estimator=estimator, reference=reference, confidence=confidence)
    reach = 0.5 / tally.trials.shape[1] if estimator == "adaptive" else 0.0
    half = half_life(points, reference=reference, reach=reach, confidence=confidence) if score else None
    return Group(
        score=score,
        auc=_rounded(area),
        half_life=_rounded(half) if half else None,
        curve=[_rounded_point(point) for point in points],
        trials=int(tally.trials.sum()),
    )


def _score(area: Estimate, reference: Reference) -> Estimate:
    """(auc - chance) / (A(0) - chance): 1 is unhurt by any loss, 0 is no better than a constant answer.

    Where larger is worse both differences are negative, and the interval's ends change places.
    """
    value, one, other = (reference.scaled(each) for each in (area.value, area.low, area.high))
    return _rounded(Estimate(value, min(one, other), max(one, other)))


def _rounded(estimate: Estimate) -> Estimate:
    return Estimate(*(rounded(each) for each in (estimate.value, estimate.low, estimate.high)))


def _rounded_point(point: Point) -> Point:
    fraction, value, low, high = (rounded(each) for each in (point.fraction, point.value, point.low, point.high))
    return Point(fraction, value, low, high, point.trials)


def rounded(value: float) -> float:
    """To DIGITS; never -0.0, which JSON would show, and never a number that JSON has no word for."""
    assert math.isfinite(value)
    return round(float(value), DIGITS) + 0.0
