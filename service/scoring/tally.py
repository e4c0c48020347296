"""What the trials gave, cell by cell: all that is kept of a chunk. What follows from it is elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Counts(TypedDict):
    """A chunk of right and wrong answers, sparse: lists of equal length, made to be stored as JSON."""

    cells: list[int]
    right: list[int]
    trials: list[int]


class Sums(TypedDict):
    """A chunk of other values: each cell's sum, sum of squares, and number of trials."""

    cells: list[int]
    total: list[float]
    squares: list[float]
    trials: list[int]


Payload = Counts | Sums


@dataclass(frozen=True, eq=False)
class Tally:
    """Sum and sum of squares of every cell's values, float64, and its trials, int64.

    All of shape (groups, strata) or (groups, orderings, fractions). Values of 0 and 1 are counted exactly, in any
    order; other sums depend in their last bits on the order of the chunks, so chunks are always added in theirs.
    """

    total: Floats
    squares: Floats
    trials: Ints

    @classmethod
    def empty(cls, shape: Sequence[int]) -> "Tally":
        """The tally before the first chunk. shape: what `trials.cells(design)` returned."""
        return cls(np.zeros(tuple(shape)), np.zeros(tuple(shape)), np.zeros(tuple(shape), np.int64))

    @classmethod
    def counted(cls, right: ArrayLike, trials: ArrayLike) -> "Tally":
        """The tally of so many right answers among so many trials."""
        hits = np.asarray(right, np.float64)
        return cls(hits, hits.copy(), np.asarray(trials, np.int64))

    @classmethod
    def of(cls, shape: Sequence[int], payloads: Iterable[Mapping[str, Any]]) -> "Tally":
        """The tally of some chunks, in their order."""
        tally = cls.empty(shape)
        for payload in payloads:
            tally = tally.add(payload)
        return tally

    def add(self, payload: Mapping[str, Any]) -> "Tally":
        """This tally and one more chunk. Raises ValueError for a payload that cannot be one of this tally's."""
        cells, total, squares, trials = _columns(payload)
        if np.any((cells < 0) | (cells >= self.total.size)) or np.any(trials < 1):
            raise ValueError("a payload has trials, in cells of the tally")
        # Of n values, (sum)^2 <= n (sum of squares), up to rounding.
        if not np.all(np.isfinite(squares)) or np.any(total**2 > trials * squares * (1 + 1e-9) + 1e-9):
            raise ValueError("a payload counts at most its trials, and its squares belong to its sums")
        added = Tally(self.total.copy(), self.squares.copy(), self.trials.copy())
        np.add.at(added.total.reshape(-1), cells, total)
        np.add.at(added.squares.reshape(-1), cells, squares)
        np.add.at(added.trials.reshape(-1), cells, trials)
        return added

    def group(self, index: int) -> "Tally":
        """One group's part, as a tally of a single group."""
        part = slice(index, index + 1)
        return Tally(self.total[part], self.squares[part], self.trials[part])


def _columns(payload: Mapping[str, Any]) -> tuple[Ints, Floats, Floats, Ints]:
    counts = "right" in payload
    total = np.asarray(payload["right" if counts else "total"], np.int64 if counts else np.float64)
    squares = total if counts else np.asarray(payload["squares"], np.float64)
    cells, trials = (np.asarray(payload[key], np.int64) for key in ("cells", "trials"))
    columns = (cells, total, squares, trials)
    if any(each.ndim != 1 or len(each) != len(cells) for each in columns):
        raise ValueError("a payload is lists of one length")
    if counts and np.any((total < 0) | (total > trials)):
        raise ValueError("a payload counts at most its trials")
    return cells, total.astype(np.float64), squares.astype(np.float64), trials


def count(cells: ArrayLike, values: ArrayLike) -> Payload:
    """A chunk's payload. cells: int[T], `Trials.cells`; values: bool[T], was the answer right, or finite float[T]."""
    given = np.asarray(values)
    names, places = np.unique(np.asarray(cells, np.int64), return_inverse=True)
    trials = np.bincount(places, minlength=len(names)).tolist()
    total = np.bincount(places, weights=given, minlength=len(names))
    if given.dtype == np.bool_ or not given.size:
        return {"cells": names.tolist(), "right": total.astype(np.int64).tolist(), "trials": trials}
    squares = np.bincount(places, weights=given.astype(np.float64) ** 2, minlength=len(names))
    return {"cells": names.tolist(), "total": total.tolist(), "squares": squares.tolist(), "trials": trials}
