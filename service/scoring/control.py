"""What the intact network gave to the trials' examples takes the luck of their draw out of auc, and out of score."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.scoring.reference import Reference
from service.scoring.tally import Beside, Tally

Floats = NDArray[np.float64]

LEAST = 128  # trials that a slope is fitted on; fewer have none
# And, for each unit of the kurtosis of what the intact network gives, so many: of right and wrong answers, about as
# many of the rarer kind. With a few of those by luck more or less, slope and mean would err together, which is a bias.
LEAST_RARE = 16


@dataclass(frozen=True)
class Controlled:
    """A tally that is read in place of the one that was counted. plain: is it that one?

    slope: by how much a trial's value rises with its example's intact one, the mean over the cells. share: of the
    trials, those whose example the intact network was shown.
    """

    tally: Tally
    plain: bool
    slope: float
    share: float

    def doubt(self, reference: Reference, score: float) -> float:
        """What A(0) being counted on a part of the dataset adds to the variance of auc - score A(0).

        Two-phase sampling (Cochran, Sampling Techniques, section 12.6): the examples of T trials are a random part of
        the n that the intact network saw, or the n of the T. With T <= n, the mean of y is read as that of y - slope x
        over the trials and slope x over the n. The first is uncorrelated with x, so what is left of the n is
        (slope - score) x. With T > n the mean of y is read as it is, and its covariance with the mean of x falls as
        1 / T; a negative sum counts as 0, which errs on the wide side.
        """
        intact = reference.intact
        if intact.of is None or intact.doubt == 0:
            return 0.0
        if self.share == 1:
            return (self.slope - score) ** 2 * intact.doubt
        left = max(self.share / intact.examples - 1 / intact.of, 0.0) / (1 / intact.examples - 1 / intact.of)
        return max(score * (score - 2 * self.slope * left), 0.0) * intact.doubt


def controlled(tally: Tally, reference: Reference) -> Controlled:
    """Each value less slope (x - A(0)), x being what the intact network gave to its example.

    The mean of what is subtracted is 0 over the examples that A(0) is counted on, so this moves no expectation, and
    takes out of the variance what x tells of it: regression on a mean that is known (Cochran, section 7). The slopes
    are of blocks of neighbouring strata and fitted on the trials themselves, which biases by a share of 1 / trials of
    the error. Only where all of a tally's trials have an x; else it is read as it is.
    """
    beside = tally.beside
    if beside is None:
        return Controlled(tally, True, 0.0, 0.0)
    slopes = _slopes(beside, max(LEAST, LEAST_RARE * reference.kurtosis))
    share = float(beside.trials.sum() / tally.trials.sum())
    if share < 1 or not slopes.any():
        return Controlled(tally, True, float(slopes.mean()), share)
    first = reference.first
    away = beside.total - first * beside.trials
    crossed = beside.products - first * beside.own
    square = beside.squares - 2 * first * beside.total + first**2 * beside.trials
    read = replace(
        tally,
        total=tally.total - slopes * away,
        squares=tally.squares - 2 * slopes * crossed + slopes**2 * square,
    )
    return Controlled(read, False, float(slopes.mean()), share)


def _slopes(beside: Beside, enough: float) -> Floats:
    """float64 of the tally's shape: of each cell, the slope of its block; 0 where too few trials are there for one."""
    groups, strata = beside.trials.shape
    sizes = [size for size in range(1, strata + 1) if strata % size == 0]
    least = int(beside.trials.min())
    size = next((size for size in sizes if size * least >= enough), 0)
    if size == 0:
        return np.zeros(beside.trials.shape)
    fields = (beside.trials.astype(np.float64), beside.own, beside.total, beside.squares, beside.products)
    trials, own, total, squares, products = (each.reshape(groups, -1, size).sum(axis=2) for each in fields)
    spread = squares - total**2 / trials
    shared = products - own * total / trials
    slopes = np.where(spread > 1e-9 * trials, shared / np.where(spread > 0, spread, 1.0), 0.0)
    return np.repeat(slopes, size, axis=1)
