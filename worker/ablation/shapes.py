"""A dry run of a network: every value's shape at sizes that we choose, by arithmetic alone; nothing is computed.

Exporters write shapes as graphs of their own (Shape, Gather, Concat, Reshape). With sizes for the open axes these are
plain numbers, and it is known where the examples lie even if they share an axis with heads or tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, TypeProto, defs, shape_inference

from worker.ablation import quantised, ruled_shapes, small_numbers
from worker.ablation.layouts import Shape
from worker.ablation.wiring import bodies

EXAMPLES = 7  # where the batch is open: a size that is seldom met otherwise
TOKENS, PIXELS, SAMPLES = 8, 224, 576  # where other axes are open
SMALL = 64  # numbers in a constant that may be a shape
TYPED = frozenset(["DequantizeLinear", "QuantizeLinear"])  # they give another type than they take
COUNTABLE = frozenset([ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL])
Numbers = NDArray[np.generic]


@dataclass(frozen=True)
class Sizes:
    """shapes: of the values, as far as known. batch: how many examples there are. batch_name: what the open first axis
    is called, None if it is fixed. closed: has no axis but the batch an open size?
    """

    shapes: dict[ir.Value, Shape]
    batch: int
    batch_name: str | None
    closed: bool


def dry_run(model: ir.Model, examples: int = EXAMPLES, others: int | None = None) -> Sizes:
    """The shapes of all values at so many examples, if the batch is open. others: the size of other open axes."""
    inputs = [value for value in model.graph.inputs if not value.is_initializer() and value.shape is not None]
    firsts = [value.shape[0] for value in inputs if value.shape]
    name = next((_symbol(each) for each in firsts if not _is_fixed(each)), None)
    fixed = next((each for each in firsts if _is_fixed(each)), None)
    batch = examples if name is not None or not isinstance(fixed, int) else fixed
    run = _Run(model, {} if name is None else {name: batch}, others)
    for value in inputs:
        run.know(value, tuple(run.size(value, place) for place in range(len(value.shape or ()))))
    run.graph(model.graph)
    closed = not any(_symbol(size) != name for value in inputs for size in value.shape or () if not _is_fixed(size))
    return Sizes(run.shapes, batch, name, closed)


def _is_fixed(size: int | ir.SymbolicDim) -> bool:
    return isinstance(size, int) and size > 0


def _symbol(size: int | ir.SymbolicDim) -> str:
    return "" if isinstance(size, int) else (size.value or "")


class _Run:
    """shapes, types: of the values met so far. numbers: what lies in the small ones among the constants."""

    def __init__(self, model: ir.Model, sizes: Mapping[str, int], others: int | None) -> None:
        self.shapes: dict[ir.Value, Shape] = {}
        self.types: dict[ir.Value, ir.DataType] = {}
        self.numbers: dict[ir.Value, Numbers] = {}
        self._sizes, self._others = dict(sizes), others
        self._opset = model.opset_imports.get("") or model.opset_imports.get("ai.onnx") or 1
        self._imports = [onnx.helper.make_opsetid("", self._opset)]

    def know(self, value: ir.Value, shape: Shape, dtype: ir.DataType | None = None) -> None:
        """Note a value's shape and type."""
        self.shapes[value] = shape
        self.types[value] = value.dtype or dtype or ir.DataType.FLOAT

    def size(self, value: ir.Value, place: int) -> int:
        """The size of an input's axis."""
        assert value.shape is not None, "checked"
        size = value.shape[place]
        if isinstance(size, int) and size > 0:
            return size
        if place == 0 and _symbol(size) in self._sizes:
            return self._sizes[_symbol(size)]
        usual = self._others or _usual(len(value.shape), value.dtype)
        return self._sizes.setdefault(_symbol(size), usual) if _symbol(size) else usual

    def graph(self, graph: ir.Graph) -> None:
        for value in graph.initializers.values():
            self._constant(value, value.const_value)
        for node in graph:
            for body in bodies(node):
                self.graph(body)
            self._node(node)

    def _constant(self, value: ir.Value, tensor: ir.TensorProtocol | None) -> None:
        if tensor is None:
            return
        shape = tuple(tensor.shape.numpy())
        self.know(value, shape, tensor.dtype)
        if prod(shape) <= SMALL and tensor.dtype in COUNTABLE:
            self.numbers[value] = tensor.numpy()

    def _node(self, node: ir.Node) -> None:
        if node.op_type == "Constant":
            self._constant(node.outputs[0], small_numbers.constant(node))
        elif bodies(node):
            self._branched(node)
        else:
            self._inferred(node)
            known = small_numbers.results(node, self.numbers, self.shapes)
            self.numbers.update({value: array for value, array in known.items() if array.size <= SMALL})
        for value in node.outputs:
            if value not in self.shapes and value.shape is not None:
                self.know(value, tuple(self._guess(size) for size in value.shape))

    def _branched(self, node: ir.Node) -> None:
        """What is known of a branch is so of the whole; of the branch that is taken, if that can be told."""
        choice = None if node.inputs[0] is None else self.numbers.get(node.inputs[0])
        both = bodies(node)
        for body in both if choice is not None and not choice.all() else reversed(both):
            for end, value in zip(body.outputs, node.outputs, strict=False):
                if end in self.shapes:
                    self.know(value, self.shapes[end], self.types[end])

    def _inferred(self, node: ir.Node) -> None:
        shapes = [None if value is None else self.shapes.get(value) for value in node.inputs]
        own = ruled_shapes.shapes(node, shapes)
        if own is not None:
            dtype = self._type_of(node)
            for value, shape in zip(node.outputs, own, strict=False):
                self.know(value, shape, dtype)
        elif node.domain in ("", "ai.onnx") and all(value is None or value in self.shapes for value in node.inputs):
            self._by_onnx(node)

    def _by_onnx(self, node: ir.Node) -> None:
        operands = [value for value in node.inputs if value is not None]
        types = {value.name or "": _type(int(self.types[value]), self.shapes[value]) for value in operands}
        numbers = {v.name or "": onnx.numpy_helper.from_array(self.numbers[v]) for v in operands if v in self.numbers}
        inferred = _infer(node, self._opset, types, numbers, self._imports)
        for value in node.outputs:
            kind = inferred.get(value.name or "")
            if kind is not None and (shape := _shape(kind)) is not None:
                self.know(value, shape, ir.DataType(kind.tensor_type.elem_type))

    def _type_of(self, node: ir.Node) -> ir.DataType | None:
        """The type of what a node gives for which we have rules: its zero point's, or its data's."""
        source = quantised.zero_point(node) or node.inputs[0]
        return None if source is None or node.op_type in TYPED else self.types.get(source)

    def _guess(self, size: int | ir.SymbolicDim) -> int:
        return size if isinstance(size, int) and size > 0 else self._sizes.get(_symbol(size), self._others or 5)


def _infer(
    node: ir.Node,
    opset: int,
    types: dict[str, TypeProto],
    numbers: dict[str, TensorProto],
    imports: list[onnx.OperatorSetIdProto],
) -> dict[str, TypeProto]:
    """ONNX's own rules for one node; nothing where it has none or they do not hold."""
    try:
        schema = defs.get_schema(node.op_type, opset, "")
        proto = ir.serde.serialize_node(node)
        return dict(shape_inference.infer_node_outputs(schema, proto, types, numbers, opset_imports=imports))
    except Exception:
        return {}  # its output's shape as the file states it must do


def _usual(rank: int, dtype: ir.DataType | None) -> int:
    if rank >= 4:
        return PIXELS
    return SAMPLES if rank == 2 and dtype is not None and dtype.is_floating_point() else TOKENS


@lru_cache(maxsize=4096)
def _type(dtype: int, shape: Shape) -> TypeProto:
    return onnx.helper.make_tensor_type_proto(dtype, shape)


def _shape(kind: TypeProto) -> Shape | None:
    """The shape in a type, if all of it is known."""
    if not kind.tensor_type.HasField("shape"):
        return None
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.tensor_type.shape.dim)
    return None if -1 in sizes else sizes
