"""A network without its lost units: where one lesion serves many examples, what nothing reads is not computed.

The masks become constants. Where a lost unit's channel can be followed to the products that read it and back to the one
that makes it, all three lose it; elsewhere, as before a residual addition, multiplying by a constant is what remains.
Sums have fewer terms then, so that outputs may differ in their last bits from those of the whole network with masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import graft, layouts, ways, wiring
from worker.ablation.regions import ELEMENTWISE, PAIRS, REQUANTISING
from worker.ablation.sites import Site

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
APART = frozenset(["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"])  # they keep channels apart
SAME = frozenset(["Dropout", "Identity"])
ZERO_STAYS = frozenset(["HardSwish", "Identity", "LeakyRelu", "Relu", "Tanh", *APART])
SIMPLE = ELEMENTWISE - PAIRS - REQUANTISING - {"BatchNormalization"}


def prune(model: ir.Model, sites: Sequence[Site], masks: Sequence[Bools]) -> None:
    """Put a lesion into a grafted model, in place: bool[units] a site; True = kept. Its masks must be those of float32.

    Masks that cannot be constants, because the network takes the number of examples from them, stay inputs.
    """
    for index, (site, mask) in enumerate(zip(sites, masks, strict=True)):
        given = next(value for value in model.graph.inputs if value.name == graft.mask_name(index))
        if given.dtype != ir.DataType.FLOAT or _tells_the_batch(site):
            continue
        factors = mask.astype(np.float32).reshape(graft.mask_shape(site, 1))
        fixed = _constant(model, f"{given.name}_fixed", factors)
        for node, place in list(given.uses()):
            node.replace_input_with(place, fixed)
        model.graph.inputs.remove(given)
        if ways.is_fast(site):
            for node in list(dict.fromkeys(node for node, _ in fixed.uses())):
                if not _drop(model, node, mask, _axis(site)):
                    _fold(model, node, mask)
    for node in model.graph:
        for value in node.outputs:
            value.shape = None  # which may have changed; onnxruntime finds it again


def _tells_the_batch(site: Site) -> bool:
    return any(len(axis) > 1 and layouts.BATCH in layouts.labels(axis) for layout in site.layouts for axis in layout)


def _axis(site: Site) -> int:
    [axis] = [place for place, each in enumerate(site.layouts[0]) if layouts.UNIT in layouts.labels(each)]
    return axis


def _drop(model: ir.Model, masking: ir.Node, mask: Bools, axis: int) -> bool:
    """Let the channels of a site's lost units go, if all that reads and makes them can be cut."""
    kept = np.flatnonzero(mask)
    value, rank = masking.inputs[0], len(masking.outputs[0].shape or ())
    if len(kept) == len(mask) or value is None or rank == 0:
        return False
    if len(kept) == 0:
        kept = np.zeros(1, np.int64)  # of no channel, runtimes know little; this one stays zero
    cuts = Cuts(model, len(mask), kept)
    if not cuts.ahead(masking.outputs[0], axis, rank):
        return False
    cuts.seen[value] = {masking}
    if not cuts.behind(value, axis, rank) or not cuts.alone():
        return False
    cuts.take(masking, 1, axis)
    cuts.apply()
    if mask.any():  # what is left of the mask is ones
        _pass_by(masking)
    return True


def _fold(model: ir.Model, masking: ir.Node, mask: Bools) -> None:
    """Put the mask into the layer's weights, if nothing but what keeps a zero stands between."""
    value = masking.inputs[0]
    while value is not None and len(list(value.uses())) == 1 and (node := value.producer()) is not None:
        if node.op_type == "Conv" and node.graph is model.graph and not _is_output(model, value):
            arrays = [_array(each) for each in node.inputs[1:]]
            if all(each is not None and each.shape[0] == len(mask) for each in arrays):
                for place, array in enumerate(arrays, 1):
                    assert array is not None
                    factors = mask.astype(array.dtype).reshape(-1, *([1] * (array.ndim - 1)))
                    name = f"lesion_folded_{len(model.graph.initializers)}"
                    node.replace_input_with(place, _constant(model, name, array * factors))
                _pass_by(masking)
            return
        if not (node.op_type in ZERO_STAYS or _clips_around_zero(node)) or _is_output(model, value):
            return
        value = node.inputs[0]


def _pass_by(masking: ir.Node) -> None:
    value = masking.inputs[0]
    assert value is not None
    for node, place in list(masking.outputs[0].uses()):
        node.replace_input_with(place, value)
    assert isinstance(masking.graph, ir.Graph)
    masking.graph.remove(masking, safe=True)


def _is_output(model: ir.Model, value: ir.Value) -> bool:
    return any(value is each for each in model.graph.outputs)


def _clips_around_zero(node: ir.Node) -> bool:
    if node.op_type != "Clip" or node.attributes:
        return False
    ends = [_array(value) for value in node.inputs[1:]]
    low, high = (*ends, None, None)[:2]
    return (
        low is not None
        and high is not None
        and bool((np.asarray(low, float) <= 0).all() and (np.asarray(high, float) >= 0).all())
    )


@dataclass
class Cuts:
    """What must be cut for some channels of one value to go. seen: values that lose them, and who may use those."""

    model: ir.Model
    units: int
    kept: Ints
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
            and not _is_output(self.model, value)
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
            found = _array(node.inputs[1])
            named = None if found is None else [int(each) for each in found.flat]
        if named is None or axis in (places := {each % rank for each in named}):
            return False
        if wiring.integer(node, "keepdims", 1):
            return self.ahead(node.outputs[0], axis, rank)
        return self.ahead(node.outputs[0], axis - sum(place < axis for place in places), rank - len(places))

    def _cut(self, node: ir.Node, place: int, axis: int, span: int = 1) -> bool:
        found = _array(node.inputs[place])
        if found is None or found.ndim < 2 or found.shape[axis] != self.units * span:
            return False
        self.take(node, place, axis, span)
        return True

    def behind(self, value: ir.Value, axis: int, rank: int) -> bool:
        """Can whatever makes a value make its kept channels only?"""
        node = value.producer()
        if node is None or node.graph is not self.model.graph or _is_output(self.model, value):
            return False
        match node.op_type:
            case "Conv" if axis == 1:
                return self._cut(node, 1, 0) and self._bias(node) and self._grouped(node)
            case "Gemm" if axis == 1:
                return self._cut(node, 1, 1 - wiring.integer(node, "transB", 0)) and self._bias(node)
            case "MatMul" if axis == rank - 1:
                found = _array(node.inputs[1])
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
        if value is None or _array(value) is not None:
            return False
        known = value in self.seen
        self.seen.setdefault(value, set()).add(node)
        return known or self.behind(value, axis, rank)

    def _spread(self, node: ir.Node, place: int, axis: int, rank: int) -> bool:
        """A constant operand that broadcasts over channels stays, one that has a number for each is cut."""
        value = node.inputs[place]
        found = None if value is None else _array(value)
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
        found = _array(node.inputs[2])
        if found is None:
            return False
        if found.size > 1:
            self.take(node, 2, found.ndim - 1)
        return found.size in (1, self.units)

    def _grouped(self, node: ir.Node) -> bool:
        """A convolution of each channel by itself goes on with fewer; other groups cannot be cut."""
        groups, weights = wiring.integer(node, "group", 1), _array(node.inputs[1])
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
            found = None if value is None else _array(value)
            assert found is not None, "looked at before"
            rows = (self.kept[:, None] * span + np.arange(span)).ravel()
            cut = _constant(self.model, f"lesion_cut_{len(self.model.graph.initializers)}", found.take(rows, axis))
            node.replace_input_with(place, cut)
        for node in self.groups:
            node.attributes["group"] = ir.AttrInt64("group", len(self.kept))


def _size(value: ir.Value | None, axis: int) -> object:
    return None if value is None or value.shape is None else value.shape[axis]


def _pads_with_zeros(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    given = node.inputs[2] if len(node.inputs) > 2 else None
    with_what = np.zeros(1) if given is None else _array(given)
    constant = mode is None or mode.as_string() == "constant"
    return constant and with_what is not None and not with_what.any() and "value" not in node.attributes


def _array(value: ir.Value | None) -> NDArray[np.generic] | None:
    """A constant, which exporters may hand on by Identity."""
    while value is not None and (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]
    found = None if value is None else ir.convenience.get_const_tensor(value)
    return None if found is None else found.numpy()


def _constant(model: ir.Model, name: str, array: NDArray[np.generic]) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(np.ascontiguousarray(array), name=name))
    value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
    model.graph.register_initializer(value)
    return value
