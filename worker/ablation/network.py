"""A network with masks in it, ready to run in onnxruntime: outputs(inputs, examples, lesions, masks), CPU or CUDA."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from worker.ablation import activations, batches, flops, graft, sites
from worker.ablation.graft import Clamp, Means
from worker.ablation.sites import Site

Array = NDArray[Any]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Masks = Sequence[NDArray[np.bool_]]
Inputs = Mapping[str, Array]  # for each input, one example a row; an array without axes goes into every run as it is
Device = Literal["cpu", "cuda"]

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


# What onnxruntime puts before its own words: a file where it was built, a line, and a C++ function with its types.
SOURCES = re.compile(r"/onnxruntime_src/\S+:\d+ (?:[\w:&*<>, ~]|\([^()]*\))*?\([^()]*\)(?: const)? ?")


class NetworkError(Exception):
    """The model cannot be loaded or run; the message is the library's, without the place in its sources."""

    def __init__(self, message: str) -> None:
        super().__init__(SOURCES.sub("", message))

    @property
    def of_memory(self) -> bool:
        """Was it for want of memory?"""
        return "alloc" in str(self).lower()


class Network:
    """A model over a dataset's inputs, with masks at some of its sites.

    All sizes that onnxruntime sees, the batch above all, depend on the model and the shape of an example alone. So an
    example and a mask give the same output, bit for bit, in whatever chunk and beside whatever other trials they are
    computed.

    fixed_batch: how many examples it takes at a time; None where it takes any number. in_company: the node that takes
    one scale for all examples of a batch, None if there is none. alone: is each example run on its own, in a batch that
    is filled with copies of it? Whoever finds out that the model needs it sets the first and the last.
    """

    def __init__(self, model: bytes, output: str, threads: int = 1, device: Device = "cpu") -> None:
        """model: a serialized ONNX model, checked and with shapes inferred. output: the name of its class output."""
        self._bytes, self._output = model, output
        self._threads, self._device = threads, device
        read = self._model()
        try:
            self.sites = sites.find(read, output)
        except Exception as error:
            raise NetworkError(f"its sites cannot be found: {error}") from error
        self.inputs = {value.name or "": value for value in batches.inputs(read)}
        self.fixed_batch = batches.exported_for(read)
        self.in_company = batches.scaled_together(read)
        self.alone = self.in_company is not None
        self._largest: dict[tuple[tuple[int, ...], ...], int] = {}
        self._masked: onnxruntime.InferenceSession | None = None
        self._shown: onnxruntime.InferenceSession | None = None
        self._noisy: onnxruntime.InferenceSession | None = None
        self._scope: list[Site] = []

    def mask(self, names: Sequence[str], clamp: Clamp, means: Means | None = None) -> None:
        """Put masks at the sites of these names, in this order. Raises KeyError for a name that is no site's."""
        by_name = {site.name: site for site in self.sites}
        self._scope, self._shown, self._noisy = [by_name[name] for name in names], None, None
        model = self._model()
        try:
            graft.Graft(self._scope, clamp, means, self.fixed_batch)(model)
        except Exception as error:
            raise NetworkError(f"its sites cannot be masked: {error.__cause__ or error}") from error
        self._masked = self._session(model, [self._output])

    def batch(self, inputs: Inputs) -> int:
        """How many examples go into one run: what the model fixes, else as many as such examples allow memory for."""
        if self.fixed_batch is not None or self.alone:
            return self.fixed_batch or 1
        tails = {name: inputs[name].shape[1:] for name in self.inputs if name in inputs and inputs[name].ndim}
        key = tuple(tails.values())
        if key not in self._largest:
            try:
                self._largest[key] = batches.largest(self._model(), tails, self._device)
            except Exception as error:
                raise NetworkError(f"the size of its activations cannot be told: {error}") from error
        return self._largest[key]

    def work(self, inputs: Inputs) -> int:
        """What one pass of one such example costs, about, in multiplications: by arithmetic, the same everywhere."""
        tails = {name: inputs[name].shape[1:] for name in self.inputs if name in inputs and inputs[name].ndim}
        return max(self.multiply_adds(tails) or 0, 16 * batches.activation_bytes(self._model(), tails))

    def multiply_adds(self, tails: batches.Tails | None = None) -> int | None:
        """Multiply-adds of one pass of one example of these sizes; None where they leave an axis open."""
        model = self._model()
        batches.fill(model, tails or {})
        try:
            return flops.multiply_adds(model)
        except Exception as error:
            raise NetworkError(f"its cost cannot be told: {error}") from error

    def written_batches(self) -> list[int]:
        """Batch sizes that may run where the largest does not."""
        return self._written(batches.written)

    def written_sizes(self) -> list[int]:
        """Sizes of other open axes that may run where the usual ones do not."""
        return self._written(batches.written_sizes)

    def _written(self, read: Callable[[ir.Model], list[int]]) -> list[int]:
        try:
            return read(self._model())
        except Exception as error:
            raise NetworkError(f"its sizes cannot be told: {error}") from error

    def intact(self, inputs: Inputs, start: int, stop: int) -> Floats:
        """Outputs float32[stop - start, *tail] of the intact network for examples from start on; `mask` comes first."""
        return self.outputs(inputs, np.arange(start, stop), np.zeros(stop - start, np.int64), self._kept())

    def together(self, inputs: Inputs, examples: Ints) -> Floats:
        """Outputs of the intact network for just these examples in one run, as many as they are."""
        return self._outputs(inputs, examples, np.zeros(len(examples), np.int64), self._kept())

    def means(self, inputs: Inputs) -> list[Floats]:
        """Mean activations over all inputs (and space): float32[sum of graft.mean_sizes] for each masked site."""
        model = self._model()
        graft.show_means(model, self._scope)
        names = [name for index, site in enumerate(self._scope) for name in graft.mean_names(index, site)]
        session = self._session(model, names)
        totals = [np.zeros(size) for site in self._scope for size in graft.mean_sizes(site)]
        count = how_many(inputs)
        for rows, taken in self._batches(inputs, np.arange(count)):
            # A branch that is not taken gives one row, of zeros.
            for total, mean in zip(totals, self._run(session, self._feed(inputs, rows)), strict=True):
                total += mean[:taken].astype(np.float64).sum(axis=0)
        each = iter((total / count).astype(np.float32) for total in totals)
        return [np.concatenate([next(each) for _ in site.exits]) for site in self._scope]

    def activations(self, inputs: Inputs, examples: Ints) -> tuple[Floats, Floats]:
        """Each unit's mean activation over space, and the mean of its size, its sign aside, for these examples.

        float32[T, units] both, the units of all masked sites one after another; `mask` comes first.
        """
        if self._shown is None:
            model = self._model()
            graft.show_means(model, self._scope, sizes=True)
            self._shown = self._session(model, activations.names(self._scope))
        parts = []
        for rows, taken in self._batches(inputs, np.arange(len(examples))):
            shown = self._run(self._shown, self._feed(inputs, examples[rows]))
            parts.append(activations.joined(self._scope, shown, taken))
        means, sizes = zip(*parts, strict=True)
        return np.concatenate(means), np.concatenate(sizes)

    def outputs(self, inputs: Inputs, examples: Ints, lesions: Ints, masks: Masks) -> Floats:
        """Outputs float32[T, *tail]: trial t pushes example examples[t] through the masks in row lesions[t].

        masks: bool[L, units] for each masked site, in the order given to `mask`; True = kept.
        """
        parts = [
            self._outputs(inputs, examples[trials], lesions[trials], masks)[:taken]
            for trials, taken in self._batches(inputs, np.arange(len(examples)))
        ]
        return np.concatenate(parts)

    def noisy(self, inputs: Inputs, examples: Ints, noise: Sequence[Floats]) -> Floats:
        """Outputs float32[T, *tail] with noise added to the sites of `mask`: float32[T, units] for each of them."""
        if self._noisy is None:
            model = self._model()
            graft.Graft(self._scope, "noise", None, self.fixed_batch)(model)
            self._noisy = self._session(model, [self._output])
        parts = [
            self._outputs(inputs, examples[trials], trials, noise, self._noisy)[:taken]
            for trials, taken in self._batches(inputs, np.arange(len(examples)))
        ]
        return np.concatenate(parts)

    def _kept(self) -> Masks:
        # The intact network too runs through the masks: onnxruntime adds a residual within the convolution where no
        # mask stands between, and then the last bit differs.
        return [np.ones((1, site.units), np.bool_) for site in self._scope]

    def _batches(self, inputs: Inputs, rows: Ints) -> Iterator[tuple[Ints, int]]:
        """Rows for one run each, the last one repeated until it is full; and how many of them count."""
        size = self.batch(inputs)
        step = 1 if self.alone else size
        for start in range(0, len(rows), step):
            now = rows[start : start + step]
            yield np.concatenate([now, np.full(size - len(now), now[-1])]), len(now)

    def _outputs(
        self, inputs: Inputs, examples: Ints, lesions: Ints, masks: Sequence[Array], session: Any = None
    ) -> Floats:
        session = session or self._masked
        assert session is not None, "mask comes first"
        feed = self._feed(inputs, examples)
        for index, (site, mask) in enumerate(zip(self._scope, masks, strict=True)):
            feed[graft.mask_name(index)] = mask[lesions].reshape(graft.mask_shape(site, len(examples)))
        [found] = self._run(session, feed)
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub" or found.shape[:1] != (len(examples),):
            shape = list(getattr(found, "shape", "none"))
            raise NetworkError(f"for {len(examples)} examples its output {self._output!r} has the shape {shape}")
        with np.errstate(over="ignore"):
            return found.astype(np.float32, copy=False)

    def _feed(self, inputs: Inputs, rows: Ints) -> dict[str, Any]:
        feed: dict[str, Any] = {}
        for name, value in self.inputs.items():
            if name not in inputs:
                raise NetworkError(f"no array is given for its input {name!r}")
            array = np.asarray(inputs[name][rows] if inputs[name].ndim else inputs[name])
            is_scalar = value.shape is not None and len(value.shape) == 0
            feed[name] = _cast(name, _only(name, array) if is_scalar else array, value.dtype)
        return feed

    def _model(self) -> ir.Model:
        """A copy to edit."""
        try:
            return ir.serde.deserialize_model(onnx.ModelProto.FromString(self._bytes))
        except Exception as error:
            raise NetworkError(f"its graph cannot be read: {error}") from error

    def _session(self, model: ir.Model, outputs: list[str]) -> onnxruntime.InferenceSession:
        kept = [value for value in model.graph.outputs if value.name in outputs]
        model.graph.outputs[:] = kept
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        # Waiting threads do not spin. With two threads, spinning saves 15 % on an idle machine (0.106 against 0.125 ms
        # an example), but costs 37 % on a busy one (0.538 against 0.394), and workers share their machines.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            data = ir.serde.serialize_model(model).SerializeToString()
            return onnxruntime.InferenceSession(data, options, providers=[PROVIDERS[self._device]])
        except Exception as error:
            raise NetworkError(str(error)) from error

    def _run(self, session: onnxruntime.InferenceSession, feed: dict[str, Any]) -> list[Any]:
        try:
            return list(session.run(None, feed))
        except Exception as error:
            raise NetworkError(str(error)) from error


def how_many(inputs: Inputs) -> int:
    """How many examples there are. Raises `NetworkError` where no input has an axis for them."""
    for array in inputs.values():
        if array.ndim:
            return len(array)
    raise NetworkError("none of its inputs has an axis for examples")


def _only(name: str, array: Array) -> Array:
    """The one number for a whole run, which a dataset may hold once for each example. Raises `NetworkError`."""
    if array.ndim and not (array == array.flat[0]).all():
        raise NetworkError(f"its input {name!r} is one number for all examples, and theirs differ")
    return np.asarray(array.reshape(-1)[0])


def _cast(name: str, array: Array, wanted: ir.DataType | None) -> Array:
    """The array as the network wants it. Raises `NetworkError` where that would change a value."""
    dtype = np.dtype(np.float32) if wanted is None else np.dtype(wanted.numpy())
    if array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        same = np.can_cast(array.dtype, dtype, "safe") or np.array_equal(
            cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"
        )
    if not same:
        raise NetworkError(f"the examples are {array.dtype} and its input {name!r} is {dtype}, which cannot hold them")
    return cast
