"""A network with masks in it, ready to run in onnxruntime: outputs(inputs, examples, lesions, masks), CPU or CUDA."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from worker.ablation import graft, sites
from worker.ablation.graft import Clamp, Means
from worker.ablation.sites import Site

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Device = Literal["cpu", "cuda"]

# A CNN for MNIST, masked, one thread of a CPU: 0.128 to 0.141 ms an example at 16, 32, 64, 128 and 256 alike.
LARGEST_BATCH = {"cpu": 32, "cuda": 512}
BATCH_BYTES = 256 * 1024**2  # of activations in one batch
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class NetworkError(Exception):
    """The model cannot be loaded or run; the message is the library's."""


class Network:
    """A model over a dataset's inputs, with masks at some of its sites.

    All sizes that onnxruntime sees, the batch above all, depend on the model alone. So an example and a mask give the
    same output, bit for bit, in whatever chunk and beside whatever other trials they are computed.
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
        [data] = [value for value in read.graph.inputs if not value.is_initializer()]
        self._input = data.name or ""
        self.fixed_batch = _fixed_batch(data)
        self.batch = self.fixed_batch or _batch(read, LARGEST_BATCH[device])
        [result] = [value for value in read.graph.outputs if value.name == output]
        assert result.shape is not None, "checked when it was read"
        self.classes = _axis(result.shape[-1])
        self._masked: onnxruntime.InferenceSession | None = None
        self._scope: list[Site] = []

    def mask(self, names: Sequence[str], clamp: Clamp, means: Means | None = None) -> None:
        """Put masks at the sites of these names, in this order. Raises KeyError for a name that is no site's."""
        by_name = {site.name: site for site in self.sites}
        self._scope = [by_name[name] for name in names]
        model = self._model()
        try:
            graft.Graft(self._scope, clamp, means, self.fixed_batch)(model)
        except Exception as error:
            raise NetworkError(f"its sites cannot be masked: {error.__cause__ or error}") from error
        self._masked = self._session(model, [self._output])

    def intact(self, inputs: Floats, start: int, stop: int) -> Floats:
        """Outputs float32[stop - start, classes] of the intact network for inputs[start:stop]; `mask` comes first."""
        # Through the masks, all units kept: onnxruntime adds a residual within the convolution where no mask stands
        # between, and then the last bit differs.
        kept = [np.ones((1, site.units), np.bool_) for site in self._scope]
        return self.outputs(inputs, np.arange(start, stop), np.zeros(stop - start, np.int64), kept)

    def means(self, inputs: Floats) -> list[Floats]:
        """Mean activations over all inputs (and space): float32[exits * units] for each masked site."""
        model = self._model()
        graft.show_means(model, self._scope)
        names = [name for index, site in enumerate(self._scope) for name in graft.mean_names(index, site)]
        session = self._session(model, names)
        totals = [np.zeros(site.units) for site in self._scope for _ in site.exits]
        for start in range(0, len(inputs), self.batch):
            count = min(self.batch, len(inputs) - start)
            rows = _padded(np.arange(start, start + count), self.batch)
            means = self._run(session, {self._input: inputs[rows]})
            for total, mean in zip(totals, means, strict=True):
                total += mean[:count].astype(np.float64).sum(axis=0)
        each = iter((total / len(inputs)).astype(np.float32) for total in totals)
        return [np.concatenate([next(each) for _ in site.exits]) for site in self._scope]

    def outputs(self, inputs: Floats, examples: Ints, lesions: Ints, masks: Sequence[NDArray[np.bool_]]) -> Floats:
        """Outputs float32[T, classes]: trial t pushes inputs[examples[t]] through the masks in row lesions[t].

        masks: bool[L, units] for each masked site, in the order given to `mask`; True = kept.
        """
        assert self._masked is not None, "mask comes first"
        parts = []
        for start in range(0, len(examples), self.batch):
            rows = _padded(np.arange(start, min(start + self.batch, len(examples))), self.batch)
            feed: dict[str, Any] = {self._input: inputs[examples[rows]]}
            for index, (site, mask) in enumerate(zip(self._scope, masks, strict=True)):
                feed[graft.mask_name(index)] = mask[lesions[rows]].reshape(graft.mask_shape(site, self.batch))
            parts.append(self._run(self._masked, feed)[0])
        return np.concatenate(parts)[: len(examples)]

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


def _padded(rows: Ints, size: int) -> Ints:
    """Rows of a batch, the last one repeated until it is full."""
    return np.concatenate([rows, np.full(size - len(rows), rows[-1])])


def _axis(size: int | ir.SymbolicDim) -> int:
    assert isinstance(size, int), "checked when it was read"
    return size


def _fixed_batch(data: ir.Value) -> int | None:
    """The batch size that a model was exported for, or None if it takes any."""
    first = None if data.shape is None else data.shape[0]
    return first if isinstance(first, int) and first > 0 else None


def _batch(model: ir.Model, most: int) -> int:
    """The largest power of two, up to `most`, at which the activations take BATCH_BYTES at most."""
    if any(node.op_type == "DynamicQuantizeLinear" for node in model.graph):
        return 1  # its scale comes from all examples of a batch together
    largest = max(BATCH_BYTES // activation_bytes(model), 1)
    return min(1 << (largest.bit_length() - 1), most)


def activation_bytes(model: ir.Model) -> int:
    """Bytes of all activations of one example together, as far as their shapes are known; open axes count as one."""
    total = 0
    for node in model.graph:
        for value in node.outputs:
            if value.shape is not None:
                total += 4 * math.prod(size for size in value.shape.dims[1:] if isinstance(size, int))
    return max(total, 1)
