"""Labels that are classes: accuracy, top-k, balanced accuracy, cross-entropy, agreement."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from service import problems, scoring
from worker import answers
from worker.targets import Bools, Floats, Ints, checked, measured, normal

ROWS = 65_536  # labels looked at together


@dataclass(eq=False)
class Classes:
    """Labels that are classes: of an example, or of each of its tokens.

    labels: int64[N, P], negative where there is none. shares: float64[C], what an item of a class weighs among its
    example's items.
    """

    metric: str
    kind: answers.Kind
    probabilities: bool
    k: int
    labels: Ints
    shares: Floats
    weights: Floats | None
    chance: float
    labelled: int

    @property
    def counts(self) -> bool:
        """Is every value right or wrong?"""
        return self.metric != "cross_entropy" and self.labels.shape[1] == 1

    @property
    def lots(self) -> Floats | None:
        """An example is drawn as often as it weighs."""
        return self.weights

    def values(self, outputs: answers.Numbers, examples: Ints) -> Bools | Floats:
        """Each trial's value, [T]: of tokens, the mean over those that have a label."""
        labels = self.labels[examples]
        items = self._items(answers.scores(outputs, self.kind, self.probabilities), labels)
        if labels.shape[1] == 1:
            return items[:, 0]
        weights = np.where(labels >= 0, self.shares[np.maximum(labels, 0)], 0.0)
        whole = weights.sum(axis=1)
        found: Floats = (weights * items).sum(axis=1) / np.where(whole > 0, whole, 1.0)
        return found

    def drawn(self, values: Bools | Floats, examples: Ints) -> Bools | Floats:
        """As they are: what weighs more was drawn more often."""
        return values

    def _items(self, scores: answers.Numbers, labels: Ints) -> Bools | Floats:
        match self.metric:
            case "top_k":
                return answers.within(scores, labels, self.k)
            case "cross_entropy":
                return answers.surprise(scores, labels, self.probabilities)
            case _:
                found: Bools = (answers.picked(scores) == labels) & (labels >= 0)
                return found

    def intact(self, values: Bools | Floats) -> scoring.Intact:
        """A(0) of the intact network's values, [N] in the dataset's order."""
        examples = len(values)
        if self.metric == "agreement":
            return scoring.Intact(examples, examples, None)  # with itself, by definition
        if self.counts and self.weights is None:
            return scoring.Intact.counted(int(np.count_nonzero(values)), examples)
        weights = np.ones(examples) if self.weights is None else self.weights
        rests = values - self._expected(values, weights)
        return measured(values, weights, weights * rests)

    def _expected(self, values: Bools | Floats, weights: Floats) -> Floats:
        """What each value varies around: A(0), but for balanced accuracy, its own class's."""
        if self.metric != "balanced_accuracy" or self.labels.shape[1] > 1:
            return np.full(len(values), np.average(values, weights=weights))
        classes = np.maximum(self.labels[:, 0], 0)
        whole = np.bincount(classes, weights=weights)
        right = np.bincount(classes, weights=weights * values)
        found: Floats = (right / np.where(whole > 0, whole, 1.0))[classes]
        return found


def classes(metric: str, output: dict[str, Any], labels: Ints, weights: Floats | None, k: int | None) -> Classes:
    """The target of labels that are classes.

    metric: accuracy, top_k, balanced_accuracy, cross_entropy, or agreement, where the labels are the intact network's
    own answers. output: as found in the model. labels: int64[N] or int64[N, P], negative where there is none.
    weights: float64[N] or None. Raises `DatasetMismatch` for labels or weights that cannot be those of this output,
    and where no example has both.
    """
    items, count = labels.reshape(len(labels), -1), int(output["classes"])
    if items.max(initial=0) >= count or (items.shape[1] > 1 and output["kind"] != "tokens"):
        rows = items.shape[1] == count and output["kind"] != "tokens"
        advice = "Check that labels start at 0 and belong to this model."
        raise problems.DatasetMismatch(
            f"The labels go up to {items.max(initial=0)}, {items.shape[1]} an example, but the model's output "
            f"{output['name']!r} has {count} classes. "
            + ("If they are one-hot, save numpy.argmax(y, axis=1) in their place." if rows else advice)
        )
    given = checked(weights, len(items))
    whole = _by_class(items, given, count)
    if not whole.sum() > 0:
        raise problems.DatasetMismatch("No example has both a label and a weight above 0: there is nothing to measure.")
    present = whole > 0
    shares = np.ones(count)
    if metric == "balanced_accuracy":
        shares = np.where(present, 1 / np.where(present, whole, 1.0), 0.0)
    frequencies = whole / whole.sum()
    return Classes(
        metric=metric,
        kind=output["kind"],
        probabilities=output["probabilities"],
        k=k or 1,
        labels=items,
        shares=shares,
        weights=normal(given * _items_weight(items, shares)),
        chance=_chance(metric, frequencies, k or 1),
        labelled=int(np.count_nonzero(items >= 0)),
    )


def _chance(metric: str, frequencies: Floats, k: int) -> float:
    """The value of the best constant answer. frequencies: float64[C], each class's share of all weight."""
    match metric:
        case "top_k":
            return float(min(np.sort(frequencies)[::-1][:k].sum(), 1.0))
        case "balanced_accuracy":
            return 1 / np.count_nonzero(frequencies)
        case "cross_entropy":
            shares = frequencies[frequencies > 0]
            return float(-(shares * np.log(shares)).sum()) + 0.0
        case _:
            return float(frequencies.max())


def _by_class(items: Ints, weights: Floats, count: int) -> Floats:
    """float64[count], the weight of all items of each class."""
    whole = np.zeros(count)
    for part in _parts(len(items)):
        labelled = items[part] >= 0
        spread = np.broadcast_to(weights[part, None], labelled.shape)
        whole += np.bincount(items[part][labelled], weights=spread[labelled], minlength=count)
    return whole


def _items_weight(items: Ints, shares: Floats) -> Floats:
    """float64[N], what all items of an example weigh together."""
    found = np.zeros(len(items))
    for part in _parts(len(items)):
        labelled = items[part] >= 0
        found[part] = np.where(labelled, shares[np.maximum(items[part], 0)], 0.0).sum(axis=1)
    return found


def _parts(rows: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, rows, ROWS))
