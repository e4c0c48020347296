"""The file in which a dataset's inputs lie: one array after another, raw, C order, little-endian, each aligned."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64  # bytes; each array begins at a multiple
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
    found: dict[str, NDArray[Any]] = {}
    for each, start in zip(inputs, starts(inputs)[0], strict=True):
        shape, dtype = tuple(each["shape"]), np.dtype(each["dtype"]).newbyteorder("<")
        # A map has at least one byte and one axis.
        found[each["name"]] = (
            np.memmap(file, dtype, "r", start, shape or (1,)).reshape(shape) if prod(shape) else np.empty(shape, dtype)
        )
    return found
