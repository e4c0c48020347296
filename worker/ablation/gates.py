"""Gated units: a product of two layers that read the same value, as in GLU and SwiGLU, or of two halves of one layer.

A hidden unit of such a block is one number, gate times value, so it is masked once, where the two have met; the layers
that make the gate and the value are no sites of their own.
"""

from dataclasses import replace

import onnx_ir as ir

from worker.ablation import layouts
from worker.ablation.layers import Layer
from worker.ablation.layouts import UNIT, Atom, Layout
from worker.ablation.regions import IDENTITIES, MOVES, Grounds, Region, region
from worker.ablation.tracking import follow
from worker.ablation.wiring import Wiring

PRODUCTS = frozenset(["Mul", "QLinearMul"])
PASSED = IDENTITIES | MOVES | {"DequantizeLinear", "QuantizeLinear"}
SPLITS = frozenset(["Slice", "Split"])
Meeting = tuple[ir.Node, Layout]


def merged(regions: list[Region], grounds: Grounds) -> list[Region]:
    """The regions, with those of two layers that meet in a gate replaced by the one behind the gate."""
    meetings: dict[ir.Node, list[tuple[Region, Layout]]] = {}
    parts = [part for each in regions for part in [each, *_halves(each, grounds)]]
    for each in parts:
        met = _meeting(each, grounds)
        if met is not None:
            meetings.setdefault(met[0], []).append((each, met[1]))
    gated: dict[ir.Node, Region | None] = {}
    for node, pair in meetings.items():
        if len(pair) == 2 and (made := _gate(node, pair[0], pair[1], grounds)) is not None:
            gated.setdefault(pair[1][0].layer.node, None)
            gated[pair[0][0].layer.node] = made
    kept = (gated.get(each.layer.node, each) for each in regions)
    return [each for each in kept if each is not None]


def _gate(node: ir.Node, one: tuple[Region, Layout], other: tuple[Region, Layout], grounds: Grounds) -> Region | None:
    """What lies behind the product of two regions, if these are the two sides of a gate."""
    first, second = one[0].layer, other[0].layer
    same = _source(first.data, grounds.wiring) is _source(second.data, grounds.wiring)
    if not same or first.units != second.units or one[1] != other[1]:
        return None
    made = replace(first, starts=((node.outputs[0], one[1]),))
    return replace(region(made, grounds), linear=False)


def _meeting(each: Region, grounds: Grounds) -> Meeting | None:
    """The product, and the layout in it, that alone sees what leaves a region."""
    if len(each.exits) != 1:
        return None
    value = each.exits[0]
    known: dict[ir.Value, Layout] = {value: each.layouts[value]}
    while len(users := grounds.wiring.users(value)) == 1 and not grounds.wiring.is_end(value):
        node = users[0]
        layout = follow(node, known, grounds.sizes.shapes)[0]
        if node.op_type in PRODUCTS and len(grounds.wiring.varying(node)) == 2:
            return None if layout is None or layout != known[value] else (node, layout)
        if node.op_type not in PASSED or layout is None:
            return None
        value = node.outputs[0]
        known[value] = layout
    return None


def _source(value: ir.Value | None, wiring: Wiring) -> ir.Value | None:
    """Where a value comes from, before it was moved about."""
    while value is not None and (node := value.producer()) is not None and node.op_type in PASSED:
        value = node.inputs[0]
    return value


def _halves(each: Region, grounds: Grounds) -> list[Region]:
    """The regions behind the two halves of a layer that is split in two along its units."""
    if len(each.exits) != 1 or each.layer.units % 2:
        return []
    value, layout = _moved(each.exits[0], each.layouts[each.exits[0]], grounds)
    users = grounds.wiring.users(value)
    results = [result for node in users if node.op_type in SPLITS for result in node.outputs]
    if any(node.op_type not in SPLITS for node in users) or len(results) != 2 or grounds.wiring.is_end(value):
        return []
    halves = [_half(each.layer, result, layout, grounds) for result in results]
    return [region(half, grounds) for half in halves if half is not None]


def _moved(value: ir.Value, layout: Layout, grounds: Grounds) -> tuple[ir.Value, Layout]:
    """Where a value has been moved or dequantised to before anybody else sees it, and its layout there."""
    while len(users := grounds.wiring.users(value)) == 1 and not grounds.wiring.is_end(value):
        node = users[0]
        further = follow(node, {value: layout}, grounds.sizes.shapes)[0] if node.op_type in PASSED else None
        if further is None:
            break
        value, layout = node.outputs[0], further
    return value, layout


def _half(layer: Layer, result: ir.Value, whole: Layout, grounds: Grounds) -> Layer | None:
    shape = grounds.sizes.shapes.get(result)
    axes = [place for place, axis in enumerate(whole) if UNIT in layouts.labels(axis)]
    units = layer.units // 2
    if shape is None or len(axes) != 1 or len(whole[axes[0]]) != 1 or shape[axes[0]] != units:
        return None
    layout = (*whole[: axes[0]], layouts.tidy([Atom(UNIT, units)]), *whole[axes[0] + 1 :])
    return replace(layer, units=units, starts=((result, layout),)) if layouts.shape(layout) == shape else None
