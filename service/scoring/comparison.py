"""Two evaluations held against each other: the difference of their scores, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from service.scoring.interval import Estimate, Estimator, auc, missed, student_quantile, variance
from service.scoring.reference import Reference
from service.scoring.score import rounded
from service.scoring.tally import Tally

Floats = NDArray[np.float64]

LEAST_CHUNKS = 2  # on both sides, before their scatter tells anything


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: what it is held against, and the tally of each of its chunks, in order."""

    reference: Reference
    chunks: Sequence[Tally]

    @property
    def tally(self) -> Tally:
        """All chunks together."""
        return reduce(Tally.plus, self.chunks)


@dataclass(frozen=True)
class Difference:
    """Score of one minus score of the other. trials: how many of each side it rests on."""

    estimate: Estimate
    paired: bool
    trials: int


def difference(one: Arm, other: Arm, *, estimator: Estimator, confidence: float, same_draws: bool) -> Difference | None:
    """The difference of two scores on the same dataset; None where a side has no score, or too few trials.

    same_draws: trial t of both sides pushed the same example at the same fraction: both have one seed, one dataset and
    equally many groups. Then the scatter of the differences counts, which is smaller where both find the same examples
    hard; else the two intervals add up in quadrature.
    """
    if not (one.reference.scored and other.reference.scored and one.chunks and other.chunks):
        return None
    if estimator == "grid":
        return _grid(one, other, confidence)
    return _paired(one, other, confidence) if same_draws else _apart(one, other, estimator, confidence)


def _paired(one: Arm, other: Arm, confidence: float) -> Difference | None:
    """The mean over the strata of the mean difference in each, over the chunks that both sides have.

    A stratum's variance comes from its differences chunk by chunk, and the strata's add (Cochran, Sampling Techniques,
    section 5.4); freedom by Satterthwaite (Biometrics 2, 1946). One pair that differs is added to what was seen, since
    no difference in T trials is no proof that there is none.
    """
    common = min(len(one.chunks), len(other.chunks))
    if common < LEAST_CHUNKS:
        return None
    gaps = _scores(one, common) - _scores(other, common)
    cells = gaps.reshape(common, -1)
    trials = sum(int(each.trials.sum()) for each in one.chunks[:common])
    value = math.fsum(cells.ravel()) / cells.size
    parts = [variance(column) / common for column in cells.T]
    total = math.fsum(parts)
    freedom = total**2 / math.fsum(each**2 / (common - 1) for each in parts) if total > 0 else math.inf
    unseen = 1 / (trials * min(one.reference.margin, other.reference.margin))
    doubt = _doubt([(each, float(_scores(each, common).mean())) for each in (one, other)])
    spread = math.sqrt(total / cells.shape[1] ** 2 + unseen**2 + doubt)
    return Difference(_around(value, student_quantile(confidence, freedom) * spread), paired=True, trials=trials)


def _doubt(sides: Sequence[tuple[Arm, float]]) -> float:
    """What is added to the variance of a difference by A(0) being counted on a part of the dataset.

    sides: each with its score; to first order, A(0) moves that by score / margin. Where both counted on the same
    examples, the difference of the two counts, example by example. It adds up with the trials' own part of the
    variance: an example that one side's intact network alone gets right is one that this side is better at when it is
    damaged. The two would in truth take something from each other, which is left in.
    """
    (one, its), (other, others) = sides
    slopes = (its / _signed(one.reference), others / _signed(other.reference))
    seen = [each.reference.seen if each.reference.intact.doubt else None for each in (one, other)]
    if seen[0] is not None and seen[1] is not None and len(seen[0]) == len(seen[1]):
        gaps = slopes[0] * seen[0].astype(np.float64) - slopes[1] * seen[1].astype(np.float64)
        return variance(gaps) / len(gaps)
    parts = zip((one, other), slopes, strict=True)
    return math.fsum(slope**2 * arm.reference.intact.doubt for arm, slope in parts)


def _signed(reference: Reference) -> float:
    """A(0) less chance."""
    return reference.first - reference.chance


def _scores(arm: Arm, common: int) -> Floats:
    """float64[common, groups, strata]: each cell's mean on the score's scale."""
    means = np.stack([each.total / each.trials for each in arm.chunks[:common]])
    return arm.reference.scaled(means)


def _apart(one: Arm, other: Arm, estimator: Estimator, confidence: float) -> Difference | None:
    areas = [
        auc(arm.tally, estimator=estimator, reference=arm.reference, confidence=confidence, for_score=True)
        for arm in (one, other)
    ]
    if areas[0] is None or areas[1] is None:
        return None
    values, halves = [], []
    for arm, area in zip((one, other), areas, strict=True):
        assert area is not None
        values.append(arm.reference.scaled(area.value))
        halves.append(max(area.high - area.value, area.value - area.low) / arm.reference.margin)
    trials = min(int(arm.tally.trials.sum()) for arm in (one, other))
    return Difference(_around(values[0] - values[1], math.hypot(*halves)), paired=False, trials=trials)


def _grid(one: Arm, other: Arm, confidence: float) -> Difference | None:
    """Ordering by ordering; each is one independent difference, whether or not both sides lost the same units."""
    sides = [_orderings(arm) for arm in (one, other)]
    if any(heights is None for heights in sides):
        return None
    scores = [
        arm.reference.scaled(heights) for arm, heights in zip((one, other), sides, strict=True) if heights is not None
    ]
    orderings = min(len(each) for each in scores)
    areas = [((each[:, 1:] + each[:, :-1]) / 2).mean(axis=1)[:orderings] for each in scores]
    gaps = areas[0] - areas[1]
    value = math.fsum(gaps) / orderings
    half = student_quantile(confidence, orderings - 1) * math.sqrt(variance(gaps) / orderings)
    half += sum(missed(each.mean(axis=0)) for each in scores)
    trials = min(int(arm.tally.trials.sum()) for arm in (one, other))
    return Difference(_around(value, half), paired=True, trials=trials)


def _orderings(arm: Arm) -> Floats | None:
    """float64[orderings, fractions], the mean over the groups; None with fewer than two measured whole."""
    tally = arm.tally
    whole = np.all(tally.trials >= arm.reference.examples, axis=(0, 2))
    if np.count_nonzero(whole) < 2:
        return None
    heights: Floats = (tally.total[:, whole] / tally.trials[:, whole]).mean(axis=0)
    return heights


def _around(value: float, half: float) -> Estimate:
    return Estimate(rounded(value), rounded(value - half), rounded(value + half))
