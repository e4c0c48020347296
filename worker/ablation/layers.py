"""Which nodes are layers: those that mix channels with constant weights; and where their units lie in their outputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from worker.ablation import layouts
from worker.ablation.layouts import UNIT, Atom, Layout, Shape
from worker.ablation.tracking import RECURRENT, letters
from worker.ablation.wiring import Wiring, integer

CONVOLUTIONS = frozenset(["Conv", "ConvInteger", "ConvTranspose", "QLinearConv"])
Starts = tuple[tuple[ir.Value, Layout], ...]
# At which operand the weights are. All others but the first, the data, must be constant or belong to it (its scale).
WEIGHTS = {
    "Conv": 1,
    "ConvInteger": 1,
    "ConvTranspose": 1,
    "DynamicQuantizeMatMul": 1,
    "GRU": 1,
    "Gemm": 1,
    "LSTM": 1,
    "MatMul": 1,
    "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1,
    "QGemm": 3,
    "QLinearConv": 3,
    "QLinearMatMul": 3,
    "RNN": 1,
}


@dataclass(frozen=True)
class Layer:
    """node, weight: the operator and its constant. data: what it reads. starts: the values that it gives, and where the
    units lie in them. op: what to call it.
    """

    node: ir.Node
    weight: ir.Value | None
    data: ir.Value | None
    units: int
    starts: Starts
    op: str
    depth: int = 1

    @property
    def convolutional(self) -> bool:
        """Is it a convolution, its units feature maps?"""
        return self.op in CONVOLUTIONS


def find(wiring: Wiring, shapes: Mapping[ir.Value, Shape], batches: Mapping[ir.Value, Layout]) -> list[Layer]:
    """All layers of a network, in its order."""
    found = (_layer(node, wiring, shapes, batches) for node in wiring.nodes)
    return [layer for layer in found if layer is not None]


def _layer(
    node: ir.Node, wiring: Wiring, shapes: Mapping[ir.Value, Shape], batches: Mapping[ir.Value, Layout]
) -> Layer | None:
    places = _places(node, wiring)
    if places is None:
        return None
    weight, data = (node.inputs[place] for place in places)
    if weight is None or data is None or (shape := shapes.get(weight)) is None:
        return None
    atoms = _units(node, shape, places[0])
    if atoms is None:
        return None
    starts = [(value, _start(node, value, atoms, places, batches)) for value in node.outputs if value.name]
    found = tuple((value, layout) for value, layout in starts if layout is not None)
    units = layouts.size(tuple(atoms.values()))
    return Layer(node, weight, data, units, found, node.op_type) if found else None


def _places(node: ir.Node, wiring: Wiring) -> tuple[int, int] | None:
    """At which operands the weights and the data are, if it is a layer."""
    if node.op_type == "Einsum":
        return _einsum_places(node, wiring)
    place = WEIGHTS.get(node.op_type)
    if place is None or len(node.inputs) <= place or node.inputs[place] is None:
        return None
    constant = wiring.is_constant(node.inputs[place])
    if constant and not wiring.is_constant(node.inputs[0]):
        bias = node.inputs[2:3] if node.op_type == "Gemm" else []
        return (place, 0) if all(wiring.is_constant(value) for value in bias) else None
    swapped = node.op_type == "MatMul" and wiring.is_constant(node.inputs[0]) and not constant
    return (0, 1) if swapped else None


def _einsum_places(node: ir.Node, wiring: Wiring) -> tuple[int, int] | None:
    if len(node.inputs) != 2 or letters(node) is None:
        return None
    first, second = (wiring.is_constant(value) for value in node.inputs)
    return None if first == second else (0, 1) if first else (1, 0)


def _units(node: ir.Node, shape: Shape, place: int) -> dict[int, Atom] | None:
    """How many units weights of that shape make, by the axis of the output (from the front or from the back)."""
    match node.op_type:
        case "Conv" | "ConvInteger" | "QLinearConv" if len(shape) > 1:
            return {1: Atom(UNIT, shape[0])}
        case "ConvTranspose" if len(shape) > 1:
            return {1: Atom(UNIT, shape[1] * integer(node, "group", 1))}
        case "Gemm" | "QGemm" if len(shape) == 2:
            return {-1: Atom(UNIT, shape[0] if integer(node, "transB", 0) else shape[1])}
        case "Einsum":
            return _einsum_units(node, shape, place)
        case op if op in RECURRENT and len(shape) == 3 and "hidden_size" in node.attributes:
            hidden = integer(node, "hidden_size", 0)
            return {-3: Atom(UNIT, shape[0], hidden), -1: Atom(UNIT, hidden)}
        case op if "MatMul" in op and len(shape) >= 2 and all(size == 1 for size in shape[:-2]):
            return {-1: Atom(UNIT, shape[-1])} if place else {-2: Atom(UNIT, shape[-2])}
    return None


def _einsum_units(node: ir.Node, shape: Shape, place: int) -> dict[int, Atom] | None:
    terms = letters(node)
    assert terms is not None, "checked"
    own, data, result = terms[place], terms[1 - place], terms[2]
    units = [letter for letter in own if letter in result and letter not in data]
    if not units or any(letter in result and letter in data for letter in own) or len(own) != len(shape):
        return None  # a letter in all three: separate weights for each of something
    found: dict[int, Atom] = {}
    stride = 1
    for letter in sorted(units, key=result.index, reverse=True):
        found[result.index(letter)] = Atom(UNIT, shape[own.index(letter)], stride)
        stride *= shape[own.index(letter)]
    return found


def _start(
    node: ir.Node,
    value: ir.Value,
    atoms: Mapping[int, Atom],
    places: tuple[int, int],
    batches: Mapping[ir.Value, Layout],
) -> Layout | None:
    layout = batches.get(value)
    if layout is None or (node.op_type in RECURRENT and len(layout) not in (3, 4)):
        return None
    axes = {-3: -3, -1: -1} if node.op_type in RECURRENT else {axis: axis for axis in atoms}
    if node.op_type in RECURRENT and len(layout) == 4:
        axes = {-3: 1, -1: -1}
    for key, axis in axes.items():
        made = layouts.with_units(layout, axis, [atoms[key]])
        if made is None:
            return None
        layout = made
    return layout
