"""Finds the sites of a network by what its operators do, whatever they are called and whichever exporter wrote them.

A layer is a node that mixes channels with constant weights. Behind it lies a region of operators that treat each
channel by itself: bias, normalisation, activation, in one piece or in many. Where values leave that region, the layer's
units are seen by the rest of the network: there is the site. A residual addition is no part of the region, since
another branch takes part in it, so a branch is masked before the addition.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

# Operators that treat each channel by itself, if all other operands are constant.
PER_CHANNEL = frozenset(
    """
    Abs Add BatchNormalization Cast Celu Clip Div Dropout Elu Erf Exp Gelu HardSigmoid HardSwish Identity
    LeakyRelu Log Max Min Mish Mul Neg PRelu Pow Reciprocal Relu Selu Sigmoid Sign Softplus Softsign Sqrt Sub
    Swish Tanh ThresholdedRelu
    """.split()
)
# Operators that only move constants about, so that what they give is constant too.
CONSTANT_MOVERS = frozenset(["Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])
CONVOLUTIONS = frozenset(["Conv", "ConvTranspose"])
LEAST_UNITS = 2  # a layer of one unit has no order to lose units in


@dataclass(frozen=True)
class Site:
    """A place in the network whose units can be ablated.

    name: unique in its network. op: the layer's operator. units: how many. axis: of the channels, from the front (1) or
    from the back (-1). rank: of the tensors there. start: name of the value that the layer computes. exits: names of
    the values to mask, one mask for all of them.
    """

    name: str
    op: str
    units: int
    axis: int
    rank: int
    start: str
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


def find(model: ir.Model, output: str) -> list[Site]:
    """The sites of a network, in network order, for its class output of that name.

    A layer with no further layer between it and the class output is the classifier: its units are classes, and it is
    no site. Nor is one that the class output does not depend on. Shapes must have been inferred for MatMul.
    """
    layers = [layer for node in model.graph if (layer := _layer(node)) is not None]
    [target] = [value for value in model.graph.outputs if value.name == output]
    below = _ancestors(target)
    nodes = {layer.node for layer in layers}
    sites: list[Site] = []
    for layer in layers:
        start = layer.node.outputs[0]
        region = region_of(start)
        exits = [value for value in region if value in below and _leaves(value, region)]
        if layer.units >= LEAST_UNITS and exits and _meets(exits, nodes, below):
            names = tuple(value.name or "" for value in exits)
            shape = (layer.units, layer.axis, layer.rank)
            sites.append(Site(_name(layer, sites), layer.node.op_type, *shape, start.name or "", names))
    return sites


def _layer(node: ir.Node) -> _Layer | None:
    """A node that mixes channels with constant weights, and how its units lie in its output."""
    if node.domain not in ("", "ai.onnx") or len(node.inputs) < 2 or node.inputs[1] is None:
        return None
    weight = node.inputs[1]
    if not is_constant(weight) or weight.shape is None or not weight.shape.is_static():
        return None
    shape = weight.shape.numpy()
    match node.op_type:
        case "Conv":
            return _Layer(node, weight, shape[0], 1, len(shape))
        case "ConvTranspose":
            return _Layer(node, weight, shape[1] * _int(node, "group", 1), 1, len(shape))
        case "Gemm":
            return _Layer(node, weight, shape[0] if _int(node, "transB", 0) else shape[1], -1, 2)
        case "MatMul" if len(shape) == 2 and node.outputs[0].shape is not None:
            return _Layer(node, weight, shape[1], -1, len(node.outputs[0].shape))
    return None


def _int(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def is_constant(value: ir.Value | None) -> bool:
    """Is a value the same for every input? True for None, an operand that is left out."""
    if value is None or value.is_initializer():
        return True
    node = value.producer()
    if node is None:
        return False
    if node.op_type == "Constant":
        return True
    return node.op_type in CONSTANT_MOVERS and all(is_constant(operand) for operand in node.inputs)


def region_of(start: ir.Value) -> dict[ir.Value, None]:
    """The values behind a layer that still hold one channel each of it, in order of their computation."""
    region: dict[ir.Value, None] = {start: None}
    grown = True
    while grown:
        grown = False
        for value in list(region):
            for node, _ in value.uses():
                if node.outputs[0] not in region and _stays_within(node, region):
                    region[node.outputs[0]] = None
                    grown = True
    return region


def _stays_within(node: ir.Node, region: dict[ir.Value, None]) -> bool:
    """Does a node keep channels apart, and depend on nothing but the region and constants?"""
    if node.op_type not in PER_CHANNEL or node.domain not in ("", "ai.onnx"):
        return False
    return all(operand in region or is_constant(operand) for operand in node.inputs if operand is not None)


def _leaves(value: ir.Value, region: dict[ir.Value, None]) -> bool:
    """Is a value of the region seen outside of it?"""
    return value.is_graph_output() or any(node.outputs[0] not in region for node, _ in value.uses())


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


def _meets(exits: list[ir.Value], layers: set[ir.Node], below: set[ir.Value]) -> bool:
    """Does another layer lie between these values and the class output?"""
    return any(node in layers for node in _descendants(exits) if any(out in below for out in node.outputs))


def _descendants(values: list[ir.Value]) -> Iterator[ir.Node]:
    seen: set[ir.Node] = set()
    waiting = list(values)
    while waiting:
        for node, _ in waiting.pop().uses():
            if node not in seen:
                seen.add(node)
                yield node
                waiting += node.outputs


def _name(layer: _Layer, before: list[Site]) -> str:
    """What the network's author called the layer, as far as the export still tells; made unique."""
    weight = layer.weight.name or ""
    name = weight.removesuffix(".weight") if weight.endswith(".weight") else ""
    name = name or (layer.node.name or layer.node.outputs[0].name or layer.node.op_type)
    taken = {site.name for site in before}
    return next(each for each in _numbered(name) if each not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}#{number}"
        number += 1
