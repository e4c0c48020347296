"""From a network's raw outputs to its answers: a score for each class, and the class that is picked."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.scoring import PROBABILITY_FLOOR

Kind = Literal["classes", "binary", "tokens"]
Numbers = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
BROKEN = -1  # the class that an output with a NaN picks: none, so it is never right


def scores(outputs: Numbers, kind: Kind, probabilities: bool) -> Numbers:
    """A score for every class of every item: [T, P, C], where P is 1 but for tokens.

    outputs: float32[T, *tail] as the network gives them. A binary output is one number, the second class's probability
    or logit; beside it the first class gets what is left of 1, or the logit 0, so that 0.5 or 0 is the border, and an
    output that lies on it picks the first class.
    """
    if kind == "tokens":
        return outputs
    if kind == "classes":
        return outputs.reshape(len(outputs), 1, -1)
    second = outputs.reshape(len(outputs), 1).astype(np.float64)
    first = 1 - second if probabilities else np.where(np.isnan(second), second, 0.0)
    return np.stack([first, second], axis=2)


def picked(scores: Numbers) -> Ints:
    """The class with the highest score, the first of equals, int64[T, P]; BROKEN where any score is NaN."""
    found: Ints = np.where(_broken(scores), BROKEN, scores.argmax(axis=2))
    return found


def within(scores: Numbers, labels: Ints, k: int) -> Bools:
    """Is the label among the k highest scores? bool[T, P]. Of equal scores the first come first, as in `picked`.

    labels: int64[T, P]; a negative one is never within.
    """
    named = np.maximum(labels, 0)[:, :, None]
    own = np.take_along_axis(scores, named, axis=2)
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[2]) < named))
    found: Bools = (np.count_nonzero(before, axis=2) < k) & ~_broken(scores) & (labels >= 0)
    return found


def surprise(scores: Numbers, labels: Ints, probabilities: bool) -> NDArray[np.float64]:
    """Cross-entropy in nats, float64[T, P]: minus the logarithm of the label's probability, at least of 1e-12.

    An output that is no number, or makes none, costs as much as the least probability. labels: int64[T, P], a
    negative one counting as class 0: whoever asks gives it no weight.
    """
    own = np.take_along_axis(scores, np.maximum(labels, 0)[:, :, None], axis=2)[:, :, 0].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if probabilities:
            cost = -np.log(own)
        else:
            highest = scores.max(axis=2, keepdims=True).astype(np.float64)
            cost = np.log(np.exp(scores - highest).sum(axis=2)) + highest[:, :, 0] - own
    worst = -np.log(PROBABILITY_FLOOR)
    cost = np.where(np.isnan(cost) | _broken(scores), worst, cost)
    return np.clip(cost, 0.0, worst)


def _broken(scores: Numbers) -> Bools:
    return np.asarray(np.isnan(scores).any(axis=2))
