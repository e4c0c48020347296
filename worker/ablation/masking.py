"""The nodes that mask one exit, and those that show its mean, for every way in which units lie in a value."""

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import layouts
from worker.ablation.layouts import BATCH, DEPTH, FREE, UNIT, Atom, Layout

FIRST_WHERE = 9  # the opset that brought Where
AXES_ARE_OPERANDS = 18  # opset from which ReduceMean takes its axes as an operand


def is_simple(layout: Layout) -> bool:
    """Does a mask [batch, 1, units, 1, ...] broadcast as it is, examples being on the first axis or there being one?"""
    places = [place for place, axis in enumerate(layout) if UNIT in layouts.labels(axis)]
    alone = all(len(axis) <= 1 for axis in layout) and len(places) == 1 and places[0] > 0
    return alone and all(place == 0 for place, axis in enumerate(layout) if BATCH in layouts.labels(axis))


class Weave:
    """New nodes in a model, put behind one of its nodes, each behind the one before."""

    def __init__(self, model: ir.Model, prefix: str) -> None:
        self.model, self.nodes = model, list[ir.Node]()
        self._prefix, self._constants = prefix, 0
        self._opset = model.opset_imports.get("") or 1

    def node(self, operator: str, *operands: ir.Value | None, **attributes: int | Sequence[int]) -> ir.Value:
        """What an operator gives."""
        own = [
            ir.AttrInt64(name, each) if isinstance(each, int) else ir.AttrInt64s(name, each)
            for name, each in attributes.items()
        ]
        self.nodes.append(ir.Node("", operator, list(operands), own))
        return self.nodes[-1].outputs[0]

    def constant(self, array: NDArray[np.generic]) -> ir.Value:
        """A constant, seen from inner graphs too."""
        self._constants += 1
        return constant(self.model, f"{self._prefix}_{self._constants}", array)

    def ints(self, *numbers: int) -> ir.Value:
        """A constant of integers."""
        return self.constant(np.array(numbers, np.int64))

    def mean(self, value: ir.Value, axes: Sequence[int]) -> ir.Value:
        """The mean over some axes, which go."""
        if not axes:
            return value
        if self._opset >= AXES_ARE_OPERANDS:
            return self.node("ReduceMean", value, self.ints(*axes), keepdims=0)
        return self.node("ReduceMean", value, axes=axes, keepdims=0)

    def chosen(self, mask: ir.Value, value: ir.Value, clamp: ir.Value) -> ir.Value:
        """The value where the mask is true, else the clamp.

        Not by multiplying, which makes NaN of an infinite activation times zero; but the oldest opsets know no Where.
        """
        if self._opset >= FIRST_WHERE:
            return self.node("Where", mask, value, clamp)
        kind = int(value.dtype or ir.DataType.FLOAT)
        kept, lost = self.node("Cast", mask, to=kind), self.node("Cast", self.node("Not", mask), to=kind)
        return self.node("Add", self.node("Mul", value, kept), self.node("Mul", clamp, lost))

    def put_behind(self, producer: ir.Node) -> None:
        """Put the nodes into the graph in which a node is."""
        graph = producer.graph
        assert isinstance(graph, ir.Graph), "functions are inlined"
        graph.insert_after(producer, self.nodes)


def constant(model: ir.Model, name: str, array: NDArray[np.generic]) -> ir.Value:
    """A new initializer of a model."""
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
    model.graph.register_initializer(value)
    return value


def is_mixed(layout: Layout) -> bool:
    """Must the value be reshaped, so that each atom has an axis of its own?"""
    return any(len(axis) > 1 for axis in layout)


def atoms(layout: Layout) -> list[Atom]:
    """One atom for each axis of the reshaped value."""
    return [atom for axis in layout for atom in axis or (Atom(FREE, 1),)]


def viewed(weave: Weave, value: ir.Value, mask: ir.Value | None, layout: Layout, closed: bool) -> ir.Value:
    """The value with an axis for each atom, at any size of the open axes. mask: tells how many examples there are."""
    if not is_mixed(layout):
        return value
    whole = weave.node("Shape", value)
    sizes: list[ir.Value] = []
    for place, axis in enumerate(layout):
        if len(axis) <= 1:
            sizes.append(weave.node("Gather", whole, weave.ints(place)))
        else:
            sizes += [_size(weave, atom, mask, closed) for atom in axis]
    return weave.node("Reshape", value, weave.node("Concat", *sizes, axis=0))


def _size(weave: Weave, atom: Atom, mask: ir.Value | None, closed: bool) -> ir.Value:
    if atom.label == BATCH:
        return weave.ints(-1) if mask is None else weave.node("Gather", weave.node("Shape", mask), weave.ints(0))
    return weave.ints(atom.size if atom.label or closed else -1)


def arranged(weave: Weave, mask: ir.Value, layout: Layout) -> ir.Value:
    """A mask bool[batch, units] in the order and with the axes of the reshaped value."""
    view = atoms(layout)
    parts = sorted({atom for atom in view if atom.label == UNIT}, key=lambda atom: -atom.stride)
    order = [0 if atom.label == BATCH else 1 + parts.index(atom) for atom in view if atom.label in (BATCH, UNIT)]
    if 0 not in order:  # one example: its axis goes anywhere
        order = [0, *order]
    if len(parts) > 1:
        mask = weave.node("Reshape", mask, weave.ints(-1, *(atom.size for atom in parts)))
    if order != sorted(order):
        mask = weave.node("Transpose", mask, perm=order)
    target = [{BATCH: -1, UNIT: atom.size}.get(atom.label, 1) for atom in view]
    return weave.node("Reshape", mask, weave.ints(*target))


def spread(means: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """Means float32[units * depth] in the axes of the reshaped value."""
    view = atoms(layout)
    parts = sorted({a for a in view if a.label in (UNIT, DEPTH)}, key=lambda a: (a.label != UNIT, -a.stride))
    order = [parts.index(atom) for atom in view if atom.label in (UNIT, DEPTH)]
    target = [atom.size if atom.label in (UNIT, DEPTH) else 1 for atom in view]
    return means.reshape([atom.size for atom in parts]).transpose(order).reshape(target)


def averaged(weave: Weave, value: ir.Value, layout: Layout) -> ir.Value:
    """Means [batch, units * depth] over everything else."""
    view = atoms(layout)
    kept = [atom for atom in view if atom.label]
    mean = weave.mean(value, [place for place, atom in enumerate(view) if not atom.label])
    wanted = sorted(kept, key=lambda a: ((BATCH, UNIT, DEPTH).index(a.label), -a.stride))
    order = [kept.index(atom) for atom in wanted]
    if order != sorted(order):
        mean = weave.node("Transpose", mean, perm=order)
    width = prod(atom.size for atom in kept if atom.label != BATCH)
    return weave.node("Reshape", mean, weave.ints(-1, width))
