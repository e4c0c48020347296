"""The file in which a dataset's inputs lie: one array after another, raw, C order, little-endian, each aligned."""

import mmap
import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64  # bytes; each array begins at a multiple
ROOM = 64 * 1024**2  # bytes of pages that were looked at, before they are let go
AROUND = (
    64 * 1024
)  # bytes that Linux maps around a byte that is looked at, where they are in its cache (fault_around_bytes)
Description = Mapping[str, Any]  # {"name", "dtype", "shape"} of one array, first axis = examples, [] for a scalar


def starts(inputs: Sequence[Description]) -> tuple[list[int], int]:
    """Where each array begins, and where the last one ends, in bytes."""
    found: list[int] = []
    end = 0
    for each in inputs:
        found.append(-(-end // ALIGNMENT) * ALIGNMENT)
        end = found[-1] + np.dtype(each["dtype"]).itemsize * prod(each["shape"])
    return found, end


def mapped(file: IO[bytes], inputs: Sequence[Description]) -> dict[str, NDArray[Any]]:
    """The arrays by name, mapped read-only: nothing is read before it is used. Raises ValueError beyond its end."""
    places, end = starts(inputs)
    if end > os.fstat(file.fileno()).st_size:
        raise ValueError("the file ends before its last array")
    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if end else b""
    found: dict[str, NDArray[Any]] = {}
    for each, start in zip(inputs, places, strict=True):
        shape, dtype = tuple(each["shape"]), np.dtype(each["dtype"]).newbyteorder("<")
        # An array of nothing may begin where a map ends.
        found[each["name"]] = np.ndarray(shape, dtype, whole, start) if prod(shape) else np.empty(shape, dtype)
    return found


class Pages:
    """Pages of mapped inputs, which count as a process's memory once they were looked at, and are let go now and then.

    They stay in the system's cache of files, so that to look at them again costs little. Of a file of any size, ROOM is
    what a process shows, and what one question looks at.
    """

    def __init__(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """inputs: what `mapped` gave."""
        found: dict[int, Any] = {id(each.base): each.base for each in inputs.values()}
        self._maps = [each for each in found.values() if isinstance(each, mmap.mmap)]
        self._size = sum(len(each) for each in self._maps)
        self._each = sum(max(array[:1].nbytes, AROUND) for array in inputs.values() if array.ndim)
        self._seen = 0

    def at_once(self, batch: int) -> int:
        """How many examples in a row to look at before pages are let go: whole batches."""
        return max(ROOM // max(self._each, 1) // batch, 1) * batch

    def looked(self, examples: int) -> None:
        """So many examples, anywhere, were looked at."""
        self._seen += examples * self._each
        if self._seen > ROOM and self._size > ROOM:
            for each in self._maps:
                each.madvise(mmap.MADV_DONTNEED)
            self._seen = 0
