"""Attention heads: found from softmax(Q K') V on to the projection that reads them, however an exporter writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from worker.ablation import layouts, quantised
from worker.ablation.layers import CONVOLUTIONS, Layer
from worker.ablation.layouts import BATCH, DEPTH, FREE, UNIT, Atom, Axis, Layout
from worker.ablation.regions import ELEMENTWISE, IDENTITIES, MOVES, Grounds
from worker.ablation.tracking import FACTORS, follow, letters
from worker.ablation.wiring import Wiring, integer

HEAD = "head"  # the start of the label of what may be heads: axes on which neither queries nor examples lie
PRODUCTS = frozenset([*FACTORS, "Einsum"]) - {"Gemm", "QGemm"}
SOFTMAXES = frozenset(["Exp", "QLinearSoftmax", "Softmax"])  # Exp: of a softmax in pieces
ON_THE_WAY = ELEMENTWISE | IDENTITIES | MOVES | {"Concat", "Expand", quantised.AT_RUN_TIME}
SEARCH_LIMIT = 64  # nodes between a product and its softmax


@dataclass(frozen=True)
class Attention:
    """heads: as layers, each with the projection that reads it. feeding: the layers that make Q, K and V."""

    heads: list[tuple[Layer, Layer | None]]
    feeding: set[ir.Node]

    @property
    def projections(self) -> set[ir.Node]:
        """The layers that read heads."""
        return {projection.node for _, projection in self.heads if projection is not None}


def find(grounds: Grounds, layers: list[Layer], batches: Mapping[ir.Value, Layout]) -> Attention:
    """All heads of a network, in its order."""
    by_node = {layer.node: layer for layer in layers}
    heads: list[tuple[Layer, Layer | None]] = []
    roots: list[ir.Value] = []
    for node in grounds.wiring.nodes:
        sources = None if node in by_node else _attends(node, grounds)
        if sources is not None:
            roots += sources
            heads += _heads(node, grounds, by_node, batches)
    return Attention(heads, _makers(roots, by_node, grounds.wiring))


def _attends(node: ir.Node, grounds: Grounds) -> list[ir.Value] | None:
    """What Q, K and V are made of, if a node multiplies the values by a softmax of products."""
    if node.op_type == "Attention":
        return grounds.wiring.varying(node)[:3]
    probabilities = _probabilities(node, grounds)
    return None if probabilities is None else [*grounds.wiring.varying(node), *probabilities[1]]


def _probabilities(node: ir.Node, grounds: Grounds) -> tuple[ir.Value, list[ir.Value]] | None:
    """The operand of a product that comes of a softmax, and the operands of the product behind that."""
    wiring = grounds.wiring
    if node.op_type not in PRODUCTS or len(factors := _factors(node, wiring)) != 2:
        return None
    for value in factors:
        softmax = _behind(value, wiring, lambda each: each.op_type in SOFTMAXES)
        scores = None if softmax is None else softmax.inputs[0]
        product = None if scores is None else _behind(scores, wiring, lambda each: _scores(each, grounds))
        if product is not None:
            return value, _factors(product, wiring)
    return None


def _factors(node: ir.Node, wiring: Wiring) -> list[ir.Value]:
    places = FACTORS.get(node.op_type, (0, 1))
    values = [node.inputs[place] for place in places if place < len(node.inputs)]
    return [value for value in values if value is not None and not wiring.is_constant(value)]


def _scores(node: ir.Node, grounds: Grounds) -> bool:
    """Is it a product of queries and keys? Learned queries are constant: several matrices, one for each head.

    One matrix is a layer's weights, whose softmax may weigh tokens, and has no heads.
    """
    if node.op_type not in PRODUCTS or not (factors := _factors(node, grounds.wiring)):
        return False
    constants = [value for value in node.inputs[:2] if value is not None and value not in factors]
    return len(factors) == 2 or any(prod(grounds.sizes.shapes.get(value, ())[:-2]) > 1 for value in constants)


def _behind(value: ir.Value, wiring: Wiring, wanted: Callable[[ir.Node], bool]) -> ir.Node | None:
    """The nearest node of a kind that a value comes of through operators that only pass it on or act elementwise."""
    waiting, seen = [value], {value}
    while waiting and len(seen) < SEARCH_LIMIT:
        node = waiting.pop(0).producer()
        if node is None:
            continue
        if wanted(node):
            return node
        if node.op_type in ON_THE_WAY:
            more = [each for each in wiring.varying(node) if each not in seen]
            seen.update(more)
            waiting += more
    return None


def _makers(roots: list[ir.Value], by_node: Mapping[ir.Node, Layer], wiring: Wiring) -> set[ir.Node]:
    """The layers that values come of with no other layer between; shapes, which exporters measure, do not count."""
    found: set[ir.Node] = set()
    seen = set(roots)
    waiting = list(seen)
    while waiting:
        node = waiting.pop().producer()
        if node is None:
            continue
        if node in by_node:
            found.add(node)
            continue
        more = [each for each in wiring.varying(node) if each not in seen]
        seen.update(more)
        waiting += more
    return found


def _heads(
    node: ir.Node, grounds: Grounds, by_node: Mapping[ir.Node, Layer], batches: Mapping[ir.Value, Layout]
) -> list[tuple[Layer, Layer | None]]:
    context = node.outputs[0]
    marked = _marked(node, grounds, batches)
    if marked is None:
        return []
    projection, read = _projection(context, marked, grounds, by_node)
    order = _order(marked, read)
    if not order:
        return []
    strides, units = {}, 1
    for atom in reversed(order):
        strides[atom.label] = units
        units *= atom.size
    layout = tuple(layouts.tidy([_renamed(atom, strides) for atom in axis]) for axis in marked)
    depth = layouts.count(layout, DEPTH)
    weight = None if projection is None else projection.weight
    return [(Layer(node, weight, None, units, ((context, layout),), "Attention", depth), projection)]


def _renamed(atom: Atom, strides: Mapping[str, int]) -> Atom:
    if atom.label in strides:
        return Atom(UNIT, atom.size, strides[atom.label])
    return Atom(FREE, atom.size) if atom.label.startswith(HEAD) else atom


def _order(marked: Layout, read: Axis | None) -> list[Atom]:
    """Those axes that are heads: what the projection sums over besides the depth, or the only ones there are."""
    candidates = {atom.label: atom for axis in marked for atom in axis if atom.label.startswith(HEAD)}
    if read is None:
        return list(candidates.values()) if len(candidates) == 1 else []
    found = [atom for atom in read if atom.label in candidates]
    return found if all(atom == candidates[atom.label] for atom in found) else []


def _marked(node: ir.Node, grounds: Grounds, batches: Mapping[ir.Value, Layout]) -> Layout | None:
    """The layout of softmax(Q K') V, with every axis marked that may be heads."""
    layout = batches.get(node.outputs[0])
    if layout is None or len(layout) < 3:
        return None
    if node.op_type == "Attention" and len(layout) == 3:
        return _with_heads_inside(node, layout)
    outer, depth = _axes(node, grounds, len(layout))
    axes = list(layout)
    for place in outer:
        kinds = [a if a.label == BATCH else Atom(f"{HEAD}{place}.{i}", a.size) for i, a in enumerate(layout[place])]
        axes[place] = layouts.tidy(kinds)
    axes[depth] = layouts.tidy([Atom(DEPTH, layouts.size(layout[depth]))])
    return tuple(axes)


def _axes(node: ir.Node, grounds: Grounds, rank: int) -> tuple[list[int], int]:
    """On which axes of softmax(Q K') V heads may lie, and on which the values' own channels."""
    found = _probabilities(node, grounds)
    factors = _factors(node, grounds.wiring)
    first = found is not None and factors[0] is found[0]
    terms = letters(node) if node.op_type == "Einsum" else None
    if terms is None:
        return list(range(rank - 2)), rank - 1 if first or found is None else rank - 2
    probabilities, values = (terms[0], terms[1]) if first else (terms[1], terms[0])
    own = [place for place, letter in enumerate(terms[2]) if letter not in probabilities]
    return [place for place, c in enumerate(terms[2]) if c in probabilities and c in values], (own or [rank - 1])[0]


def _with_heads_inside(node: ir.Node, layout: Layout) -> Layout | None:
    heads, width = integer(node, "q_num_heads", 1), layouts.size(layout[-1])
    if width % heads:
        return None
    return (*layout[:-1], layouts.tidy([Atom(f"{HEAD}0", heads), Atom(DEPTH, width // heads)]))


def _projection(
    context: ir.Value, marked: Layout, grounds: Grounds, by_node: Mapping[ir.Node, Layer]
) -> tuple[Layer | None, Axis | None]:
    """The layer that reads the heads, and what lies on the axis that it sums over."""
    known: dict[ir.Value, Layout] = {context: marked}
    waiting = [context]
    while waiting and len(known) < SEARCH_LIMIT:
        value = waiting.pop(0)
        for node in grounds.wiring.users(value):
            layer = by_node.get(node)
            if layer is not None and layer.data is value:
                return layer, _summed_axis(layer, known[value])
            layout = follow(node, known, grounds.sizes.shapes)[0] if node.op_type in ON_THE_WAY else None
            if layout is not None and node.outputs[0] not in known:
                known[node.outputs[0]] = layout
                waiting.append(node.outputs[0])
    return None, None


def _summed_axis(layer: Layer, layout: Layout) -> Axis:
    node = layer.node
    if layer.op in CONVOLUTIONS:
        return layout[1]
    if node.op_type == "Einsum" and (terms := letters(node)) is not None:
        data = terms[list(node.inputs).index(layer.data)]
        return tuple(atom for letter, axis in zip(data, layout, strict=True) if letter not in terms[2] for atom in axis)
    if node.op_type == "MatMul" and node.inputs[1] is layer.data:
        return layout[-2]
    return layout[0] if integer(node, "transA", 0) else layout[-1]
