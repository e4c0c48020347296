"""Finds the sites of a network by what its operators do, whatever they are called and whichever exporter wrote them.

A layer is a node that mixes channels with constant weights. Behind it lies a region of operators that treat each
channel by itself: bias, normalisation, activation, in one piece or in many. Where values leave that region, the layer's
units are seen by the rest of the network: there is the site. A residual addition is no part of the region, since
another branch takes part in it, so a branch is masked before the addition; nor is the product by which
squeeze-and-excitation scales channels, whose gates are a site of their own.

- A normalisation over channels between a layer and its activation belongs to the region, though it looks at all of
  them; not where something sees what it normalises, such as a residual stream, which is masked where it begins.
- A layer that is applied several times is a site each time.
- Recurrent layers: what leaves the cell is masked (Y, Y_h, Y_c), directions one after another; its memory is not.
- Gated units (GLU, SwiGLU): gate times value is one unit, masked once, behind the product (`gates`).
- Attention: units are heads, masked before the output projection, never behind it (`attention`). Then the projections
  to Q, K and V are no sites. Nor, in a network with attention, is a layer with nothing nonlinear in its region that
  reads from or writes to the residual stream: output projections, the second layer of an MLP, patch embeddings. The
  units of a transformer are its heads and the hidden units of its MLPs.
- Quantised files have no activation; it is absorbed by a quantisation's range. Masks stand where integers are, if they
  can, so that the runtime's integer kernels stay in use (`quantised`).
- An embedding is a table, not a layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from worker.ablation import attention, gates, layers, names, quantised, regions, shapes, tracking, wiring
from worker.ablation.attention import Attention
from worker.ablation.layers import CONVOLUTIONS, Layer
from worker.ablation.layouts import Layout
from worker.ablation.regions import IDENTITIES, MOVES, POOLS, Region
from worker.ablation.wiring import Wiring

LEAST_UNITS = 2  # a layer of one unit has no order to lose units in
STRAIGHT = IDENTITIES | MOVES | POOLS | {"DequantizeLinear", "QuantizeLinear", quantised.AT_RUN_TIME}
Grid = tuple[str, str | None]


@dataclass(frozen=True)
class Site:
    """A place in the network whose units can be ablated.

    name: unique in its network. op: the layer's operator, or `Attention`. units: how many. depth: how many channels a
    unit has, more than one for heads only. exits: the values to mask, one mask for all. layouts: where examples and
    units lie in each exit. grids: of an exit of integers, the names of its scale and its zero point. region: the values
    that hold one channel each of the layer, in network order; an exit's users among them keep the unmasked value.
    closed: has no axis of the network but the batch an open size?
    """

    name: str
    op: str
    units: int
    exits: tuple[str, ...]
    layouts: tuple[Layout, ...]
    grids: tuple[Grid | None, ...]
    region: tuple[str, ...]
    depth: int = 1
    closed: bool = True

    @property
    def convolutional(self) -> bool:
        """Is the layer a convolution, its units feature maps?"""
        return self.op in CONVOLUTIONS


def find(model: ir.Model, output: str) -> list[Site]:
    """The sites of a network, in network order, for its class output of that name.

    A layer with no further layer between it and the class output is the classifier: its units are classes, and it is
    no site. Nor is one that the class output does not depend on. Shapes must have been inferred for operators of which
    ONNX has no rules.
    """
    wired = wiring.read(model, output)
    sizes = shapes.dry_run(model)
    grounds = regions.grounds(wired, sizes)
    batches = tracking.batches(model, sizes)
    found = layers.find(wired, sizes.shapes, batches)
    ahead = _before_layers(wired, {layer.node for layer in found})
    attended = attention.find(grounds, found, batches)
    projections = {heads.node: projection for heads, projection in attended.heads}
    behind = [regions.region(layer, grounds) for layer in _in_order(found, attended, wired)]
    taken: set[str] = set()
    sites: list[Site] = []
    for each in gates.merged(behind, grounds):
        counts = each.layer.units >= LEAST_UNITS and any(value in ahead for value in each.exits)
        if counts and not _is_of_the_stream(each, attended, found, wired):
            heads = each.layer.node in projections
            named = projections.get(each.layer.node) or each.layer
            sites.append(_site(each, names.name(named, taken, parent=heads), wired, sizes.closed))
    return sites


def _in_order(found: Sequence[Layer], attended: Attention, wired: Wiring) -> list[Layer]:
    """Layers and heads, in network order."""
    each = [*found, *(heads for heads, _ in attended.heads)]
    return sorted(each, key=lambda layer: wired.places[layer.node.outputs[0]])


def _site(each: Region, name: str, wired: Wiring, closed: bool) -> Site:
    moved = {user.outputs[0] for value in each.exits if quantised.is_packed(value) for user in wired.users(value)}
    return Site(
        name=name,
        op=each.layer.op,
        units=each.layer.units,
        exits=tuple(wired.keys[value] for value in each.exits),
        layouts=tuple(each.layouts[value] for value in each.exits),
        grids=tuple(_grid(value) for value in each.exits),
        region=tuple(wired.keys[value] for value in each.layouts if value not in moved),
        depth=each.layer.depth,
        closed=closed,
    )


def _grid(value: ir.Value) -> Grid | None:
    found = quantised.grid(value) if quantised.is_packed(value) else None
    return None if found is None else (found[0].name or "", None if found[1] is None else found[1].name)


def _is_of_the_stream(each: Region, attended: Attention, found: Sequence[Layer], wired: Wiring) -> bool:
    """In a network with attention: does a layer only read from or write to the residual stream?"""
    node = each.layer.node
    if not attended.feeding or not each.linear or each.layer.op == "Attention":
        return False
    if node in attended.feeding | attended.projections:
        return True
    layer_nodes = {layer.node for layer in found}
    if each.layer.convolutional:
        return layer_nodes.isdisjoint(_makers_of(each.layer, layer_nodes))
    return not all(_leads_to_layers(value, layer_nodes, wired) for value in each.exits)


def _makers_of(layer: Layer, layer_nodes: set[ir.Node]) -> set[ir.Node]:
    """The nodes that a layer's data come of: of a patch embedding's no layer is one."""
    assert layer.data is not None, "a convolution reads something"
    above = wiring.ancestors(layer.data)
    return {node for value in above if (node := value.producer()) is not None} & layer_nodes


def _leads_to_layers(value: ir.Value, layer_nodes: set[ir.Node], wired: Wiring) -> bool:
    """Do only layers see a value, and nothing of a residual stream?"""
    waiting, seen = [value], {value}
    while waiting:
        for node in wired.users(waiting.pop()):
            if node in layer_nodes:
                continue
            if node.op_type not in STRAIGHT:
                return False
            waiting += [result for result in node.outputs if result not in seen]
            seen.update(node.outputs)
    return True


def _before_layers(wired: Wiring, layer_nodes: set[ir.Node]) -> set[ir.Value]:
    """The values that have a layer between them and the class output."""
    found: set[ir.Value] = set()
    for node in reversed(wired.nodes):
        results = [value for value in node.outputs if value in wired.below]
        if not results or node.op_type in wiring.MEASURING:
            continue
        if node in layer_nodes or not found.isdisjoint(results):
            found.update(operand for operand in node.inputs if operand is not None)
        for value in found.intersection(results):
            found.update(wiring.operands(value))
    return found
