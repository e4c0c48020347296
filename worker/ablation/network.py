"""A network with masks in it, ready to run in onnxruntime: outputs(inputs, examples, lesions, masks), CPU or CUDA."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import activations, batches, feeding, flops, graft, sessions, sites
from worker.ablation.devices import Device
from worker.ablation.feeding import Array, Inputs, Ints, how_many
from worker.ablation.graft import Clamp, Means
from worker.ablation.sessions import NetworkError, Session
from worker.ablation.sites import Site

__all__ = ["Array", "Device", "Floats", "Inputs", "Ints", "Masks", "Network", "NetworkError", "how_many"]

Floats = NDArray[np.float32]
Masks = Sequence[NDArray[np.bool_]]
Found = TypeVar("Found")
BOUND = 1e30  # an activation beyond it, or NaN, is no number to multiply by zero


class Network:
    """A model over a dataset's inputs, with masks at some of its sites.

    All sizes that onnxruntime sees, the batch above all, depend on the model and the shape of an example alone; on a
    GPU, also on the room that there is in its memory. So an example and a mask give the same output, bit for bit, in
    whatever chunk and beside whatever other trials they are computed.

    fixed_batch: how many examples it takes at a time; None where it takes any number. in_company: the node that takes
    one scale for all examples of a batch, None if there is none. alone: is each example run on its own, in a batch that
    is filled with copies of it? Whoever finds out that the model needs it sets the first and the last.
    """

    def __init__(
        self,
        model: bytes,
        output: str,
        threads: int = 1,
        device: Device = "cpu",
        room: int = batches.BATCH_BYTES,
    ) -> None:
        """model: a serialized ONNX model, checked and with shapes inferred. output: the name of its class output.

        room: bytes that the activations of a batch may take.
        """
        self._bytes, self.output = model, output
        self._threads, self._device, self._room = threads, device, room
        read = self._model()
        try:
            self.sites = sites.find(read, output)
        except Exception as error:
            raise NetworkError(f"its sites cannot be found: {error}") from error
        self.inputs = {value.name or "": value for value in batches.inputs(read)}
        self.fixed_batch = batches.exported_for(read)
        self.in_company = batches.scaled_together(read)
        self.alone = self.in_company is not None
        self._sizes: dict[tuple[tuple[str, tuple[int, ...]], ...], tuple[int, int, int]] = {}
        self._largest: dict[tuple[tuple[int, ...], ...], int] = {}
        self._masked: Session | None = None
        self._shown: Session | None = None
        self._noisy: Session | None = None
        self.scope: list[Site] = []
        self.multiplies = False
        self._clamp: tuple[Clamp, Means | None] = ("zero", None)
        self._runs = ThreadPoolExecutor(sessions.side_by_side(threads, device), "run")

    def mask(self, names: Sequence[str], clamp: Clamp, means: Means | None = None) -> None:
        """Put masks at the sites of these names, in this order. Raises KeyError for a name that is no site's."""
        by_name = {site.name: site for site in self.sites}
        self.scope, self._shown, self._noisy = [by_name[name] for name in names], None, None
        self._clamp, self.multiplies = (clamp, means), False
        self._masked = self.session(self.grafted())

    def multiply(self, inputs: Inputs) -> bool:
        """Zero units by multiplying, if no activation is unbounded on these few inputs; `mask` comes first.

        Choosing costs more: of a transformer's pass a fourth, where multiplying costs a fiftieth.
        """
        if self._clamp[0] != "zero" or not self.scope:
            return False
        _, sizes = self.activations(inputs, np.arange(how_many(inputs)))
        if not (sizes < BOUND).all():  # nor where one is NaN
            return False
        self.multiplies = True
        self._masked, self._shown = self.session(self.grafted()), None
        return True

    def grafted(self, places: Sequence[int] | None = None) -> ir.Model:
        """A copy with the masks of all sites in scope, or of those at these places, numbered anew."""
        model = self._model()
        clamp, means = self._clamp
        places = range(len(self.scope)) if places is None else places
        scope, own = [self.scope[place] for place in places], means and [means[place] for place in places]
        try:
            graft.Graft(scope, clamp, own, self.fixed_batch, self.multiplies)(model)
        except Exception as error:
            raise NetworkError(f"its sites cannot be masked: {error.__cause__ or error}") from error
        return model

    def batch(self, inputs: Inputs) -> int:
        """How many examples go into one run: what the model fixes, else as many as such examples allow memory for."""
        if self.fixed_batch is not None or self.alone:
            return self.fixed_batch or 1
        tails = self.tails(inputs)
        key = tuple(tails.values())
        if key not in self._largest:
            try:
                work = self.multiply_adds(tails)
                self._largest[key] = batches.largest(self._model(), tails, self._device, work, self._room)
            except Exception as error:
                raise NetworkError(f"the size of its activations cannot be told: {error}") from error
        return self._largest[key]

    def tails(self, inputs: Inputs) -> batches.Tails:
        """The sizes of one example in each input that has examples."""
        return {name: inputs[name].shape[1:] for name in self.inputs if name in inputs and inputs[name].ndim}

    def take_less(self, inputs: Inputs) -> bool:
        """Halve the batch, where it did not fit: on a GPU alone, whose memory others may have taken. Could it be?"""
        now = self.batch(inputs)
        if self._device == "cpu" or self.fixed_batch is not None or self.alone or now == 1:
            return False
        self._largest = {key: max(size // 2, 1) for key, size in self._largest.items()}
        return True

    def work(self, inputs: Inputs) -> int:
        """What one pass of one such example costs, about, in multiplications: by arithmetic, the same everywhere."""
        tails = self.tails(inputs)
        return max(self.multiply_adds(tails) or 0, 16 * batches.activation_bytes(self._model(), tails))

    def size(self, inputs: Inputs) -> tuple[int, int, int]:
        """Multiply-adds of one pass of one such example, how many weights there are, and how many nodes."""
        tails = tuple((name, inputs[name].shape[1:]) for name in self.inputs if name in inputs and inputs[name].ndim)
        if tails not in self._sizes:
            graph = self._model().graph
            weights = sum(each.const_value.size for each in graph.initializers.values() if each.const_value is not None)
            self._sizes[tails] = (self.multiply_adds(dict(tails)) or 0, int(weights), len(graph))
        return self._sizes[tails]

    def multiply_adds(self, tails: batches.Tails | None = None) -> int | None:
        """Multiply-adds of one pass of one example of these sizes; None where they leave an axis open."""
        model = self._model()
        batches.fill(model, tails or {})
        try:
            return flops.multiply_adds(model)
        except Exception as error:
            raise NetworkError(f"its cost cannot be told: {error}") from error

    def work_of(self, part: ir.Model, inputs: Inputs) -> int | None:
        """Multiply-adds of one such example in a part of it, which is changed; None where they cannot be told."""
        batches.fill(part, self.tails(inputs))
        try:
            return flops.multiply_adds(part)
        except Exception:  # whatever it is: such a part is only not shared
            return None

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
        graft.show_means(model, self.scope)
        names = [name for index, site in enumerate(self.scope) for name in graft.mean_names(index, site)]
        session = self.session(model, names)
        totals = [np.zeros(size) for site in self.scope for size in graft.mean_sizes(site)]
        count = how_many(inputs)

        def run(rows: Ints, taken: int) -> list[NDArray[np.float64]]:
            # A branch that is not taken gives one row, of zeros.
            found = sessions.run(session, feeding.feed(self.inputs, inputs, rows))
            return [mean[:taken].astype(np.float64).sum(axis=0) for mean in found]

        for sums in self.each(inputs, np.arange(count), run):
            for total, own in zip(totals, sums, strict=True):
                total += own
        each = iter((total / count).astype(np.float32) for total in totals)
        return [np.concatenate([next(each) for _ in site.exits]) for site in self.scope]

    def activations(self, inputs: Inputs, examples: Ints) -> tuple[Floats, Floats]:
        """Each unit's mean activation over space, and the mean of its size, its sign aside, for these examples.

        float32[T, units] both, the units of all masked sites one after another; `mask` comes first.
        """
        if self._shown is None:
            model = self._model()
            graft.show_means(model, self.scope, sizes=True)
            self._shown = self.session(model, activations.names(self.scope))
        shown = self._shown

        def run(rows: Ints, taken: int) -> tuple[Floats, Floats]:
            found = sessions.run(shown, feeding.feed(self.inputs, inputs, examples[rows]))
            return activations.joined(self.scope, found, taken)

        means, sizes = zip(*self.each(inputs, np.arange(len(examples)), run), strict=True)
        return np.concatenate(means), np.concatenate(sizes)

    def outputs(self, inputs: Inputs, examples: Ints, lesions: Ints, masks: Masks) -> Floats:
        """Outputs float32[T, *tail]: trial t pushes example examples[t] through the masks in row lesions[t].

        masks: bool[L, units] for each masked site, in the order given to `mask`; True = kept.
        """

        def run(trials: Ints, taken: int) -> Floats:
            return self._outputs(inputs, examples[trials], lesions[trials], masks)[:taken]

        return np.concatenate(list(self.each(inputs, np.arange(len(examples)), run)))

    def noisy(self, inputs: Inputs, examples: Ints, noise: Sequence[Floats]) -> Floats:
        """Outputs float32[T, *tail] with noise added to the sites of `mask`: float32[T, units] for each of them."""
        if self._noisy is None:
            model = self._model()
            graft.Graft(self.scope, "noise", None, self.fixed_batch)(model)
            self._noisy = self.session(model, [self.output])
        session = self._noisy

        def run(trials: Ints, taken: int) -> Floats:
            return self._outputs(inputs, examples[trials], trials, noise, session)[:taken]

        return np.concatenate(list(self.each(inputs, np.arange(len(examples)), run)))

    def _kept(self) -> Masks:
        # The intact network too runs through the masks: onnxruntime adds a residual within the convolution where no
        # mask stands between, and then the last bit differs.
        return [np.ones((1, site.units), np.bool_) for site in self.scope]

    def each(
        self, inputs: Inputs, rows: Ints, run: Callable[[Ints, int], Found], batches_a_run: int = 1
    ) -> Iterable[Found]:
        """What `run` gives for the rows of each batch and how many of them count, in order; some run side by side.

        batches_a_run: how many batches go into a run, where the network takes any number.
        """
        each = list(self._batches(inputs, rows, batches_a_run))
        return self._runs.map(run, [rows for rows, _ in each], [taken for _, taken in each])

    def _batches(self, inputs: Inputs, rows: Ints, batches_a_run: int) -> Iterator[tuple[Ints, int]]:
        """Rows for one run each, the last one repeated until it is full; and how many of them count."""
        size = self.batch(inputs) * (batches_a_run if self.fixed_batch is None else 1)
        step = 1 if self.alone else size
        for start in range(0, len(rows), step):
            now = rows[start : start + step]
            yield np.concatenate([now, np.full(size - len(now), now[-1])]), len(now)

    def _outputs(
        self, inputs: Inputs, examples: Ints, lesions: Ints, masks: Sequence[Array], session: Any = None
    ) -> Floats:
        session = session or self._masked
        assert session is not None, "mask comes first"
        feed = feeding.feed(self.inputs, inputs, examples)
        floats = {value.name for value in session.get_inputs() if value.type == "tensor(float)"}
        for index, (site, mask) in enumerate(zip(self.scope, masks, strict=True)):
            name = graft.mask_name(index)
            kind = np.float32 if name in floats else np.bool_
            feed[name] = mask[lesions].reshape(graft.mask_shape(site, len(examples))).astype(kind, copy=False)
        return self.answer(session, feed, len(examples))

    def answer(self, session: Session, feed: dict[str, Any], examples: int) -> Floats:
        """What a session that gives the class output answers: float32[examples, *tail]."""
        [found] = sessions.run(session, feed)
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub" or found.shape[:1] != (examples,):
            shape = list(getattr(found, "shape", "none"))
            raise NetworkError(f"for {examples} examples its output {self.output!r} has the shape {shape}")
        with np.errstate(over="ignore"):
            return found.astype(np.float32, copy=False)

    def _model(self) -> ir.Model:
        """A copy to edit."""
        try:
            return ir.serde.deserialize_model(onnx.ModelProto.FromString(self._bytes))
        except Exception as error:
            raise NetworkError(f"its graph cannot be read: {error}") from error

    def session(self, model: ir.Model, outputs: Sequence[str] | None = None) -> Session:
        """A session of a model, which is changed: of its class output, or of others."""
        return sessions.opened(model, outputs or [self.output], self._threads, self._device)
