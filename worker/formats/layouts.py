"""From the axes of a dataset's examples to those of a model's input, where only one thing can be meant."""

import math
from collections.abc import Sequence

import numpy as np

from worker.formats.tables import Array

CHANNELS = (1, 3, 4)  # how many an image has
Sizes = Sequence[int | str]  # a word is an axis that is open


def fits(shape: Sizes, wanted: Sizes) -> bool:
    """Do sizes agree axis by axis? An axis that either side leaves open fits."""
    return len(shape) == len(wanted) and all(
        isinstance(have, str) or isinstance(want, str) or have == want for have, want in zip(shape, wanted, strict=True)
    )


def relaid(values: Array, wanted: Sizes, *, moving: bool = True) -> Array:
    """Examples [n, *axes] with the axes that are wanted, if that takes no guess; else as they are.

    An axis of one is added or dropped, channels are moved first or last (if `moving`), and a grey image becomes a row
    of pixels, or a row an image.
    """
    shape = values.shape[1:]
    if fits(shape, wanted):
        return values
    for place in (0, len(shape)):
        longer = (*shape[:place], 1, *shape[place:])
        if fits(longer, wanted):
            return values.reshape(len(values), *longer)
    shorter = tuple(size for size in shape if size != 1)
    if fits(shorter, wanted):
        return values.reshape(len(values), *shorter)
    for source, target, channels in ((-1, 1, shape[-1:]), (1, -1, shape[:1])):
        if moving and len(shape) > 1 and channels[0] in CHANNELS:
            moved = np.moveaxis(values, source, target)
            if fits(moved.shape[1:], wanted):
                return np.ascontiguousarray(moved)
    sizes = [size for size in wanted if isinstance(size, int)]
    if len(sizes) == len(wanted) and math.prod(sizes) == math.prod(shape) and _is_row(shape, sizes):
        return values.reshape(len(values), *sizes)
    return values


def _is_row(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Is one a row of pixels, and the other an image without channels?"""
    ranks = sorted(len([size for size in axes if size != 1]) for axes in (shape, wanted))
    return ranks == [1, 2]
