"""How many examples the intact pass of `adaptive` takes, so that its cost does not grow with the dataset.

It takes those of the first trials, in whole chunks: what the intact network gives to a trial's own example then tells
how lucky the trial was. Everything follows from the config, the design and what the pass itself has found.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from service import scoring
from service.schemas import Config
from worker.ablation import trials
from worker.ablation.trials import Design
from worker.targets import Bools, Floats, Ints

PRECISION = 0.01  # where a gate has the config name none
# Times as many as show A(0) - chance to within the precision, as a share of it. With just as many, and far more trials,
# a score near 1 could not get as narrow as the precision.
ROOM = 2
CERTAIN = 4  # standard errors beyond which it is clear that there is nothing to lose


@dataclass(frozen=True)
class Part:
    """What the intact network gave to the first trials' examples, [n], and what A(0) is by that."""

    intact: scoring.Intact
    values: Bools | Floats


Show = Callable[[int, int], tuple[Ints, Bools | Floats]]


def part(config: Config, metric: str, design: Design, *, chance: float, weighed: bool, show: Show) -> Part | None:
    """As many trials' examples as are enough; None where that is the whole dataset.

    A score divides by A(0) - chance, so a small one asks for more. Whether it does is told by a chunk from the far end
    of the dataset's order, which counts for nothing else: a part that grew by what it showed itself would stay small
    where it was lucky, and then A(0) would be too large on average.
    show: the examples of the chunks from one to another, int64[T], and the intact network's values for them. weighed:
    are examples drawn by weight?
    """
    least = chunks(config, metric, design)
    if least is None:
        return None
    last = design.examples // trials.chunk_size(design) - 1
    examples, values = show(last, last + 1)
    rising = scoring.METRICS[metric].rising
    count = _rounded(ROOM * _wanted(values, chance, rising) * _per_variance(config), design)
    if count is None:
        return None
    examples, values = show(0, max(count, least))
    return Part(counted(values, examples, design.examples, weighed), values)


def probed(config: Config, metric: str, design: Design) -> int:
    """How many examples are shown to tell how many are enough."""
    return 0 if chunks(config, metric, design) is None else trials.chunk_size(design)


def chunks(config: Config, metric: str, design: Design) -> int | None:
    """How many chunks' examples are the least; None for the whole dataset.

    As many as show a share to within the precision, whatever it is. `agreement` takes them all, since its labels are
    what the intact network answers.
    """
    if config.estimator != "adaptive" or config.intact == "whole" or metric == "agreement":
        return None
    return _rounded(0.25 * _per_variance(config), design)


def _wanted(probe: Bools | Floats, chance: float, rising: bool) -> float:
    """The variance of one value over the squared margin, and 0 where it is clear that there is no margin."""
    margin, spread = (float(probe.mean()) - chance) * (-1 if rising else 1), _spread(probe)
    if margin + CERTAIN * math.sqrt(spread / len(probe)) < scoring.LEAST_MARGIN:
        return 0.0
    return spread / max(margin, scoring.LEAST_MARGIN) ** 2


def _spread(values: Bools | Floats) -> float:
    """The variance of one. Where all are alike, the rest need not be: half an answer of each kind is added."""
    count, total = len(values), float(values.sum())
    if values.dtype == np.bool_:
        share = (total + 0.5) / (count + 1)
        return share * (1 - share)
    return float(((values - total / count) ** 2).sum()) / max(count - 1, 1)


def counted(values: Bools | Floats, examples: Ints, of: int, weighed: bool) -> scoring.Intact:
    """A(0) of the values of trials' examples, [n]. of: N of the dataset. weighed: were they drawn by weight?

    What came twice then counts as what it is, one example.
    """
    count, total = len(values), float(values.sum())
    doubt = _spread(values) * (1 / count - (0.0 if weighed else 1 / of))
    if values.dtype == np.bool_ and not weighed:
        return scoring.Intact(total, count, count, of=of, doubt=doubt)
    _, places, times = np.unique(examples, return_inverse=True, return_counts=True)
    error = math.sqrt(float((np.bincount(places, values - total / count) ** 2).sum())) / count
    return scoring.Intact(total, count, count**2 / float((times**2).sum()), error, of, doubt)


def _per_variance(config: Config) -> float:
    """Examples, for each unit of the variance of one, that show a mean to within the precision."""
    quantile = NormalDist().inv_cdf(0.5 + config.confidence / 2)
    return (quantile / (config.precision or PRECISION)) ** 2


def _rounded(examples: float, design: Design) -> int | None:
    size = trials.chunk_size(design)
    count = max(math.ceil(examples / size), 1)
    return count if count * size < design.examples else None
