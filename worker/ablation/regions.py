"""The region behind a layer: all values that hold one channel each of it, and the exits where they leave."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from worker.ablation import layouts, quantised
from worker.ablation.layers import Layer
from worker.ablation.layouts import BATCH, DEPTH, UNIT, Layout
from worker.ablation.shapes import Sizes
from worker.ablation.tracking import follow
from worker.ablation.wiring import Wiring

# Operators that act on each element by itself, or on each channel by constants, if all other operands are constant.
LINEAR = frozenset("Add BatchNormalization DequantizeLinear Div Mul Neg QuantizeLinear Sub Sum".split())
NONLINEAR = frozenset(
    """
    Abs And Ceil Celu Clip Elu Equal Erf Exp FastGelu Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish
    IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Min Mish Mod Not Or PRelu Pow QLinearLeakyRelu QLinearSigmoid
    QuickGelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Cos Softplus Softsign Sqrt Swish Tan Tanh
    ThresholdedRelu
    Where Xor
    """.split()
)
PAIRS = frozenset(["QLinearAdd", "QLinearMul"])
ELEMENTWISE = LINEAR | NONLINEAR | PAIRS
REQUANTISING = frozenset(["DequantizeLinear", "QuantizeLinear"])
POOLS = frozenset(
    """
    AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool QLinearAveragePool QLinearGlobalAveragePool
    ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum
    """.split()
)
MOVES = frozenset(["Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])
IDENTITIES = frozenset(["Cast", "Dropout", "Identity"])
# They put a value on another scale by what lies beside it, and leave it in its place.
NORMALISING = frozenset(
    """
    GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization MeanVarianceNormalization
    RMSNormalization
    """.split()
)
SUMMING = frozenset(f"Reduce{name}" for name in "L1 L2 LogSum LogSumExp Max Mean Min Sum SumSquare".split())
# Operators that keep channels apart but do nothing to a value, move it, or pool over space. They belong to a region
# only where an elementwise operator follows: in conv -> pool -> BN -> ReLU as in conv -> ReLU -> pool the site is
# behind the ReLU.
PASSING = POOLS | MOVES | IDENTITIES
WITHIN = ELEMENTWISE | PASSING | NORMALISING | SUMMING | {"Expand"}
FOREIGN = frozenset(
    """
    FastGelu Gelu QLinearAdd QLinearAveragePool QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearSigmoid
    QuickGelu QuantizeLinear DequantizeLinear
    """.split()
)
FLOATS = frozenset([ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE])


@dataclass(frozen=True)
class Region:
    """layouts: of its values. exits: those to mask, in network order. linear: is nothing in it but bias and scale?"""

    layer: Layer
    layouts: Mapping[ir.Value, Layout]
    exits: tuple[ir.Value, ...]
    linear: bool


@dataclass(frozen=True)
class Grounds:
    """What every region of a network is found on. scales: values that are no constants but one number for all."""

    wiring: Wiring
    sizes: Sizes
    scales: frozenset[ir.Value]


def grounds(wiring: Wiring, sizes: Sizes) -> Grounds:
    """Dynamic quantisation multiplies by scales that come from the data: a number for a whole batch, no channel's."""
    scales: set[ir.Value] = set()
    for node in wiring.nodes:
        if node.op_type == quantised.AT_RUN_TIME:
            scales.update(node.outputs[1:])
        elif (node.op_type in ELEMENTWISE | PASSING) and (varying := wiring.varying(node)):
            scales.update(node.outputs if all(value in scales for value in varying) else [])
    return Grounds(wiring, sizes, frozenset(scales))


def region(layer: Layer, grounds: Grounds) -> Region:
    """Everything behind a layer that still holds one channel each of it."""
    starts = dict(layer.starts)
    barred: set[ir.Value] = set()
    while True:
        kept, sums = _acting(*_grown(starts, grounds, barred, layer), starts)
        both = kept.keys() | sums
        # What leaves must be maskable. A comparison that leaves is no part of the region but one of its users.
        strays = {v for v in kept if v not in starts and not _is_maskable(v) and _leaves(v, both, grounds)}
        strays |= {v for v in kept if v not in starts and _normalises_what_leaves(v, kept, sums, grounds)}
        if not strays:
            break
        barred |= strays
    inside = sorted(kept, key=lambda value: grounds.wiring.places[value])
    exits = [value for value in inside if _leaves(value, both, grounds)]
    if not all(_is_maskable(value) and can_be_viewed(kept[value], grounds.sizes) for value in exits):
        exits = []
    seen = _behind_which([value for value in exits if not _is_only_summed(value, kept, sums, grounds)], kept)
    linear = not any(_bends(value, kept) for value in seen if value not in starts)
    return Region(layer, {value: kept[value] for value in inside}, tuple(_on_grid(exits, kept, grounds)), linear)


def _grown(
    starts: Mapping[ir.Value, Layout], grounds: Grounds, barred: set[ir.Value], layer: Layer
) -> tuple[dict[ir.Value, Layout], set[ir.Value]]:
    """All values reached from a layer by operators that keep its channels apart, and their sums over channels.

    A normalisation, whole or in pieces, puts each channel on another scale by such sums (`NORMALISING`, `SUMMING`).
    """
    found, sums = dict(starts), dict[ir.Value, Layout]()
    waiting = list(starts)
    while waiting:
        for node, _ in waiting.pop().uses():
            value = node.outputs[0] if node.outputs else None
            if value is None or value in found or value in sums or value in barred:
                continue
            if not stays_within(node, found.keys() | sums.keys(), grounds):
                continue
            layout = follow(node, found | sums, grounds.sizes.shapes)[0]
            if layout is None or not has_examples(layout, grounds.sizes):
                continue
            if is_intact(layout, layer, grounds.sizes):
                found[value] = layout
            elif node.op_type in SUMMING or sums.keys() >= set(grounds.wiring.varying(node)):
                sums[value] = layout
            else:
                continue
            waiting.append(value)
    return found, set(sums)


def stays_within(node: ir.Node, inside: AbstractSet[ir.Value], grounds: Grounds) -> bool:
    """Does a node keep channels apart or sum them, and depend on nothing but the region, constants and scales?"""
    known = node.op_type in (WITHIN if node.domain in ("", "ai.onnx") else FOREIGN)
    if not known or any(grounds.wiring.users(value) for value in node.outputs[1:]):
        return False
    return all(value in inside or value in grounds.scales or grounds.wiring.is_constant(value) for value in node.inputs)


def is_intact(layout: Layout, layer: Layer, sizes: Sizes) -> bool:
    """Are all examples and all units still told apart?"""
    depth = layer.depth == 1 or layouts.is_whole(layout, DEPTH, layer.depth)
    return has_examples(layout, sizes) and depth and layouts.is_whole(layout, UNIT, layer.units)


def has_examples(layout: Layout, sizes: Sizes) -> bool:
    """Are all examples still told apart?"""
    return sizes.batch == 1 or layouts.is_whole(layout, BATCH, sizes.batch)


def can_be_viewed(layout: Layout, sizes: Sizes) -> bool:
    """Can the tensor be reshaped, at any size of its open axes, so that each atom has an axis of its own?"""
    unknown = [a for axis in layout if len(axis) > 1 for a in axis if not a.label]
    return sizes.closed or len(unknown) <= 1


def _acting(
    found: Mapping[ir.Value, Layout], sums: set[ir.Value], starts: Mapping[ir.Value, Layout]
) -> tuple[dict[ir.Value, Layout], set[ir.Value]]:
    """The region without what passes values on after the last operator that acts on them, and the sums used in it."""
    waiting = [value for value in found if _acts(value)]
    kept, used = dict(starts), set[ir.Value]()
    while waiting:
        value = waiting.pop()
        if (value in found and value not in kept) or (value in sums and value not in used):
            if value in found:
                kept[value] = found[value]
            else:
                used.add(value)
            node = value.producer()
            assert node is not None, "a region's values are computed"
            waiting += [operand for operand in node.inputs if operand is not None]
    return kept, used


def _normalises_what_leaves(
    value: ir.Value, kept: Mapping[ir.Value, Layout], sums: set[ir.Value], grounds: Grounds
) -> bool:
    """Is a value normalised that somebody sees as it was? A residual stream is ablated before it is normalised."""
    node = value.producer()
    assert node is not None, "a region's values are computed"
    if node.op_type not in NORMALISING and sums.isdisjoint(each for each in node.inputs if each is not None):
        return False
    before = [each for each in node.inputs if each is not None and each in kept]
    return any(_leaves(each, kept.keys() | sums, grounds) for each in before)


def _behind_which(exits: Sequence[ir.Value], kept: Mapping[ir.Value, Layout]) -> set[ir.Value]:
    """The values of a region that lie on its ways to some exits."""
    waiting, found = list(exits), set(exits)
    while waiting:
        node = waiting.pop().producer()
        more = [] if node is None else [each for each in node.inputs if each in kept and each not in found]
        found.update(each for each in more if each is not None)
        waiting += [each for each in more if each is not None]
    return found


def _is_only_summed(value: ir.Value, kept: Mapping[ir.Value, Layout], sums: set[ir.Value], grounds: Grounds) -> bool:
    """Do none but sums over channels see what leaves, as the square that an RMSNorm takes of a residual stream?"""
    users = [node for node in grounds.wiring.users(value) if not {node.outputs[0]} & (kept.keys() | sums)]
    if not users or grounds.wiring.is_end(value):
        return False
    behind = [follow(node, kept, grounds.sizes.shapes)[0] for node in users if node.op_type in SUMMING]
    return len(behind) == len(users) and not any(each is None or layouts.has(each, UNIT) for each in behind)


def _acts(value: ir.Value) -> bool:
    """Does the operator behind a value act on it? To quantise once more what was pooled or moved is no act."""
    node = value.producer()
    if node is None or node.op_type not in ELEMENTWISE | NORMALISING:
        return False
    for _ in range(2):  # at most a pair
        if node is not None and node.op_type in REQUANTISING and node.inputs[0] is not None:
            node = node.inputs[0].producer()
    return node is None or node.op_type not in PASSING


def _bends(value: ir.Value, inside: Mapping[ir.Value, Layout]) -> bool:
    """Is the operator behind a value more than bias and scale?"""
    node = value.producer()
    assert node is not None, "a region's values are computed"
    squares = node.op_type in ("Mul", "Div", "QLinearMul") and sum(operand in inside for operand in node.inputs) > 1
    return node.op_type in NONLINEAR or squares


def _is_maskable(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype in FLOATS or quantised.is_packed(value)


def _leaves(value: ir.Value, inside: AbstractSet[ir.Value], grounds: Grounds) -> bool:
    """Does the class output see a value of the region other than through the region?"""
    users = grounds.wiring.users(value)
    return grounds.wiring.is_end(value) or any(node.outputs[0] not in inside for node in users)


def _on_grid(exits: list[ir.Value], inside: Mapping[ir.Value, Layout], grounds: Grounds) -> list[ir.Value]:
    """Exits behind a DequantizeLinear move before it: the runtime fuses it with the next layer if no mask is there."""
    moved = [_before_dequantising(value, exits, inside, grounds) for value in exits]
    return list(dict.fromkeys(moved))


def _before_dequantising(
    value: ir.Value, exits: list[ir.Value], inside: Mapping[ir.Value, Layout], grounds: Grounds
) -> ir.Value:
    node = value.producer()
    packed = node.inputs[0] if node is not None and node.op_type == "DequantizeLinear" else None
    if packed is None or packed not in inside or not quantised.is_packed(packed):
        return value
    results = [user.outputs[0] for user in grounds.wiring.users(packed)]
    alone = all(r in exits and not any(u.outputs[0] in inside for u in grounds.wiring.users(r)) for r in results)
    return packed if alone and quantised.is_packed(packed) else value
