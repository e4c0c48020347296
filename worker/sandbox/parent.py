"""What a child can be asked: to read a model or a dataset, and for the outputs of a network with masks."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from worker.ablation.devices import Device
from worker.sandbox import claims, inputs_file
from worker.sandbox.frames import Array
from worker.sandbox.inputs_file import Description
from worker.sandbox.process import MIB, Crashed, Process, TimedOut

__all__ = ["MIB", "Child", "Crashed", "TimedOut"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Masks = Sequence[NDArray[np.bool_]]

LABELS_LIMIT = 1024 * MIB  # bytes of labels and weights, 8 each
FEW_LABELS = 64 * MIB  # bytes of them that even the smallest file may hold
DENSEST = 1100  # bytes that one deflated byte can become; labels may be packed
MEANS_LIMIT = 256 * MIB  # bytes of means, 4 each


class Child(Process):
    """A fresh interpreter for one hostile file, a model or a dataset. A context manager, one child a block.

    Every method raises `Refused`, `Crashed` or `TimedOut`. threads: of onnxruntime. room: bytes that the activations of
    a batch may take; None: as on a CPU. All else as in `Process`.
    """

    MODULE = "worker.sandbox.child"

    def __init__(
        self,
        *,
        memory_bytes: int,
        seconds: float,
        threads: int,
        device: Device = "cpu",
        room: int | None = None,
        file_bytes: int = MIB,
    ) -> None:
        super().__init__(memory_bytes=memory_bytes, seconds=seconds, device=device, file_bytes=file_bytes)
        self._threads, self._device, self._room = threads, device, room
        self._means: dict[str, int] = {}
        self._masked: list[str] = []
        self._tail: tuple[int, ...] | None = None

    def open_model(self, path: Path, output: str | None = None) -> dict[str, Any]:
        """Read a model and try it on invented inputs; what was found in it. The child keeps it for `load`.

        output: the name of the class output, where the file's own is not meant.
        """
        asked = {"do": "open_model", "threads": self._threads, "device": self._device, "room": self._room}
        found, _ = self._ask(asked | {"output": output}, files=[path])
        self._believe(claims.is_model(found))
        self._means = {site["site"]: site["means"] for site in found["sites"]}
        return found

    def try_device(self) -> None:
        """Compute something small on the device. `Crashed.of_device` where it cannot be used."""
        self._ask({"do": "try_device", "device": self._device})

    def read_dataset(
        self, path: Path, inputs_out: Path, reading: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Unpack the inputs to `inputs_out`, an inputs file; what was found, and the arrays that are no inputs.

        reading: how a model and a config want it; None only looks, and nothing is written. arrays: "labels", int64[N],
        int64[N, T], float64[N] or float64[N, K], and "weights", float64[N], as far as there are any.
        For a child that never sees a model: labels and models must not meet.
        """
        limit = min(LABELS_LIMIT, max(FEW_LABELS, 8 * DENSEST * path.stat().st_size))
        asked = {"do": "read_dataset", "reading": None if reading is None else dict(reading)}
        with inputs_out.open("wb") as out:
            answer, arrays = self._ask(asked, files=[path], out=out.fileno(), limit=limit)
        found = answer.get("dataset")
        self._believe(isinstance(found, dict) and claims.is_dataset(found, written=reading is not None))
        assert isinstance(found, dict), "believed"
        self._believe(claims.are_columns(answer.get("names"), arrays, found["examples"]))
        if reading is not None:
            self._believe(_is_filled(inputs_out, found["inputs"]))
        return found, dict(zip(answer["names"], arrays, strict=True))

    def load(
        self,
        inputs_path: Path,
        inputs: Sequence[Description],
        sites: Sequence[str],
        clamp: Literal["zero", "mean"],
        means: Sequence[Floats] | None = None,
    ) -> dict[str, Any]:
        """Put masks at the named sites of the open model, over inputs in a file, and try a few of the examples.

        inputs: what lies in the file, as `read_dataset` found it. means: as `means` gives them, for the clamp `mean`.
        May be called again, with other masks.
        Returns {"tail": the shape of the output for one example, "warnings": of this model on these inputs}.
        """
        asked = {"do": "load", "inputs": [dict(each) for each in inputs], "sites": list(sites), "clamp": clamp}
        loaded, _ = self._ask(asked, means or [], files=[inputs_path])
        self._believe(claims.is_loaded(loaded))
        self._masked, self._tail = list(sites), tuple(loaded["tail"])
        return loaded

    def intact(self, start: int, stop: int) -> Floats:
        """The intact network's outputs for the examples from start to stop: float32[stop - start, *tail]."""
        return self._outputs({"do": "intact", "start": start, "stop": stop}, [], stop - start)

    def means(self, units: Sequence[int]) -> list[Floats]:
        """Mean activations over the whole dataset (and space) at the sites of `load`, which have so many units.

        float32[means] a site, as many as `open_model` found: where its activations leave it at several places, there
        are means for each, and of a unit that is a head one for each of its channels.
        """
        sizes = [self._means[site] for site, _ in zip(self._masked, units, strict=True)]
        self._believe(4 * sum(sizes) <= MEANS_LIMIT)
        _, arrays = self._ask({"do": "means"}, limit=4 * sum(sizes))
        self._expect(arrays, [("<f4", (size,)) for size in sizes])
        return arrays

    def activations(self, examples: Ints, units: int) -> tuple[Floats, Floats]:
        """What each unit at the sites of `load` does on these examples, in the intact network: float32[T, units] twice.

        The mean of its values over space, and of their sizes without sign, which is zero only where all of them are.
        Of a hostile model they may be anything. examples: int64[T]. units: of all sites together.
        """
        shape = (len(examples), units)
        _, arrays = self._ask({"do": "activations"}, [examples], limit=8 * math.prod(shape))
        self._expect(arrays, [("<f4", shape)] * 2)
        means, sizes = arrays
        return means, sizes

    def outputs(self, examples: Ints, lesions: Ints, masks: Masks, shared: bool = False) -> Floats:
        """The ablated network's outputs, float32[T, *tail]: trial t pushes examples[t] with its lesion.

        examples, lesions: int64[T]. masks: bool[L, units] a site, in the order of `load`'s sites; True = kept. shared:
        work that trials have in common is done once. The last bits of an output then depend on what else is asked for.
        """
        asked = {"do": "outputs", "units": [mask.shape[1] for mask in masks], "shared": shared}
        return self._outputs(asked, [examples, lesions, *_packed(masks)], len(examples))

    def alone(self, examples: Ints, places: Ints, lesions: Ints, masks: Masks) -> tuple[Floats, Floats]:
        """Pairs of an example and a lesion of one site: the ablated network's outputs, and the intact one's to match.

        float32[T, *tail] both, of pair t examples[places[t]] with lesion lesions[t]; they are equal, bit for bit, where
        the lesion changes nothing. examples: int64[E]. places, lesions: int64[T].
        """
        assert self._tail is not None, "load comes first"
        asked = {"do": "alone", "units": [mask.shape[1] for mask in masks]}
        shape = (len(places), *self._tail)
        sent: list[Array] = [examples, places, lesions, *_packed(masks)]
        _, answer = self._ask(asked, sent, limit=8 * math.prod(shape))
        self._expect(answer, [("<f4", shape)] * 2)
        ablated, intact = answer
        return ablated, intact

    def noisy(self, examples: Ints, noise: Sequence[Floats]) -> Floats:
        """The outputs with noise added to the units, float32[T, *tail]. noise: float32[T, units] for each site."""
        return self._outputs({"do": "noisy"}, [examples, *noise], len(examples))

    def _outputs(self, asked: dict[str, Any], arrays: Sequence[Array], trials: int) -> Floats:
        assert self._tail is not None, "load comes first"
        shape = (trials, *self._tail)
        _, answer = self._ask(asked, arrays, limit=4 * math.prod(shape))
        self._expect(answer, [("<f4", shape)])
        return answer[0]


def _packed(masks: Masks) -> list[NDArray[np.uint8]]:
    return [np.packbits(mask, axis=1) for mask in masks]


def _is_filled(path: Path, inputs: Sequence[Description]) -> bool:
    """Has a file the size of the inputs that are said to lie in it?"""
    _, end = inputs_file.starts(inputs)
    return end <= path.stat().st_size < end + inputs_file.ALIGNMENT
