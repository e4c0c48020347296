"""What a child can be asked, and how it answers: a model or a dataset, never both. Labels never meet a model."""

import os
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from worker.formats.refusals import Refused
from worker.sandbox import inputs_file
from worker.sandbox.frames import Array

Answer = tuple[dict[str, Any], Sequence[Array]]
NO_UNITS = (
    "The model has no unit that could be ablated: no layer with constant weights before its classifier. Linear models "
    "and trees cannot be scored."
)


class Questions:
    """What this child has loaded, and a method for each question."""

    def __init__(self) -> None:
        self._network: Any = None
        self._shared: Any = None
        self._device = "cpu"
        self._inputs: dict[str, Array] = {}
        self._pages = inputs_file.Pages({})
        self._warnings: list[str] = []  # of the model
        self._loaded: list[str] = []  # of the model on these inputs

    def open_model(self, asked: dict[str, Any], _arrays: list[Array], files: list[int]) -> Answer:
        """Read a model and try it, so that what the runtime refuses is known before anyone waits."""
        # Imported here: the child that reads a dataset needs none of it, and starts in a fifth of the time.
        from worker.ablation import batches, graft
        from worker.ablation.network import Network
        from worker.ablation.shared import Shared
        from worker.sandbox import readers, tryout

        with os.fdopen(files[0], "rb") as file:
            read = readers.model(file, asked["output"])
        self._device = asked["device"]
        room = asked["room"] or batches.BATCH_BYTES
        self._network = network = Network(read.data, read.output, asked["threads"], asked["device"], room)
        self._shared = Shared(network)
        if not network.sites:
            raise Refused("model-unsupported", NO_UNITS)
        tried = tryout.on_invented(network, read.found["output"], self._device)
        warnings = [*read.found.get("warnings", []), *tried.pop("warnings")]
        self._warnings, self._loaded = list(warnings), []
        sites = [
            {
                "site": site.name,
                "op": site.op,
                "units": site.units,
                "convolutional": site.convolutional,
                "exits": len(site.exits),
                "means": sum(graft.mean_sizes(site)),
            }
            for site in network.sites
        ]
        versions = {name: metadata.version(name) for name in ("numpy", "onnx", _runtime())}
        return {**read.found, **tried, "sites": sites, "warnings": warnings, "versions": versions}, []

    def try_device(self, asked: dict[str, Any], _arrays: list[Array], _files: list[int]) -> Answer:
        """Compute something small on the device, with a model of our own."""
        from worker.ablation import tiny

        tiny.check(asked["device"])
        return {}, []

    def read_dataset(self, asked: dict[str, Any], _arrays: list[Array], files: list[int]) -> Answer:
        """Unpack a dataset's inputs to the second file; its labels and weights go back."""
        from worker.sandbox import readers

        with os.fdopen(files[0], "rb") as file, os.fdopen(files[1], "wb") as out:
            found, arrays = readers.dataset(file, out, asked["reading"])
        return {"dataset": found, "names": list(arrays)}, list(arrays.values())

    def load(self, asked: dict[str, Any], arrays: list[Array], files: list[int]) -> Answer:
        """Put masks in, map the inputs, which are never read into memory whole, and try a few examples."""
        from worker.sandbox import tryout

        with os.fdopen(files[0], "rb") as file:
            self._inputs = inputs_file.mapped(file, asked["inputs"])
        self._pages = inputs_file.Pages(self._inputs)
        self._network.mask(asked["sites"], asked["clamp"], arrays or None)
        tail, warnings = tryout.on_examples(self._network, self._inputs, self._device)
        self._shared.forget()
        # What was said of the model already is not said again; what a first `load` found out is said by each.
        self._loaded = [*self._loaded, *(each for each in warnings if each not in self._warnings + self._loaded)]
        return {"tail": list(tail), "warnings": self._loaded}, []

    def intact(self, asked: dict[str, Any], _arrays: list[Array], _files: list[int]) -> Answer:
        """Outputs of the intact network for a run of examples."""
        found, step = [], self._pages.at_once(self._network.batch(self._inputs))
        for start in range(asked["start"], asked["stop"], step):
            stop = min(start + step, asked["stop"])
            found.append(self._network.intact(self._inputs, start, stop))
            self._pages.looked(stop - start)
            self._shared.keep(self._inputs, np.arange(start, stop), found[-1])
        return {}, [np.concatenate(found)]

    def means(self, _asked: dict[str, Any], _arrays: list[Array], _files: list[int]) -> Answer:
        """Mean activations of all masked sites over the dataset."""
        return {}, self._network.means(self._inputs)

    def activations(self, _asked: dict[str, Any], arrays: list[Array], _files: list[int]) -> Answer:
        """What each unit of the masked sites does on these examples."""
        return {}, self._network.activations(self._inputs, arrays[0])

    def outputs(self, asked: dict[str, Any], arrays: list[Array], _files: list[int]) -> Answer:
        """Outputs of the ablated network for a chunk of trials."""
        examples, lesions, *packed = arrays
        network = self._shared if asked["shared"] else self._network
        found = network.outputs(self._inputs, examples, lesions, _unpacked(packed, asked["units"]))
        self._pages.looked(len(examples))
        return {}, [found]

    def alone(self, asked: dict[str, Any], arrays: list[Array], _files: list[int]) -> Answer:
        """Outputs with one site's units lost, and what to hold them against, for pairs of an example and a lesion."""
        examples, places, lesions, *packed = arrays
        masks = _unpacked(packed, asked["units"])
        found = self._shared.alone(self._inputs, examples, places, lesions, masks)
        self._pages.looked(len(examples))
        return {}, found

    def noisy(self, _asked: dict[str, Any], arrays: list[Array], _files: list[int]) -> Answer:
        """Outputs of the network with noise added to its units."""
        examples, *noise = arrays
        return {}, [self._network.noisy(self._inputs, examples, noise)]


def _unpacked(packed: Sequence[Array], units: Sequence[int]) -> list[Array]:
    """Masks bool[L, units] from their bits."""
    pairs = zip(packed, units, strict=True)
    return [np.unpackbits(mask, axis=1, count=size).astype(np.bool_) for mask, size in pairs]


def _runtime() -> str:
    """The distribution that brought onnxruntime: one for CPUs alone, another for CUDA."""
    [found] = {name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)}
    return found


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
