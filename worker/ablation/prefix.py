"""What comes before all masks: computed once for each example of a dataset, kept, and shared by a grid's lesions."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import batches, feeding, halves, sessions
from worker.ablation.feeding import how_many
from worker.ablation.network import Array, Inputs, Ints, Network
from worker.ablation.sessions import NetworkError, Session

KEPT_BYTES = 128 * 1024**2  # of what is kept for all examples together; larger datasets share nothing
# A lesion of its own drops about half of the units that come first, and so half of the work before them. Sharing all of
# it saves the other half of that: it pays where that is a good part of a pass, and more than copying what crosses.
LEAST_SHARE = 0.05  # of a pass
LEAST_WORK = 64  # multiply-adds before the masks for each number that crosses to them
MOST_BATCHES = 4  # in a run of what is left


class Prefix:
    """What crosses to the masks of a network, for those examples of a dataset that were asked about so far."""

    def __init__(self, network: Network, found: halves.Halves, examples: int, work: int) -> None:
        """work: multiply-adds of one example behind the masks."""
        self.work, self._network = work, network
        self._names, self._rows = found.crossing, found.rows
        self._behind = ir.serde.serialize_model(found.behind).SerializeToString()
        self._before = network.session(found.before, found.crossing)
        self._kept: list[Array] = []
        self._has: NDArray[np.bool_] = np.zeros(examples, np.bool_)

    @property
    def behind(self) -> ir.Model:
        """What is left to compute, of which the network's inputs are what crosses, and the masks; a copy to edit."""
        return ir.serde.deserialize_model(onnx.ModelProto.FromString(self._behind))

    @property
    def names(self) -> list[str]:
        """What crosses and has a row for each example."""
        return [name for name, has in zip(self._names, self._rows, strict=True) if has]

    def batches_a_run(self, batch: int) -> int:
        """How many batches go into a run: of what is left of a small network, one takes no longer than to start it."""
        if not all(self._rows):  # what follows from the batch's size was kept for one batch
            return 1
        return int(max(min(batches.RUN_WORK // max(self.work * batch, 1), MOST_BATCHES), 1))

    def compute(self, inputs: Inputs, examples: Ints) -> None:
        """Have it for these examples."""
        missing = np.unique(examples[~self._has[examples]])
        if len(missing):
            found = computed(self._network, self._before, self._rows, inputs, missing)
            assert found is not None, "the first example was tried"
            self._keep(missing, found)

    def try_one(self, inputs: Inputs) -> list[Array] | None:
        """What crosses for the first example alone; None if it is not laid out by examples."""
        first = np.zeros(1, np.int64)
        found = computed(self._network, self._before, self._rows, inputs, first)
        if found is not None:
            each = zip(found, self._rows, strict=True)
            self._kept = [np.empty((len(self._has), *new.shape[1:]), new.dtype) if has else new for new, has in each]
            self._keep(first, found)
            return [new for new, has in zip(found, self._rows, strict=True) if has]
        return None

    def _keep(self, places: Ints, found: list[Array]) -> None:
        for kept, new, has in zip(self._kept, found, self._rows, strict=True):
            if has:
                kept[places] = new
        self._has[places] = True

    def feed(self, examples: Ints) -> dict[str, Array]:
        """What crosses for these examples, once it was computed."""
        each = zip(self._names, self._kept, self._rows, strict=True)
        return {name: kept[examples] if has else kept for name, kept, has in each}


def of(network: Network, inputs: Inputs) -> Prefix | None:
    """What can be shared, if that pays by arithmetic, the same everywhere."""
    examples, whole = how_many(inputs), network.size(inputs)[0]
    found = halves.cut(network.grafted(), network.grafted(), network.output)
    if found is None or not set(found.crossing).isdisjoint(network.inputs):
        return None
    work = network.work_of(found.before, inputs) or 0
    if work <= LEAST_SHARE * whole:
        return None
    try:
        prefix = Prefix(network, found, examples, whole - work)
        crossing = prefix.try_one(inputs)
    except NetworkError:  # what cannot run in two parts still runs in one
        return None
    if crossing is None or sum(each.nbytes for each in crossing) * examples > KEPT_BYTES:
        return None
    return prefix if work >= LEAST_WORK * sum(each.size for each in crossing) else None


def computed(
    network: Network, before: Session, rows: Sequence[bool], inputs: Inputs, block: Ints
) -> list[Array] | None:
    """What crosses for some examples; None if what has a row for each of them is not laid out by examples."""
    size = network.batch(inputs)

    def run(places: Ints, count: int) -> list[Array]:
        found = sessions.run(before, feeding.feed(network.inputs, inputs, block[places]))
        if any(has and each.shape[:1] != (size,) for has, each in zip(rows, found, strict=True)):
            return []
        return [each[:count] if has else each for has, each in zip(rows, found, strict=True)]

    parts = list(network.each(inputs, np.arange(len(block)), run))
    if not all(parts):
        return None
    whole = zip(rows, zip(*parts, strict=True), strict=True)
    return [np.concatenate(each) if has else each[0] for has, each in whole]
