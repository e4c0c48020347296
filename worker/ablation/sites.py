"""Finds the sites of a network by what its operators do, whatever they are called and whichever exporter wrote them.

A layer is a node that mixes channels with constant weights. Behind it lies a region of operators that treat each
channel by itself: bias, normalisation, activation, in one piece or in many. Where values leave that region, the layer's
units are seen by the rest of the network: there is the site. A residual addition is no part of the region, since
another branch takes part in it, so a branch is masked before the addition.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

# Operators that act on each element by itself, or on each channel by constants, if all other operands are constant.
ELEMENTWISE = frozenset(
    """
    Abs Add And BatchNormalization Ceil Celu Clip DequantizeLinear Div Elu Equal Erf Exp Floor Gelu Greater
    GreaterOrEqual HardSigmoid HardSwish LeakyRelu Less LessOrEqual Log Max Min Mish Mul Neg Not Or PRelu Pow
    QuantizeLinear Reciprocal Relu Round Selu Shrink Sigmoid Sign Softplus Softsign Sqrt Sub Swish Tanh
    ThresholdedRelu Where
    """.split()
)
# Operators that keep channels apart but do nothing to a value, or pool over space. They belong to a region only where
# an elementwise operator follows: in conv -> pool -> BN -> ReLU as in conv -> ReLU -> pool the site is behind the ReLU.
PASSING = frozenset(["AveragePool", "Cast", "Dropout", "GlobalAveragePool", "GlobalMaxPool", "Identity", "MaxPool"])
# Operators that only move constants about, so that what they give is constant too.
CONSTANT_MOVERS = frozenset(["Cast", "DequantizeLinear", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])
CONVOLUTIONS = frozenset(["Conv", "ConvTranspose"])
FLOATS = frozenset([ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16])
Constants = set[ir.Value | None]

LEAST_UNITS = 2  # a layer of one unit has no order to lose units in


@dataclass(frozen=True)
class Site:
    """A place in the network whose units can be ablated.

    name: unique in its network. op: the layer's operator. units: how many. axis: of the channels, from the front (1) or
    from the back (-1). rank: of the tensors there. region: names of the values that hold one channel each of the layer,
    in network order, beginning with what it computes. exits: those of them to mask, one mask for all.
    """

    name: str
    op: str
    units: int
    axis: int
    rank: int
    region: tuple[str, ...]
    exits: tuple[str, ...]

    @property
    def convolutional(self) -> bool:
        """Is the layer a convolution, its units feature maps?"""
        return self.op in CONVOLUTIONS


@dataclass(frozen=True)
class _Layer:
    node: ir.Node
    weight: ir.Value
    units: int
    axis: int
    rank: int

    def fits(self, value: ir.Value) -> bool:
        """May a value hold the layer's channels? A constant of higher rank in an addition moves them elsewhere."""
        if value.shape is None:
            return True
        if len(value.shape) != self.rank:
            return False
        size = value.shape[self.axis]
        return not isinstance(size, int) or size == self.units


def find(model: ir.Model, output: str) -> list[Site]:
    """The sites of a network, in network order, for its class output of that name.

    A layer with no further layer between it and the class output is the classifier: its units are classes, and it is
    no site. Nor is one that the class output does not depend on. Shapes must have been inferred for MatMul.
    """
    constants = _constants(model)
    layers = [layer for node in model.graph if (layer := _layer(node, constants)) is not None]
    [target] = [value for value in model.graph.outputs if value.name == output]
    below = _ancestors(target)
    ahead = _before_layers(model, {layer.node for layer in layers}, below)
    places = {value: place for place, node in enumerate(model.graph) for value in node.outputs}
    names: set[str] = set()
    sites: list[Site] = []
    for layer in layers:
        region = sorted(_region(layer, constants, below), key=lambda value: places[value])
        exits = [value for value in region if value in below and _leaves(value, region, below)]
        if layer.units >= LEAST_UNITS and any(value in ahead for value in exits):
            shape = (layer.units, layer.axis, layer.rank)
            sites.append(Site(_name(layer, names), layer.node.op_type, *shape, _names(region), _names(exits)))
    return sites


def _layer(node: ir.Node, constants: Constants) -> _Layer | None:
    """A node that mixes channels with constant weights, and how its units lie in its output, which can be masked."""
    layer = _mixing(node, constants)
    maskable = layer is not None and layer.rank >= 2 and _is_float(node.outputs[0]) and layer.fits(node.outputs[0])
    return layer if maskable else None


def _mixing(node: ir.Node, constants: Constants) -> _Layer | None:
    if node.domain not in ("", "ai.onnx") or len(node.inputs) < 2 or node.inputs[1] is None:
        return None
    weight = node.inputs[1]
    if weight not in constants or node.inputs[0] in constants or weight.shape is None or not weight.shape.is_static():
        return None
    shape = weight.shape.numpy()
    match node.op_type:
        case "Conv" if len(shape) > 1:
            return _Layer(node, weight, shape[0], 1, len(shape))
        case "ConvTranspose" if len(shape) > 1:
            return _Layer(node, weight, shape[1] * _int(node, "group", 1), 1, len(shape))
        case "Gemm" if len(shape) == 2 and all(operand in constants for operand in node.inputs[2:]):
            return _Layer(node, weight, shape[0] if _int(node, "transB", 0) else shape[1], -1, 2)
        case "MatMul" if len(shape) == 2 and node.outputs[0].shape is not None:
            return _Layer(node, weight, shape[1], -1, len(node.outputs[0].shape))
    return None


def _int(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _constants(model: ir.Model) -> Constants:
    """The values that are the same for every input; None among them, an operand that is left out."""
    found: Constants = {None, *model.graph.initializers.values()}
    for node in model.graph:
        moved = node.op_type in CONSTANT_MOVERS and all(operand in found for operand in node.inputs)
        if moved or node.op_type == "Constant":
            found.update(node.outputs)
    return found


def _region(layer: _Layer, constants: Constants, below: set[ir.Value]) -> set[ir.Value]:
    """The values behind a layer that still hold one channel each of it."""
    barred: set[ir.Value] = set()
    while True:
        region = _acting(_grown(layer, constants, barred), layer.node.outputs[0])
        # What leaves must be maskable. A comparison that leaves is no part of the region but one of its users.
        strays = {value for value in region if not _is_float(value) and _leaves(value, region, below)}
        if not strays:
            return region
        barred |= strays


def _grown(layer: _Layer, constants: Constants, barred: set[ir.Value]) -> set[ir.Value]:
    """All values reached from a layer by operators that keep its channels apart."""
    start = layer.node.outputs[0]
    region, waiting = {start}, [start]
    while waiting:
        for node, _ in waiting.pop().uses():
            value = node.outputs[0]
            known = value in region or value in barred
            if not known and layer.fits(value) and _stays_within(node, region, constants):
                region.add(value)
                waiting.append(value)
    return region


def _stays_within(node: ir.Node, region: set[ir.Value], constants: Constants) -> bool:
    """Does a node keep channels apart, and depend on nothing but the region and constants?"""
    if node.op_type not in ELEMENTWISE | PASSING or node.domain not in ("", "ai.onnx"):
        return False
    return all(operand in region or operand in constants for operand in node.inputs)


def _acting(region: set[ir.Value], start: ir.Value) -> set[ir.Value]:
    """The region without what passes values on after the last operator that acts on them."""
    waiting = [value for value in region if (node := value.producer()) and node.op_type in ELEMENTWISE]
    kept: set[ir.Value] = {start}
    while waiting:
        value = waiting.pop()
        if value in region and value not in kept:
            kept.add(value)
            node = value.producer()
            assert node is not None, "a region's values are computed"
            waiting += [operand for operand in node.inputs if operand is not None]
    return kept


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype in FLOATS


def _leaves(value: ir.Value, region: set[ir.Value] | list[ir.Value], below: set[ir.Value]) -> bool:
    """Does the class output see a value of the region other than through the region?"""
    users = (node for node, _ in value.uses() if not below.isdisjoint(node.outputs))
    return any(node.outputs[0] not in region for node in users)


def _ancestors(target: ir.Value) -> set[ir.Value]:
    """All values that a value depends on, itself among them."""
    found: set[ir.Value] = set()
    waiting = [target]
    while waiting:
        value = waiting.pop()
        if value not in found:
            found.add(value)
            node = value.producer()
            waiting += [] if node is None else [operand for operand in node.inputs if operand is not None]
    return found


def _before_layers(model: ir.Model, layers: set[ir.Node], below: set[ir.Value]) -> set[ir.Value]:
    """The values that have a layer between them and the class output."""
    found: set[ir.Value] = set()
    for node in reversed(model.graph):
        if not below.isdisjoint(node.outputs) and (node in layers or not found.isdisjoint(node.outputs)):
            found.update(operand for operand in node.inputs if operand is not None)
    return found


def _names(values: list[ir.Value]) -> tuple[str, ...]:
    return tuple(value.name or "" for value in values)


def _name(layer: _Layer, taken: set[str]) -> str:
    """What the network's author called the layer, as far as the export still tells; made unique, and taken."""
    weight = layer.weight.name or ""
    name = weight.removesuffix(".weight") if weight.endswith(".weight") else ""
    name = name or (layer.node.name or layer.node.outputs[0].name or layer.node.op_type)
    unique = next(each for each in _numbered(name) if each not in taken)
    taken.add(unique)
    return unique


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}#{number}"
        number += 1
