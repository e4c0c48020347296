"""What each unit does on an example, as one number and one size, from what a network shows of its sites."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.ablation import graft
from worker.ablation.sites import Site

Floats = NDArray[np.float32]


def names(sites: Sequence[Site]) -> list[str]:
    """Outputs that `graft.show_means` with `sizes` adds for these sites."""
    pairs = [
        pair
        for index, site in enumerate(sites)
        for pair in zip(graft.mean_names(index, site), graft.size_names(index, site), strict=True)
    ]
    return [name for pair in pairs for name in pair]


def joined(sites: Sequence[Site], shown: Sequence[Floats], taken: int) -> tuple[Floats, Floats]:
    """Mean and size of each unit, float32[taken, units] both, from the outputs of one run in their order.

    A size is zero only where all values are. Of a unit that is seen at several exits, the mean over them. A head has
    many channels, whose signs mean nothing together: its mean is its size.
    """
    left = iter(shown)
    means, sizes = [], []
    for site in sites:
        pairs = [[_whole(next(left), taken, site) for _ in range(2)] for _ in site.exits]
        mean, size = (sum(pair[which] for pair in pairs) / np.float32(len(pairs)) for which in range(2))
        means.append(size if site.depth > 1 else mean)
        sizes.append(size)
    return np.concatenate(means, axis=1), np.concatenate(sizes, axis=1)


def _whole(shown: Floats, taken: int, site: Site) -> Floats:
    """float32[taken, units]; a branch that was not taken shows one row, of zeros."""
    rows = shown[:taken] if len(shown) >= taken else np.repeat(shown[:1], taken, axis=0)
    found: Floats = rows.reshape(taken, site.units, site.depth).mean(axis=2)
    return found
