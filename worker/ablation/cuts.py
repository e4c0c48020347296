"""Channels that nothing needs, followed back to the layer that makes them and on to the products that read them."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import moves, wiring
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


@dataclass(frozen=True)
class Lost:
    """Where a value loses channels, and who may use it: along an axis, each as long as `span`."""

    axis: int
    span: int = 1
    users: set[ir.Node] = field(default_factory=set)


@dataclass
class Cuts:
    """What must be cut for some channels of one value to go. seen: the values that lose them.

    free: names of inputs that may come without them. given: those that are to, and along which axis. shaped: what
    Reshapes are to be told instead of the numbers that they have.
    """

    model: ir.Model
    units: int
    kept: Ints
    free: frozenset[str]
    given: dict[ir.Value, int] = field(default_factory=dict)
    seen: dict[ir.Value, Lost] = field(default_factory=dict)
    taken: list[tuple[ir.Node, int, int, int]] = field(default_factory=list)
    groups: list[ir.Node] = field(default_factory=list)
    shaped: dict[ir.Node, list[int]] = field(default_factory=dict)

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
            case op if (op in APART and axis == 1 and rank > 2 and span == 1) or op in SAME:
                return self.ahead(node.outputs[0], axis, rank, span)
            case "Transpose":
                order = moves.order(node, rank)
                return self.ahead(node.outputs[0], order.index(axis), rank, span)
            case "Reshape" if (merged := self._merged(node, axis)) is not None:
                return self.ahead(node.outputs[0], axis, axis + 1, merged)
            case "Shape":
                return moves.measures_others(node, axis, rank)
            case "Pad" if _pads_with_zeros(node):  # not channels, or what reads it does not fit
                return self.ahead(node.outputs[0], axis, rank, span)
            case "ReduceMean" if axis == 1 and span == 1:
                return self._averaged(node, axis, rank)
            case "Flatten" if axis == 1 and span == 1 and wiring.integer(node, "axis", 1) == 1:
                tail = list(node.inputs[0].shape or ["?"])[2:] if node.inputs[0] is not None else ["?"]
                whole = all(isinstance(size, int) for size in tail)
                return whole and self.ahead(node.outputs[0], 1, 2, prod(size for size in tail if isinstance(size, int)))
        return False

    def _merged(self, node: ir.Node, axis: int) -> int | None:
        """How long a channel is once all axes from its own on are one, the last; None where a Reshape does another."""
        before, after = moves.shape(node.inputs[0]), moves.shape(node.outputs[0])
        if not moves.keeps(node, before, after, axis) or len(after) != axis + 1:
            return None
        whole = after[axis]
        if not isinstance(whole, int) or whole % self.units:
            return None
        self.shaped[node] = [0] * axis + [-1]
        return whole // self.units

    def _split(self, node: ir.Node, axis: int) -> int | None:
        """How long a channel was while it and what is behind it were one axis, the last."""
        before, after = moves.shape(node.inputs[0]), moves.shape(node.outputs[0])
        if not moves.keeps(node, before, after, axis) or len(before) != axis + 1 or len(after) != axis + 2:
            return None
        whole = before[axis]
        if after[axis] != self.units or not isinstance(whole, int) or whole % self.units:
            return None
        self.shaped[node] = [0] * axis + [len(self.kept), -1]
        return whole // self.units

    def _averaged(self, node: ir.Node, axis: int, rank: int) -> bool:
        named = wiring.integers(node, "axes")
        if named is None and len(node.inputs) > 1:
            found = wiring.numbers(node.inputs[1])
            named = None if found is None else [int(each) for each in found.flat]
        if named is None or axis in (places := {each % rank for each in named}):
            return False
        if wiring.integer(node, "keepdims", 1):
            return self.ahead(node.outputs[0], axis, rank)
        return self.ahead(node.outputs[0], axis - sum(place < axis for place in places), rank - len(places))

    def _cut(self, node: ir.Node, place: int, axis: int, span: int = 1) -> bool:
        found = wiring.numbers(node.inputs[place])
        if found is None or found.ndim < 2 or found.shape[axis] != self.units * span:
            return False
        self.take(node, place, axis, span)
        return True

    def behind(self, value: ir.Value, axis: int, rank: int, span: int = 1) -> bool:
        """Can whatever makes a value make its kept channels only?"""
        node = value.producer()
        if node is None and value.name in self.free and moves.size(value, axis) == self.units * span == self.units:
            self.given[value] = axis
            return True
        if node is None or node.graph is not self.model.graph or is_output(self.model, value):
            return False
        match node.op_type:
            case "Conv" if axis == 1 and span == 1:
                return self._cut(node, 1, 0) and self._bias(node) and self._grouped(node)
            case "Gemm" if axis == 1:
                return self._cut(node, 1, 1 - wiring.integer(node, "transB", 0), span) and self._bias(node, span)
            case "MatMul" if axis < rank - 2:  # a product for each channel, of two values that have them
                alike = all(
                    len(moves.shape(each)) == rank and moves.size(each, axis) == self.units for each in node.inputs
                )
                return alike and all(self._above(node, place, axis, rank, span) for place in (0, 1))
            case "MatMul" if axis == rank - 1:
                found = wiring.numbers(node.inputs[1])
                return found is not None and self._cut(node, 1, found.ndim - 1, span)
            case "Softmax" if moves.softmax_axis(node, self.model, rank) > axis:
                return self._above(node, 0, axis, rank, span)
            case "Transpose":
                return self._above(node, 0, moves.order(node, rank)[axis], rank, span)
            case "Reshape" if span == 1 and (whole := self._split(node, axis)) is not None:
                return self._above(node, 0, axis, axis + 1, whole)
            case "BatchNormalization" if axis == 1 and span == 1:
                apart = all(self._spread(node, place, 0, 1) for place in range(1, 5))
                return apart and self._above(node, 0, axis, rank)
            case "Pad" if moves.size(node.inputs[0], axis) == self.units * span:
                return self._above(node, 0, axis, rank, span)
            case op if (op in APART and axis == 1 and span == 1) or op in SAME:
                return self._above(node, 0, axis, rank, span)
            case op if op in SIMPLE:
                return all(
                    self._spread(node, place, axis, rank, span) or self._above(node, place, axis, rank, span)
                    for place, operand in enumerate(node.inputs)
                    if operand is not None
                )
        return False

    def _above(self, node: ir.Node, place: int, axis: int, rank: int, span: int = 1) -> bool:
        value = node.inputs[place]
        if value is None or wiring.numbers(value) is not None:
            return False
        known = self.seen.setdefault(value, new := Lost(axis, span))
        known.users.add(node)
        return (known.axis, known.span) == (axis, span) and (known is not new or self.behind(value, axis, rank, span))

    def _spread(self, node: ir.Node, place: int, axis: int, rank: int, span: int = 1) -> bool:
        """An operand that broadcasts over channels stays, a constant that has numbers for each is cut."""
        value = node.inputs[place]
        found = None if value is None else wiring.numbers(value)
        if found is None:
            own = None if value is None or value.shape is None else len(value.shape) - (rank - axis)
            return own is not None and (own < 0 or moves.size(value, own) == 1)
        own = found.ndim - (rank - axis)
        if found.size > 1 and own >= 0 and found.shape[own] > 1:
            if found.shape[own] != self.units * span:
                return False
            self.take(node, place, own, span)
        return True

    def _bias(self, node: ir.Node, span: int = 1) -> bool:
        if len(node.inputs) < 3 or node.inputs[2] is None:
            return True
        found = wiring.numbers(node.inputs[2])
        if found is None:
            return False
        if found.size > 1:
            self.take(node, 2, found.ndim - 1, span)
        return found.size in (1, self.units * span)

    def _grouped(self, node: ir.Node) -> bool:
        """A convolution of each channel by itself goes on with fewer; other groups cannot be cut."""
        groups, weights = wiring.integer(node, "group", 1), wiring.numbers(node.inputs[1])
        if groups == 1:
            return True
        if weights is None or groups != self.units or weights.shape[:2] != (self.units, 1):
            return False
        self.groups.append(node)
        return self._above(node, 0, 1, weights.ndim)

    def alone(self) -> bool:
        """Does nobody else use a value that loses channels, but to see how large it is along other axes?"""
        return all(
            node in lost.users
            or (node.op_type == "Shape" and moves.measures_others(node, lost.axis, len(value.shape or ())))
            for value, lost in self.seen.items()
            for node, _ in value.uses()
        )

    def apply(self) -> None:
        """Cut all that was noted."""
        for node, place, axis, span in dict.fromkeys(self.taken):
            value = node.inputs[place]
            found = None if value is None else wiring.numbers(value)
            assert found is not None, "looked at before"
            rows = (self.kept[:, None] * span + np.arange(span)).ravel()
            cut = constant(self.model, f"lesion_cut_{len(self.model.graph.initializers)}", found.take(rows, axis))
            node.replace_input_with(place, cut)
        for node, target in self.shaped.items():
            name = f"lesion_shape_{len(self.model.graph.initializers)}"
            node.replace_input_with(1, constant(self.model, name, np.array(target, np.int64)))
        for node in self.groups:
            node.attributes["group"] = ir.AttrInt64("group", len(self.kept))


def is_output(model: ir.Model, value: ir.Value) -> bool:
    """Does the model give it?"""
    return any(value is each for each in model.graph.outputs)


def _pads_with_zeros(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    given = node.inputs[2] if len(node.inputs) > 2 else None
    with_what = np.zeros(1) if given is None else wiring.numbers(given)
    constant = mode is None or mode.as_string() == "constant"
    return constant and with_what is not None and not with_what.any() and "value" not in node.attributes


def constant(model: ir.Model, name: str, numbers: NDArray[np.generic]) -> ir.Value:
    """A new initializer of a model."""
    value = ir.Value(name=name, const_value=ir.tensor(np.ascontiguousarray(numbers), name=name))
    value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(numbers.dtype)), ir.Shape(numbers.shape)
    model.graph.register_initializer(value)
    return value
