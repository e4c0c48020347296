"""Channels that nothing needs, followed back to the layer that makes them and on to the products that read them."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import wiring
from worker.ablation.regions import ELEMENTWISE, PAIRS, REQUANTISING

Ints = NDArray[np.int64]
APART = frozenset(["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"])  # they keep channels apart
SAME = frozenset(["Dropout", "Identity"])
SIMPLE = ELEMENTWISE - PAIRS - REQUANTISING - {"BatchNormalization"}


@dataclass(frozen=True)
class Columns:
    """What is left of an input: these places of an axis."""

    axis: int
    kept: Ints


@dataclass
class Cuts:
    """What must be cut for some channels of one value to go. seen: values that lose them, and who may use those.

    free: names of inputs that may come without them. given: those that are to, and along which axis.
    """

    model: ir.Model
    units: int
    kept: Ints
    free: frozenset[str]
    given: dict[ir.Value, int] = field(default_factory=dict)
    seen: dict[ir.Value, set[ir.Node]] = field(default_factory=dict)
    taken: list[tuple[ir.Node, int, int, int]] = field(default_factory=list)
    groups: list[ir.Node] = field(default_factory=list)

    def take(self, node: ir.Node, place: int, axis: int, span: int = 1) -> None:
        """Note that of this operand only the kept ones are wanted, each as long as `span`, along this axis."""
        self.taken.append((node, place, axis, span))

    def ahead(self, value: ir.Value, axis: int, rank: int, span: int = 1) -> bool:
        """Can all that reads a value do without its lost channels, which are zero?"""
        users = list(value.uses())
        return (
            bool(users)
            and not is_output(self.model, value)
            and all(self._reads(node, place, axis, rank, span) for node, place in users)
        )

    def _reads(self, node: ir.Node, place: int, axis: int, rank: int, span: int) -> bool:
        if place != 0 or node.graph is not self.model.graph:
            return False
        match node.op_type:
            case "Conv" if axis == 1 and wiring.integer(node, "group", 1) == 1:
                return self._cut(node, 1, 1, span)
            case "Gemm" if rank == 2 and axis == 1 and not wiring.integer(node, "transA", 0):
                return self._cut(node, 1, wiring.integer(node, "transB", 0), span)
            case "MatMul" if axis == rank - 1:
                return self._cut(node, 1, 0, span)
            case op if (op in APART and axis == 1 and rank > 2) or op in SAME:
                return self.ahead(node.outputs[0], axis, rank)
            case "Pad" if _pads_with_zeros(node):  # not channels, or what reads it does not fit
                return self.ahead(node.outputs[0], axis, rank)
            case "ReduceMean" if axis == 1:
                return self._averaged(node, axis, rank)
            case "Flatten" if axis == 1 and wiring.integer(node, "axis", 1) == 1:
                tail = list(node.inputs[0].shape or ["?"])[2:] if node.inputs[0] is not None else ["?"]
                whole = all(isinstance(size, int) for size in tail)
                return whole and self.ahead(node.outputs[0], 1, 2, prod(size for size in tail if isinstance(size, int)))
        return False

    def _averaged(self, node: ir.Node, axis: int, rank: int) -> bool:
        named = wiring.integers(node, "axes")
        if named is None and len(node.inputs) > 1:
            found = array(node.inputs[1])
            named = None if found is None else [int(each) for each in found.flat]
        if named is None or axis in (places := {each % rank for each in named}):
            return False
        if wiring.integer(node, "keepdims", 1):
            return self.ahead(node.outputs[0], axis, rank)
        return self.ahead(node.outputs[0], axis - sum(place < axis for place in places), rank - len(places))

    def _cut(self, node: ir.Node, place: int, axis: int, span: int = 1) -> bool:
        found = array(node.inputs[place])
        if found is None or found.ndim < 2 or found.shape[axis] != self.units * span:
            return False
        self.take(node, place, axis, span)
        return True

    def behind(self, value: ir.Value, axis: int, rank: int) -> bool:
        """Can whatever makes a value make its kept channels only?"""
        node = value.producer()
        if node is None and value.name in self.free and _size(value, axis) == self.units:
            self.given[value] = axis
            return True
        if node is None or node.graph is not self.model.graph or is_output(self.model, value):
            return False
        match node.op_type:
            case "Conv" if axis == 1:
                return self._cut(node, 1, 0) and self._bias(node) and self._grouped(node)
            case "Gemm" if axis == 1:
                return self._cut(node, 1, 1 - wiring.integer(node, "transB", 0)) and self._bias(node)
            case "MatMul" if axis == rank - 1:
                found = array(node.inputs[1])
                return found is not None and self._cut(node, 1, found.ndim - 1)
            case "BatchNormalization" if axis == 1:
                apart = all(self._spread(node, place, 0, 1) for place in range(1, 5))
                return apart and self._above(node, 0, axis, rank)
            case "Pad" if _size(node.inputs[0], axis) == self.units:
                return self._above(node, 0, axis, rank)
            case op if (op in APART and axis == 1) or op in SAME:
                return self._above(node, 0, axis, rank)
            case op if op in SIMPLE:
                return all(
                    self._spread(node, place, axis, rank) or self._above(node, place, axis, rank)
                    for place, operand in enumerate(node.inputs)
                    if operand is not None
                )
        return False

    def _above(self, node: ir.Node, place: int, axis: int, rank: int) -> bool:
        value = node.inputs[place]
        if value is None or array(value) is not None:
            return False
        known = value in self.seen
        self.seen.setdefault(value, set()).add(node)
        return known or self.behind(value, axis, rank)

    def _spread(self, node: ir.Node, place: int, axis: int, rank: int) -> bool:
        """A constant operand that broadcasts over channels stays, one that has a number for each is cut."""
        value = node.inputs[place]
        found = None if value is None else array(value)
        if found is None:
            return False
        own = found.ndim - (rank - axis)
        if found.size > 1 and own >= 0 and found.shape[own] > 1:
            if found.shape[own] != self.units:
                return False
            self.take(node, place, own)
        return True

    def _bias(self, node: ir.Node) -> bool:
        if len(node.inputs) < 3 or node.inputs[2] is None:
            return True
        found = array(node.inputs[2])
        if found is None:
            return False
        if found.size > 1:
            self.take(node, 2, found.ndim - 1)
        return found.size in (1, self.units)

    def _grouped(self, node: ir.Node) -> bool:
        """A convolution of each channel by itself goes on with fewer; other groups cannot be cut."""
        groups, weights = wiring.integer(node, "group", 1), array(node.inputs[1])
        if groups == 1:
            return True
        if weights is None or groups != self.units or weights.shape[:2] != (self.units, 1):
            return False
        self.groups.append(node)
        return self._above(node, 0, 1, weights.ndim)

    def alone(self) -> bool:
        """Does nobody else use a value that loses channels?"""
        return all({node for node, _ in value.uses()} <= users for value, users in self.seen.items())

    def apply(self) -> None:
        """Cut all that was noted."""
        for node, place, axis, span in dict.fromkeys(self.taken):
            value = node.inputs[place]
            found = None if value is None else array(value)
            assert found is not None, "looked at before"
            rows = (self.kept[:, None] * span + np.arange(span)).ravel()
            cut = constant(self.model, f"lesion_cut_{len(self.model.graph.initializers)}", found.take(rows, axis))
            node.replace_input_with(place, cut)
        for node in self.groups:
            node.attributes["group"] = ir.AttrInt64("group", len(self.kept))


def is_output(model: ir.Model, value: ir.Value) -> bool:
    """Does the model give it?"""
    return any(value is each for each in model.graph.outputs)


def _size(value: ir.Value | None, axis: int) -> object:
    return None if value is None or value.shape is None else value.shape[axis]


def _pads_with_zeros(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    given = node.inputs[2] if len(node.inputs) > 2 else None
    with_what = np.zeros(1) if given is None else array(given)
    constant = mode is None or mode.as_string() == "constant"
    return constant and with_what is not None and not with_what.any() and "value" not in node.attributes


def array(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The numbers of a constant, which exporters may hand on by Identity."""
    while value is not None and (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]
    found = None if value is None else ir.convenience.get_const_tensor(value)
    return None if found is None else found.numpy()


def constant(model: ir.Model, name: str, numbers: NDArray[np.generic]) -> ir.Value:
    """A new initializer of a model."""
    value = ir.Value(name=name, const_value=ir.tensor(np.ascontiguousarray(numbers), name=name))
    value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(numbers.dtype)), ir.Shape(numbers.shape)
    model.graph.register_initializer(value)
    return value
