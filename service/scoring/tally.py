"""How often the answer was right, cell by cell: all that is kept of a chunk. What follows from it is elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
KEYS: Final[tuple[Literal["cells"], Literal["right"], Literal["trials"]]] = ("cells", "right", "trials")


class Payload(TypedDict):
    """A chunk's share of the tally, sparse: lists of equal length, made to be stored as JSON."""

    cells: list[int]
    right: list[int]
    trials: list[int]


@dataclass(frozen=True, eq=False)
class Tally:
    """Right answers and trials of every cell; both int64 of shape (groups, strata) or (groups, orderings, fractions).

    Integers, so that the sum over chunks doesn't depend on their order.
    """

    right: Ints
    trials: Ints

    @classmethod
    def empty(cls, shape: Sequence[int]) -> "Tally":
        """The tally before the first chunk. shape: what `trials.cells(design)` returned."""
        return cls(np.zeros(tuple(shape), np.int64), np.zeros(tuple(shape), np.int64))

    @classmethod
    def of(cls, shape: Sequence[int], payloads: Iterable[Payload]) -> "Tally":
        """The tally of some chunks."""
        tally = cls.empty(shape)
        for payload in payloads:
            tally = tally.add(payload)
        return tally

    def add(self, payload: Payload) -> "Tally":
        """This tally and one more chunk. Raises ValueError for a payload that cannot be one of this tally's."""
        cells, right, trials = (np.asarray(payload[key], np.int64) for key in KEYS)
        if not cells.ndim == right.ndim == trials.ndim == 1 or not len(cells) == len(right) == len(trials):
            raise ValueError("a payload is three lists of one length")
        if np.any((cells < 0) | (cells >= self.right.size)) or np.any((right < 0) | (right > trials)):
            raise ValueError("a payload counts at most its trials, in cells of the tally")
        total = Tally(self.right.copy(), self.trials.copy())
        np.add.at(total.right.reshape(-1), cells, right)
        np.add.at(total.trials.reshape(-1), cells, trials)
        return total

    def group(self, index: int) -> "Tally":
        """One group's part, as a tally of a single group."""
        return Tally(self.right[index : index + 1], self.trials[index : index + 1])


def count(cells: ArrayLike, right: ArrayLike) -> Payload:
    """A chunk's payload. cells: int[T], `Trials.cells`; right: bool[T], whether each trial's answer was right."""
    names, places = np.unique(np.asarray(cells, np.int64), return_inverse=True)
    hits = np.bincount(places, weights=np.asarray(right, bool), minlength=len(names))
    return {
        "cells": names.tolist(),
        "right": hits.astype(np.int64).tolist(),
        "trials": np.bincount(places, minlength=len(names)).tolist(),
    }
