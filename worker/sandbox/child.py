"""The child's side: one hostile file, one socket, no secret.

`python -P -m worker.sandbox.child FD PARENT MEMORY_BYTES FILE_BYTES DEVICE`

It answers one question after another and ends when the socket does. Labels never come in beside a model.
"""

import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from worker.formats.refusals import Refused
from worker.sandbox import frames, walls
from worker.sandbox.frames import Array, BrokenFrameError

# How far two answers to one example may lie apart, relatively and absolutely: a CPU repeats itself to the last bit.
TOLERANCES = {"cpu": (0.0, 0.0), "cuda": (1e-3, 1e-5)}
REQUEST_LIMIT = 2 * 1024**3  # bytes of arrays in one request, which our own parent makes

Answer = tuple[dict[str, Any], Sequence[Array]]


class Answers:
    """What this child has loaded, and a method for each question."""

    def __init__(self) -> None:
        self._network: Any = None
        self._inputs: Any = None

    def open_model(self, asked: dict[str, Any], _arrays: list[Array], files: list[int]) -> Answer:
        """Read a model and try it, so that what the runtime refuses is known before anyone waits."""
        self._network, found = _open_model(files[0], asked["threads"], asked["device"])
        _try(self._network, found, asked["device"])
        sites = [
            {
                "site": site.name,
                "op": site.op,
                "units": site.units,
                "convolutional": site.convolutional,
                "exits": len(site.exits),
            }
            for site in self._network.sites
        ]
        versions = {name: metadata.version(name) for name in ("numpy", "onnx", _runtime())}
        return {**found, "sites": sites, "warnings": [], "versions": versions}, []

    def read_dataset(self, _asked: dict[str, Any], _arrays: list[Array], files: list[int]) -> Answer:
        """Unpack a dataset's inputs to the second file."""
        from worker.formats.datasets import read_npz

        with os.fdopen(files[0], "rb") as file, os.fdopen(files[1], "wb") as out:
            found, labels = read_npz(file, out)
        return found, [labels]

    def load(self, asked: dict[str, Any], arrays: list[Array], files: list[int]) -> Answer:
        """Put masks in, and map the inputs, which are never read into memory whole."""
        with os.fdopen(files[0], "rb") as file:
            self._inputs = np.memmap(file, np.dtype("<f4"), "r", shape=tuple(asked["shape"]))
        self._network.mask(asked["sites"], asked["clamp"], arrays or None)
        return {}, []

    def intact(self, asked: dict[str, Any], _arrays: list[Array], _files: list[int]) -> Answer:
        """Outputs of the intact network for a run of examples."""
        return {}, [self._network.intact(self._inputs, asked["start"], asked["stop"])]

    def means(self, _asked: dict[str, Any], _arrays: list[Array], _files: list[int]) -> Answer:
        """Mean activations of all masked sites over the dataset."""
        return {}, self._network.means(self._inputs)

    def outputs(self, asked: dict[str, Any], arrays: list[Array], _files: list[int]) -> Answer:
        """Outputs of the ablated network for a chunk of trials."""
        examples, lesions, *packed = arrays
        masks = [
            np.unpackbits(mask, axis=1, count=units).astype(np.bool_)
            for mask, units in zip(packed, asked["units"], strict=True)
        ]
        return {}, [self._network.outputs(self._inputs, examples, lesions, masks)]


def _open_model(file: int, threads: int, device: Any) -> tuple[Any, dict[str, Any]]:
    # Imported here: the child that reads a dataset needs none of it, and starts in a fifth of the time.
    from worker.ablation.network import Network
    from worker.formats.models import read_onnx

    with os.fdopen(file, "rb") as opened:
        read = read_onnx(opened.read())
    network = Network(read.data, read.output, threads, device)
    if not network.sites:
        raise Refused(
            "model-unsupported",
            "The model has no unit that could be ablated: no layer with constant weights before its classifier. Linear "
            "models and trees cannot be scored.",
        )
    return network, read.found


def _try(network: Any, found: dict[str, Any], device: str) -> None:
    """Run a few examples through all masks: it must run, give one row an example, and keep examples apart.

    A model that leaves other axes than the batch open is tried on its dataset alone.
    """
    shape = found["inputs"][0]["shape"][1:]
    network.mask([site.name for site in network.sites], "zero")
    if not all(isinstance(size, int) for size in shape):
        return
    masks = [np.ones((1, site.units), np.bool_) for site in network.sites]
    inputs = np.random.default_rng(0).standard_normal((3, *shape), dtype=np.float32)
    kept = np.zeros(2, np.int64)
    once, again = (network.outputs(inputs, np.array([0, other]), kept, masks)[:1] for other in (1, 2))
    classes = found["output"]["classes"]
    if once.shape != (1, classes):
        raise Refused("model-unsupported", f"For one example the model gives {list(once.shape)}, not [1, {classes}].")
    if not np.allclose(once, again, *(TOLERANCES[device]), equal_nan=True):
        raise Refused(
            "model-unsupported",
            "The model's answer to one example depends on which others are in its batch. Export it in evaluation mode, "
            "with model.eval(), and without dynamic quantisation.",
        )


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


def _answer(question: Callable[..., Answer], asked: dict[str, Any], arrays: list[Array], files: list[int]) -> Answer:
    try:
        found, answer = question(asked, arrays, files)
    except Refused as refused:
        return {"refused": [refused.kind, refused.detail]}, []
    except MemoryError:
        detail = "The file needs more memory than a compute process may use. Make it smaller, or raise the limit."
        return {"refused": ["resource-exhausted", detail]}, []
    except Exception as error:
        if type(error).__name__ != "NetworkError":
            raise
        reason = str(error).splitlines()[0][:500] if str(error) else "it gives no reason"
        kind = "resource-exhausted" if "alloc" in reason.lower() else "model-unsupported"
        return {"refused": [kind, f"onnxruntime cannot run the model: {reason}"]}, []
    return {"found": found}, answer


def main() -> None:
    """Answer until the parent hangs up."""
    socket_number, parent, memory_bytes, file_bytes, device = sys.argv[1:]
    walls.die_with_parent(int(parent))
    walls.raise_walls(int(memory_bytes), int(file_bytes), device)
    answers = Answers()
    questions = {name: getattr(answers, name) for name in vars(Answers) if not name.startswith("_")}
    with socket.socket(fileno=int(socket_number)) as to_parent:
        while True:
            try:
                asked, arrays, files = frames.receive(to_parent, REQUEST_LIMIT, frames.FILES)
            except BrokenFrameError:
                return
            header, answer = _answer(questions[asked["do"]], asked, arrays, files)
            frames.send(to_parent, header, [np.asarray(array) for array in answer])


if __name__ == "__main__":
    main()
