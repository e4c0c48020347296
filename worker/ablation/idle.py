"""Finds sites that cannot matter: their loss, all units at once, changes nothing. They are no sign of robustness."""

import numpy as np
from numpy.typing import NDArray

from worker.ablation.network import Floats, Inputs, Network, how_many

WORK_LIMIT = 4e11  # multiplications spent on it: 10 s or so of one core. By arithmetic, to find the same everywhere
SITES_LIMIT = 1024  # sites that are tried
BLOCK = 64  # sites whose masks are held at once
NAMED = 10  # sites named in the warning


def sites(network: Network, inputs: Inputs) -> list[str]:
    """The sites whose loss changes no bit of any answer. The network is masked at all of its sites, and runs on these.

    A site that changes nothing for one example is tried on the next; few are left after the first.
    """
    count = how_many(inputs)
    intact = network.intact(inputs, 0, count)
    if np.isnan(intact).any() or (intact == intact[:1]).all():
        return []  # these examples can show nothing
    size = network.batch(inputs)
    left = int(WORK_LIMIT // network.work(inputs)) // (size if network.alone else 1)
    idle = list(range(min(len(network.sites), SITES_LIMIT, left)))
    for example in range(count):
        left -= len(idle) if network.alone else -(-len(idle) // size) * size
        if not idle or left < 0:
            return []
        blocks = [idle[start : start + BLOCK] for start in range(0, len(idle), BLOCK)]
        changed = np.concatenate([_changed(network, inputs, intact, example, block) for block in blocks])
        idle = [site for site, has in zip(idle, changed, strict=True) if not has]
    return [network.sites[site].name for site in idle]


def _changed(network: Network, inputs: Inputs, intact: Floats, example: int, idle: list[int]) -> NDArray[np.bool_]:
    """bool[sites]: does the loss of a site change the answer to an example?"""
    masks = [np.ones((len(idle), site.units), np.bool_) for site in network.sites]
    for row, site in enumerate(idle):
        masks[site][row] = False
    ablated = network.outputs(inputs, np.full(len(idle), example), np.arange(len(idle)), masks)
    found: NDArray[np.bool_] = (ablated != intact[example]).reshape(len(idle), -1).any(axis=1)
    return found


def warnings(network: Network, inputs: Inputs) -> list[str]:
    """What to say of sites that cannot matter."""
    names = sites(network, inputs)
    if not names:
        return []
    shown = ", ".join(name[:100] for name in names[:NAMED])
    if len(names) == 1:
        return [f"Site {shown} cannot matter: ablating all of it changes nothing on what it was tried with."]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"Sites {shown}{more} cannot matter: ablating all of one changes nothing on what it was tried with."]
