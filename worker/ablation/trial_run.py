"""Tries a network on a few examples: how many it takes at a time, whether it keeps them apart, what it answers.

All that is decided here depends on the model and the examples alone, and not on how fast or large a machine is.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from worker.ablation.network import Inputs, Network, NetworkError, how_many

# How far two answers to one example may lie apart, relatively and absolutely: a CPU repeats itself to the last bit.
TOLERANCES = {"cpu": (0.0, 0.0), "cuda": (1e-3, 1e-5), "cuda-tf32": (1e-2, 1e-3)}
TOGETHER = 4  # examples that are run together to see whether they mix, if the model takes any number
FEW = 8  # examples that are enough to try a network on
RUNS = 3  # that are timed


@dataclass(frozen=True)
class Trial:
    """Examples on which a network runs, the shape of its output for one, whether it answers NaN; and warnings."""

    inputs: Inputs
    tail: tuple[int, ...]
    broken: bool
    warnings: list[str]


def first_that_runs(network: Network, attempts: Callable[[], Iterable[Inputs]], device: str) -> Trial:
    """Try a network on one set of examples after another, up to the first on which it answers numbers.

    If it answers NaN to all, the first is taken on which it runs. Raises `NetworkError` if there is none.
    """
    broken: Trial | None = None
    first: NetworkError | None = None
    # Other batches than the largest are for those that run in it on nothing.
    for search, inputs in ((search, inputs) for search in (False, True) for inputs in attempts()):
        if search and broken is not None:
            break
        try:
            trial = run(network, inputs, device, search=search)
        except NetworkError as error:
            if error.of_memory:
                raise
            first = first or error
            continue
        if not trial.broken:
            return trial
        broken = broken or trial
    if broken is None:
        raise first or NetworkError("there is nothing to try it on")
    return broken


def run(network: Network, inputs: Inputs, device: str, *, search: bool = True) -> Trial:
    """Find out on a few examples how the network must be run, and let it run so from now on. `mask` comes first.

    search: for a batch that runs, where the largest does not. Raises `NetworkError` if it does not run on them.
    """
    few = {name: array[:FEW] if array.ndim else array for name, array in inputs.items()}
    warnings = _find_batch(network, few, search)
    if network.in_company is not None:
        warnings.append(
            f"The model quantises at run time, with one scale for all examples of a batch (at {network.in_company!r}), "
            f"so that its answer to one example depends on the others. {_how(network)}"
        )
    elif not network.alone and _mix(network, few, device):
        network.alone = True
        warnings.append(f"The answer to one example depends on which others are in its batch. {_how(network)}")
    answers = network.intact(few, 0, how_many(few))
    return Trial(few, answers.shape[1:], bool(np.isnan(answers).any()), warnings)


def _how(network: Network) -> str:
    size = network.fixed_batch or 1
    alone = "by itself" if size == 1 else f"in a batch of {size} copies of itself"
    return f"So each example is run {alone}, in the intact and the ablated network alike."


def _find_batch(network: Network, inputs: Inputs, search: bool) -> list[str]:
    """Keep to a batch that runs. A file may leave the batch open and have a size written into a Reshape."""
    try:
        network.intact(inputs, 0, 1)
    except NetworkError as error:
        if error.of_memory and network.take_less(inputs):
            return _find_batch(network, inputs, search)
        if network.fixed_batch is not None or error.of_memory or not search:
            raise
        if not _runs_at_any(network, inputs, network.written_batches()):
            raise
        only = f"takes any number of examples, and runs with {network.fixed_batch} at a time only"
        return [f"The model says that it {only}. So it is run; with a batch axis open throughout it would be faster."]
    return []


def _runs_at_any(network: Network, inputs: Inputs, sizes: list[int]) -> bool:
    for size in sizes:
        network.fixed_batch = size
        try:
            network.intact(inputs, 0, 1)
        except NetworkError:
            continue
        return True
    network.fixed_batch = None
    return False


def _mix(network: Network, inputs: Inputs, device: str) -> bool:
    """Does one example's answer change with who is beside it, in a batch of the same size and at the same place?"""
    try:
        return _differ(network, inputs, network.fixed_batch or TOGETHER, device)
    except NetworkError:
        if network.fixed_batch is not None:
            raise
        return _differ(network, inputs, network.batch(inputs), device)


def _differ(network: Network, inputs: Inputs, size: int, device: str) -> bool:
    if size == 1:
        return False
    count, places = how_many(inputs), np.arange(size)
    companies = [places % count, (count - 1 - places) % count, np.full(size, 1 % count)]
    answers = [network.together(inputs, np.where(places == 1, 1 % count, company))[1] for company in companies]
    relative, absolute = TOLERANCES[device]
    return not all(np.allclose(answers[0], each, relative, absolute, equal_nan=True) for each in answers)


def milliseconds(network: Network, inputs: Inputs) -> float:
    """Wall clock of one example, the median of a few runs, with masks, on as many threads as the network has."""
    size = network.fixed_batch or 1
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        network.together(inputs, np.zeros(size, np.int64))
        times.append(time.perf_counter() - began)
    return round(median(times) * 1000 / size, 4)
