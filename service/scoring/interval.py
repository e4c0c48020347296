"""Intervals: Wilson's for a proportion, ours for A(0) and auc, and the rule that says when one is narrow enough."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from service.scoring.control import controlled
from service.scoring.reference import Metric, Reference
from service.scoring.tally import Tally

Estimator = Literal["adaptive", "grid"]
Floats = NDArray[np.float64]

BLOCK_TRIALS = 32  # adjacent strata are pooled for the variance until a block has so many trials
CAUTION = 1.03  # on the normal quantile: where 95.0 % would just be covered, 95.6 % are, for 6 % more trials
MIN_CHUNKS = 2  # before an interval may end an evaluation
MIN_CHUNKS_OF_VALUES = 4  # of values that aren't right or wrong: their variance is known later
PSEUDO = 0.5  # right and wrong answers added to a block (Agresti-Coull's idea): no block is taken for certain


@dataclass(frozen=True)
class Estimate:
    """A value and its interval, low <= value <= high."""

    value: float
    low: float
    high: float


def wilson(right: float, trials: float, confidence: float) -> Estimate:
    """Wilson's score interval for a proportion (JASA 22, 1927; eq. 4 of Brown, Cai and DasGupta, 2001), in [0, 1].

    Both may be effective numbers, not whole. Raises ValueError without a trial.
    """
    if trials <= 0:
        raise ValueError("no trials, no proportion")
    z = normal(confidence)
    value = right / trials
    centre = (right + z * z / 2) / (trials + z * z)
    half = z / (trials + z * z) * math.sqrt(right * (1 - value) + z * z / 4)
    return Estimate(value, max(min(centre - half, value), 0.0), min(max(centre + half, value), 1.0))


def student(values: Floats, confidence: float, metric: Metric) -> Estimate:
    """The mean of R independent values (float64[R]) with Student's interval; all that the metric allows if R = 1."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Estimate(mean, metric.low, metric.high)
    half = student_quantile(confidence, len(values) - 1) * math.sqrt(variance(values) / len(values))
    return clipped(mean, half, metric)


def cell(total: float, squares: float, trials: int, confidence: float, reference: Reference) -> Estimate:
    """The mean of one cell's values: Wilson's interval for right and wrong, else Student's."""
    if reference.binary:
        return wilson(total, trials, confidence)
    [spread] = _mean_variances(np.array([total]), np.array([squares]), np.array([trials]), reference)
    half = student_quantile(confidence, max(trials - 1, 1)) * math.sqrt(spread)
    return clipped(total / trials, half, reference.metric)


def counted(reference: Reference, confidence: float) -> Estimate:
    """A(0) of this dataset, with an interval if it is counted on a part of it; else a point."""
    return clipped(reference.first, normal(confidence) * math.sqrt(reference.intact.doubt), reference.metric)


def sampled(reference: Reference, confidence: float) -> Estimate:
    """A(0), with the interval that it has as a sample of where the dataset came from.

    A share: Wilson's, of as many examples as the weighted ones count for. Other metrics: the normal one.
    """
    intact, value = reference.intact, reference.first
    if intact.effective is None:
        return Estimate(value, value, value)
    if not reference.metric.share:
        return clipped(value, normal(confidence) * (intact.error or 0.0), reference.metric)
    if intact.error is None:
        return wilson(intact.total, intact.effective, confidence)
    effective = intact.effective
    if intact.error > 0:  # no error at all is an accident of few examples; Wilson's interval knows better
        effective = min(effective, max(value * (1 - value), 0.0) / intact.error**2)
    return wilson(min(value, 1.0) * effective, effective, confidence) if effective > 0 else Estimate(value, 0.0, 1.0)


def auc(
    tally: Tally, *, estimator: Estimator, reference: Reference, confidence: float, for_score: bool = False
) -> Estimate | None:
    """The area under the curve, averaged over the groups, with its interval; None while too little is measured.

    for_score: with the interval that becomes the score's once it is scaled. It differs where A(0) is counted on a part
    of the dataset: what that part does to the area, it does to A(0) as well.

    What the interval covers is this dataset's exhaustive value: the expectation over all orderings, all fractions
    and the dataset's examples, which is what counting every ablation of every example would give.
    Everything is a function of the tally, and sums are exactly rounded, so equal tallies give equal intervals
    whichever worker counted first.
    """
    if estimator == "adaptive":
        return _adaptive(tally, reference, confidence, for_score) if np.all(tally.trials > 0) else None
    return _grid(tally, reference, confidence)


def enough(
    tally: Tally,
    *,
    estimator: Estimator,
    reference: Reference,
    confidence: float,
    precision: float,
    chunks: int,
    max_trials: int | None = None,
    min_chunks: int | None = None,
) -> bool:
    """Whether to stop after the first `chunks` chunks, of which `tally` is the sum.

    `adaptive` stops once the score's interval is no wider than 2 * precision (where the score is refused: the
    auc's), or another chunk would exceed max_trials. It looks at the width alone, never at the value, so stopping
    hardly biases the value (Chow and Robbins, Ann. Math. Stat. 36, 1965). `grid` stops when it is complete.
    Ask after every chunk, in order: the first yes ends the evaluation.
    """
    if estimator == "grid":
        return bool(np.all(tally.trials >= reference.examples))
    trials = int(tally.trials.sum())
    if max_trials is not None and chunks > 0 and trials + trials // chunks > max_trials:
        return True
    measured = auc(tally, estimator=estimator, reference=reference, confidence=confidence, for_score=reference.scored)
    least = min_chunks if min_chunks is not None else least_chunks(reference)
    if chunks < least or measured is None:
        return False
    width = (measured.high - measured.low) / (reference.margin if reference.scored else 1.0)
    return round(width, 9) <= 2 * precision  # rounded: the last bit of a quantile must not decide


def least_chunks(reference: Reference) -> int:
    """Chunks before an interval may end an evaluation."""
    return MIN_CHUNKS if reference.binary else MIN_CHUNKS_OF_VALUES


def _adaptive(tally: Tally, reference: Reference, confidence: float, for_score: bool) -> Estimate:
    """The mean of the strata's means with a stratified variance (Cochran, Sampling Techniques, section 5.4).

    Trials of one stratum also differ in their narrow share of it and are spread over the examples; what that
    takes off the variance isn't seen here, and makes the interval a little too wide.
    """
    known = controlled(tally, reference)
    read = known.tally
    value = math.fsum((read.total / read.trials).ravel()) / read.total.size
    parts = _mean_variances(*_blocks(read), reference, known.plain)
    doubt = known.doubt(reference, reference.scaled(value) if for_score else 0.0)
    half = CAUTION * normal(confidence) * math.sqrt(math.fsum(parts) + doubt * len(parts) ** 2) / len(parts)
    return clipped(value, half, reference.metric)


def _mean_variances(total: Floats, squares: Floats, trials: Floats, reference: Reference, plain: bool = True) -> Floats:
    """The variance of each block's mean. plain: are the values as they were measured?

    Half a trial of the least and half of the largest value are added to a share. An unbounded value has no such pair,
    and isn't often the same all through a block.
    """
    if reference.metric.share:
        mean, square = ((each + PSEUDO) / (trials + 2 * PSEUDO) for each in (total, squares))
        spread = mean * (1 - mean) if reference.binary and plain else np.maximum(square - mean * mean, 0.0)
    else:
        spread = np.maximum(squares / trials - (total / trials) ** 2, 0.0)
    found: Floats = spread / np.maximum(trials - 1, 1)
    return found


def _blocks(tally: Tally) -> tuple[Floats, Floats, Floats]:
    """Total, squares and trials of runs of adjacent strata, each run with at least BLOCK_TRIALS trials.

    Early on a stratum has too few trials to tell a variance, and with many groups it stays so for long. A block
    counts the differences between its strata as variance too, which errs on the wide side. Its strata must have
    had equally many trials, as those of whole chunks have.
    """
    groups, strata = tally.trials.shape
    sizes = [size for size in range(1, strata + 1) if strata % size == 0]
    least = int(tally.trials.min())
    size = next((size for size in sizes if size * least >= BLOCK_TRIALS), strata)
    columns = (tally.total, tally.squares, tally.trials.astype(np.float64))
    total, squares, trials = (each.reshape(groups, -1, size).sum(axis=2).ravel() for each in columns)
    return total, squares, trials


def _grid(tally: Tally, reference: Reference, confidence: float) -> Estimate | None:
    """Student's interval over the orderings measured whole, widened by what the trapezoids may miss.

    Groups have orderings of their own, so their variances add (Welch-Satterthwaite for the degrees of freedom).
    """
    whole = np.all(tally.trials >= reference.examples, axis=(0, 2))
    if np.count_nonzero(whole) < 2:
        return None
    heights = tally.total[:, whole] / tally.trials[:, whole]
    areas = (heights[:, :, 1:] + heights[:, :, :-1]).mean(axis=2) / 2
    groups, orderings = areas.shape
    value = math.fsum(areas.ravel()) / areas.size
    parts = [variance(each) / orderings for each in areas]
    total = math.fsum(parts)
    freedom = total**2 / math.fsum(p * p / (orderings - 1) for p in parts) if total > 0 else math.inf
    half = student_quantile(confidence, freedom) * math.sqrt(total) / groups
    return clipped(value, half + missed(heights.mean(axis=(0, 1))), reference.metric)


def missed(heights: Floats) -> float:
    """What the trapezoid rule may be wrong by, between float64[K] equally spaced heights of a staircase.

    A lone step of height d may lie anywhere between two fractions h apart, an error of up to d h / 2. It shows as
    two second differences of size d, hence h / 4 of their sum, the curve continued flat at both ends. Where the
    curve is smooth they are small, and so is the error.
    """
    bends = np.abs(np.diff(np.pad(heights, 1, mode="edge"), 2))
    return math.fsum(bends) / (4 * (len(heights) - 1))


def variance(values: Floats) -> float:
    """The unbiased variance of float64[R], R > 1."""
    mean = math.fsum(values) / len(values)
    return math.fsum((values - mean) ** 2) / (len(values) - 1)


def clipped(value: float, half: float, metric: Metric) -> Estimate:
    """value +- half, as far as the metric goes; low <= value <= high, whatever was rounded."""
    return Estimate(value, min(metric.inside(value - half), value), max(metric.inside(value + half), value))


def normal(confidence: float) -> float:
    """The quantile of the normal distribution that bounds the middle `confidence`."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def student_quantile(confidence: float, freedom: float) -> float:
    """The same of Student's t; infinite freedom gives the normal one."""
    if math.isinf(freedom):
        return normal(confidence)
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))
