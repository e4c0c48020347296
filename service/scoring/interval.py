"""Intervals: Wilson's for a proportion, ours for auc, and the rule that says when one is narrow enough."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from service.scoring.tally import Tally

Estimator = Literal["adaptive", "grid"]
Floats = NDArray[np.float64]

LEAST_MARGIN = 0.05  # of A(0) over chance; with less the score divides by noise
BLOCK_TRIALS = 32  # adjacent strata are pooled for the variance until a block has so many trials
CAUTION = 1.03  # on the normal quantile: where 95.0 % would just be covered, 95.6 % are, for 6 % more trials
PSEUDO = 0.5  # right and wrong answers added to a block (Agresti-Coull's idea): no block is taken for certain


@dataclass(frozen=True)
class Estimate:
    """A value and its interval, low <= value <= high."""

    value: float
    low: float
    high: float


def wilson(right: int, trials: int, confidence: float) -> Estimate:
    """Wilson's score interval for a proportion (JASA 22, 1927; eq. 4 of Brown, Cai and DasGupta, 2001), in [0, 1].

    Raises ValueError without a trial.
    """
    if trials < 1:
        raise ValueError("no trials, no proportion")
    z = _normal(confidence)
    value = right / trials
    centre = (right + z * z / 2) / (trials + z * z)
    half = z / (trials + z * z) * math.sqrt(right * (1 - value) + z * z / 4)
    return Estimate(value, max(min(centre - half, value), 0.0), min(max(centre + half, value), 1.0))


def student(values: Floats, confidence: float) -> Estimate:
    """The mean of R independent values in [0, 1] (float64[R]) with Student's interval; all of [0, 1] if R = 1."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Estimate(mean, 0.0, 1.0)
    half = _student(confidence, len(values) - 1) * math.sqrt(_variance(values) / len(values))
    return _clipped(mean, half)


def auc(tally: Tally, *, estimator: Estimator, examples: int, confidence: float) -> Estimate | None:
    """The area under the curve, averaged over the groups, with its interval; None while too little is measured.

    What the interval covers is this dataset's exhaustive value: the expectation over all orderings, all fractions
    and the dataset's examples, which is what counting every ablation of every example would give.
    examples: N, the size of the dataset. Everything is a function of the tally's integers, and sums are exactly
    rounded, so equal tallies give equal intervals whichever worker counted first.
    """
    if estimator == "adaptive":
        return _adaptive(tally, confidence) if np.all(tally.trials > 0) else None
    return _grid(tally, examples, confidence)


def margin(intact: tuple[int, int], chance: float) -> float:
    """A(0) - chance. intact: right answers and examples of the pass with nothing ablated."""
    return intact[0] / intact[1] - chance


def enough(
    tally: Tally,
    *,
    estimator: Estimator,
    intact: tuple[int, int],
    chance: float,
    confidence: float,
    precision: float,
    chunks: int,
    max_trials: int | None = None,
    min_chunks: int = 2,
) -> bool:
    """Whether to stop after the first `chunks` chunks, of which `tally` is the sum.

    `adaptive` stops once the score's interval is no wider than 2 * precision (where the score is refused: the
    auc's), or another chunk would exceed max_trials. It looks at the width alone, never at the value, so stopping
    hardly biases the value (Chow and Robbins, Ann. Math. Stat. 36, 1965). `grid` stops when it is complete.
    Ask after every chunk, in order: the first yes ends the evaluation.
    """
    if estimator == "grid":
        return bool(np.all(tally.trials >= intact[1]))
    trials = int(tally.trials.sum())
    if max_trials is not None and chunks > 0 and trials + trials // chunks > max_trials:
        return True
    measured = auc(tally, estimator=estimator, examples=intact[1], confidence=confidence)
    if chunks < min_chunks or measured is None:
        return False
    lost = margin(intact, chance)
    width = (measured.high - measured.low) / (lost if lost >= LEAST_MARGIN else 1.0)
    return round(width, 9) <= 2 * precision  # rounded: the last bit of a quantile must not decide


def _adaptive(tally: Tally, confidence: float) -> Estimate:
    """The mean of the strata's proportions with a stratified variance (Cochran, Sampling Techniques, section 5.4).

    Trials of one stratum also differ in their narrow share of it and are spread over the examples; what that
    takes off the variance isn't seen here, and makes the interval a little too wide.
    """
    value = math.fsum((tally.right / tally.trials).ravel()) / tally.right.size
    right, trials = _blocks(tally)
    share = (right + PSEUDO) / (trials + 2 * PSEUDO)
    parts = share * (1 - share) / np.maximum(trials - 1, 1)
    half = CAUTION * _normal(confidence) * math.sqrt(math.fsum(parts)) / len(parts)
    return _clipped(value, half)


def _blocks(tally: Tally) -> tuple[Floats, Floats]:
    """Right answers and trials of runs of adjacent strata, each run with at least BLOCK_TRIALS trials.

    Early on a stratum has too few trials to tell a variance, and with many groups it stays so for long. A block
    counts the differences between its strata as variance too, which errs on the wide side. Its strata must have
    had equally many trials, as those of whole chunks have.
    """
    groups, strata = tally.trials.shape
    sizes = [size for size in range(1, strata + 1) if strata % size == 0]
    least = int(tally.trials.min())
    size = next((size for size in sizes if size * least >= BLOCK_TRIALS), strata)
    right, trials = (each.reshape(groups, -1, size).sum(axis=2).ravel() for each in (tally.right, tally.trials))
    return right.astype(np.float64), trials.astype(np.float64)


def _grid(tally: Tally, examples: int, confidence: float) -> Estimate | None:
    """Student's interval over the orderings measured whole, widened by what the trapezoids may miss.

    Groups have orderings of their own, so their variances add (Welch-Satterthwaite for the degrees of freedom).
    """
    whole = np.all(tally.trials >= examples, axis=(0, 2))
    if np.count_nonzero(whole) < 2:
        return None
    heights = tally.right[:, whole] / tally.trials[:, whole]
    areas = (heights[:, :, 1:] + heights[:, :, :-1]).mean(axis=2) / 2
    groups, orderings = areas.shape
    value = math.fsum(areas.ravel()) / areas.size
    parts = [_variance(each) / orderings for each in areas]
    total = math.fsum(parts)
    freedom = total**2 / math.fsum(p * p / (orderings - 1) for p in parts) if total > 0 else math.inf
    half = _student(confidence, freedom) * math.sqrt(total) / groups
    return _clipped(value, half + _missed(heights.mean(axis=(0, 1))))


def _missed(heights: Floats) -> float:
    """What the trapezoid rule may be wrong by, between float64[K] equally spaced heights of a staircase.

    A lone step of height d may lie anywhere between two fractions h apart, an error of up to d h / 2. It shows as
    two second differences of size d, hence h / 4 of their sum, the curve continued flat at both ends. Where the
    curve is smooth they are small, and so is the error.
    """
    bends = np.abs(np.diff(np.pad(heights, 1, mode="edge"), 2))
    return math.fsum(bends) / (4 * (len(heights) - 1))


def _variance(values: Floats) -> float:
    """The unbiased variance of float64[R], R > 1."""
    mean = math.fsum(values) / len(values)
    return math.fsum((values - mean) ** 2) / (len(values) - 1)


def _clipped(value: float, half: float) -> Estimate:
    return Estimate(value, max(value - half, 0.0), min(value + half, 1.0))


def _normal(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _student(confidence: float, freedom: float) -> float:
    if math.isinf(freedom):
        return _normal(confidence)
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))
