"""What the trials gave, cell by cell: all that is kept of a chunk. What follows from it is elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Intact(TypedDict):
    """What the intact network gave to a chunk's examples: each cell's sum, sum of squares, and of products."""

    total: list[float]
    squares: list[float]
    products: list[float]


class Counts(TypedDict):
    """A chunk of right and wrong answers, sparse: lists of equal length, made to be stored as JSON."""

    cells: list[int]
    right: list[int]
    trials: list[int]
    intact: NotRequired[Intact]


class Sums(TypedDict):
    """A chunk of other values: each cell's sum, sum of squares, and number of trials."""

    cells: list[int]
    total: list[float]
    squares: list[float]
    trials: list[int]
    intact: NotRequired[Intact]


Payload = Counts | Sums


@dataclass(frozen=True, eq=False)
class Beside:
    """Of the trials whose examples the intact network was shown, cell by cell, of the tally's shape.

    trials: how many they are, int64. own: the sum of their values; total, squares: of what the intact network gave to
    their examples; products: of the two. All float64.
    """

    trials: Ints
    own: Floats
    total: Floats
    squares: Floats
    products: Floats

    @classmethod
    def empty(cls, shape: Sequence[int]) -> "Beside":
        """None of them."""
        return cls(np.zeros(tuple(shape), np.int64), *(np.zeros(tuple(shape)) for _ in range(4)))

    def add(self, cells: Ints, trials: Ints, own: Floats, intact: Mapping[str, Any]) -> "Beside":
        """These and a chunk's. cells, trials, own: the chunk's columns."""
        columns = [trials, own, *(np.asarray(intact[key], np.float64) for key in ("total", "squares", "products"))]
        if any(each.shape != cells.shape or not np.all(np.isfinite(each)) for each in columns):
            raise ValueError("what the intact network gave is of one length with the cells")
        added = [each.copy() for each in self._fields]
        for each, column in zip(added, columns, strict=True):
            np.add.at(each.reshape(-1), cells, column)
        return Beside(*added)

    def plus(self, other: "Beside") -> "Beside":
        """These and others."""
        return Beside(*(one + more for one, more in zip(self._fields, other._fields, strict=True)))

    def group(self, part: slice) -> "Beside":
        """Some groups' part."""
        return Beside(*(each[part] for each in self._fields))

    @property
    def _fields(self) -> tuple[Any, ...]:
        return (self.trials, self.own, self.total, self.squares, self.products)


@dataclass(frozen=True, eq=False)
class Tally:
    """Sum and sum of squares of every cell's values, float64, and its trials, int64.

    All of shape (groups, strata) or (groups, orderings, fractions). Values of 0 and 1 are counted exactly, in any
    order; other sums depend in their last bits on the order of the chunks, so chunks are always added in theirs.
    beside: what the intact network gave to the same examples; None where no chunk tells.
    """

    total: Floats
    squares: Floats
    trials: Ints
    beside: Beside | None = None

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
        beside = self.beside
        if "intact" in payload:
            beside = (beside or Beside.empty(self.trials.shape)).add(cells, trials, total, payload["intact"])
        added = Tally(self.total.copy(), self.squares.copy(), self.trials.copy(), beside)
        np.add.at(added.total.reshape(-1), cells, total)
        np.add.at(added.squares.reshape(-1), cells, squares)
        np.add.at(added.trials.reshape(-1), cells, trials)
        return added

    def plus(self, other: "Tally") -> "Tally":
        """This tally and one of the chunks that follow."""
        known = [each.beside for each in (self, other) if each.beside is not None]
        beside = known[0].plus(known[1]) if len(known) == 2 else known[0] if known else None
        sums = (self.total + other.total, self.squares + other.squares, self.trials + other.trials)
        return Tally(*sums, beside)

    def group(self, index: int) -> "Tally":
        """One group's part, as a tally of a single group."""
        part = slice(index, index + 1)
        beside = None if self.beside is None else self.beside.group(part)
        return Tally(self.total[part], self.squares[part], self.trials[part], beside)


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


def count(cells: ArrayLike, values: ArrayLike, intact: NDArray[Any] | None = None) -> Payload:
    """A chunk's payload. cells: int[T], `Trials.cells`; values: bool[T], was the answer right, or finite float[T].

    intact: bool[T] or float[T], what the intact network gave to each trial's example, if it was shown them.
    """
    given = np.asarray(values)
    names, places = np.unique(np.asarray(cells, np.int64), return_inverse=True)

    def summed(each: NDArray[Any]) -> Floats:
        return np.bincount(places, weights=each, minlength=len(names)).astype(np.float64)

    trials = np.bincount(places, minlength=len(names)).tolist()
    found: Payload
    if given.dtype == np.bool_ or not given.size:
        right = summed(given).astype(np.int64).tolist()
        found = {"cells": names.tolist(), "right": right, "trials": trials}
    else:
        squares = summed(given.astype(np.float64) ** 2).tolist()
        found = {"cells": names.tolist(), "total": summed(given).tolist(), "squares": squares, "trials": trials}
    if intact is not None:
        beside = intact.astype(np.float64)
        sums = (beside, beside**2, beside * given)
        total, squares, products = (summed(each).tolist() for each in sums)
        found["intact"] = {"total": total, "squares": squares, "products": products}
    return found
