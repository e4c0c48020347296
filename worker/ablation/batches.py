"""How many examples make a batch: what the file fixes, what memory allows, and what runs where neither does."""

from collections.abc import Iterator, Mapping
from math import prod

import onnx_ir as ir

from worker.ablation import shapes
from worker.ablation.devices import Device

# A CNN for MNIST, masked, one thread of a CPU: 0.128 to 0.141 ms an example at 16, 32, 64, 128 and 256 alike. But a run
# takes some 0.05 ms whatever is in it, which of 32 passes through a small MLP is a sixth.
LARGEST = {"cpu": 32, "cuda": 512, "cuda-tf32": 512}
OF_SMALL, RUN_WORK = 128, 1e8  # examples in a batch where so many multiply-adds would take more
BATCH_BYTES = 256 * 1024**2  # of activations in one batch, where nothing else is said
# They take one scale for a whole batch.
SCALED_TOGETHER = frozenset(["DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"])
MOST_WRITTEN = 1024  # examples in a batch, or places on an axis, that only a Reshape tells of
CANDIDATES = 16  # such sizes that are tried
LONGEST = 16  # numbers in a constant that may be a shape

Tails = Mapping[str, tuple[int, ...]]


def inputs(model: ir.Model) -> list[ir.Value]:
    """What the network must be fed; initializers may stand among its inputs, and are none."""
    return [value for value in model.graph.inputs if not value.is_initializer()]


def exported_for(model: ir.Model) -> int | None:
    """The batch size that a model was exported for, or None if it takes any.

    A state beside the examples may begin with another fixed axis, so that one open first axis makes the batch open.
    """
    firsts = [value.shape[0] for value in inputs(model) if value.shape is not None and len(value.shape) > 0]
    fixed = [first for first in firsts if isinstance(first, int) and first > 0]
    return fixed[0] if fixed and len(fixed) == len(firsts) else None


def scaled_together(model: ir.Model) -> str | None:
    """The first node that takes one scale for all examples of a batch, by its name or what it gives."""
    for node in _nodes(model):
        if node.op_type in SCALED_TOGETHER:
            return node.name or node.outputs[0].name or node.op_type
    return None


def written(model: ir.Model) -> list[int]:
    """Batch sizes to try where none is fixed and the largest does not run: one, two, and what shapes begin with."""
    firsts = [numbers[0] for numbers in _numbers(model) if 0 < numbers[0] <= MOST_WRITTEN]
    return list(dict.fromkeys([1, 2, *firsts]))[:CANDIDATES]


def written_sizes(model: ir.Model) -> list[int]:
    """Sizes of other open axes to try where the usual ones do not run: whatever small numbers the file holds."""
    return sorted({number for numbers in _numbers(model) for number in numbers if 2 < number <= MOST_WRITTEN})[
        :CANDIDATES
    ]


def _numbers(model: ir.Model) -> Iterator[list[int]]:
    """The short lists of integers in a file, of which shapes are made; those that Reshapes are given come first."""
    given = [node.inputs[1] for node in _nodes(model) if node.op_type == "Reshape" and len(node.inputs) > 1]
    others = [node.outputs[0] for node in _nodes(model) if node.op_type == "Constant"]
    for value in [*given, *others, *model.graph.initializers.values()]:
        found = None if value is None else ir.convenience.get_const_tensor(value)
        if found is not None and found.dtype == ir.DataType.INT64 and 0 < found.size <= LONGEST:
            yield [int(number) for number in found.numpy().flat]


def largest(model: ir.Model, tails: Tails, device: Device, work: int | None, room: int = BATCH_BYTES) -> int:
    """The largest power of two, up to what pays, at which the activations take `room` bytes at most.

    tails: the sizes of one example in each input, which count where the model leaves them open. work: multiply-adds of
    one pass, if they are known. The model is changed.
    """
    pays = LARGEST[device]
    if work:
        pays = max(pays, min(1 << (max(int(RUN_WORK // work), 1).bit_length() - 1), OF_SMALL))
    most = max(room // activation_bytes(model, tails), 1)
    return min(1 << (most.bit_length() - 1), pays)


def fill(model: ir.Model, tails: Tails) -> None:
    """Write the sizes of one example into each input's shape, where the model may leave them open."""
    for value in inputs(model):
        tail = tails.get(value.name or "")
        if tail is not None and value.shape is not None and len(value.shape) == len(tail) + 1:
            value.shape = ir.Shape([value.shape[0], *tail])


def activation_bytes(model: ir.Model, tails: Tails) -> int:
    """Bytes of all activations of one example together, as far as their shapes can be known. The model is changed."""
    fill(model, tails)
    sizes = shapes.dry_run(model, examples=1)
    total = 0
    for node in _nodes(model):
        if node.op_type != "Constant":
            total += sum(prod(sizes.shapes.get(value, ())) * _width(value) for value in node.outputs)
    return max(total // max(sizes.batch, 1), 1)


def _width(value: ir.Value) -> int:
    return 4 if value.dtype is None else max(int(value.dtype.itemsize), 1)


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    yield from ir.traversal.RecursiveGraphIterator(model.graph)
