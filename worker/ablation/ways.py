"""The nodes that ablate one exit of a site: by choosing between values, by multiplying, or by adding noise."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import layouts, masking
from worker.ablation.layouts import Layout
from worker.ablation.masking import Weave, is_simple
from worker.ablation.sites import Site


@dataclass(frozen=True)
class Exit:
    """value: what to mask. inside: the values of its region, whose operators keep the unmasked one."""

    index: int
    place: int
    site: Site
    value: ir.Value
    inside: frozenset[ir.Value]
    scale: ir.Value | None
    zero: ir.Value | None
    means: NDArray[np.float32] | None

    @property
    def layout(self) -> Layout:
        return self.site.layouts[self.place]


def is_fast(site: Site) -> bool:
    """Does one mask broadcast at all exits as it is?"""
    places = {tuple(layouts.UNIT in layouts.labels(axis) for axis in layout) for layout in site.layouts}
    return len(places) == 1 and all(is_simple(layout) for layout in site.layouts)


def chosen(weave: Weave, each: Exit, mask: ir.Value) -> ir.Value:
    value = each.value
    packed = each.scale is not None and not _is_of_a_pair(each)
    clamp = _clamp(weave, each, packed)
    if each.scale is not None and not packed:
        value = weave.node("DequantizeLinear", value, *grid_of(each))
    if is_fast(each.site):
        masked = weave.chosen(mask, value, clamp)
    else:
        view = masking.viewed(weave, value, mask, each.layout, each.site.closed)
        masked = weave.chosen(masking.arranged(weave, mask, each.layout), view, clamp)
        if masking.is_mixed(each.layout):
            masked = weave.node("Reshape", masked, weave.node("Shape", value))
    return masked if packed or each.scale is None else weave.node("QuantizeLinear", masked, *grid_of(each))


def multiplied(weave: Weave, each: Exit, mask: ir.Value) -> ir.Value:
    """The value times a mask of zeros and ones."""
    if is_fast(each.site):
        return weave.node("Mul", each.value, mask)
    view = masking.viewed(weave, each.value, mask, each.layout, each.site.closed)
    found = weave.node("Mul", view, masking.arranged(weave, mask, each.layout))
    return weave.node("Reshape", found, weave.node("Shape", each.value)) if masking.is_mixed(each.layout) else found


def disturbed(weave: Weave, each: Exit, noise: ir.Value) -> ir.Value:
    """The value, in float32, with the noise added; then of its own type again."""
    value, plain = each.value, each.scale is None and each.value.dtype in (None, ir.DataType.FLOAT)
    if each.scale is not None:
        value = weave.node("DequantizeLinear", value, *grid_of(each))
    elif not plain:
        value = weave.node("Cast", value, to=int(ir.DataType.FLOAT))
    if is_fast(each.site):
        found = weave.node("Add", value, noise)
    else:
        view = masking.viewed(weave, value, noise, each.layout, each.site.closed)
        found = weave.node("Add", view, masking.arranged(weave, noise, each.layout))
        if masking.is_mixed(each.layout):
            found = weave.node("Reshape", found, weave.node("Shape", value))
    if each.scale is not None:
        return weave.node("QuantizeLinear", found, *grid_of(each))
    return found if plain else weave.node("Cast", found, to=int(each.value.dtype or 0))


def grid_of(each: Exit) -> list[ir.Value]:
    return [value for value in (each.scale, each.zero) if value is not None]


def _is_of_a_pair(each: Exit) -> bool:
    """Does int8 stand between a QuantizeLinear and a DequantizeLinear?

    onnxruntime turns such pairs into uint8, whose kernels round otherwise; so they must stay what they are.
    """
    node = each.value.producer()
    return node is not None and node.op_type == "QuantizeLinear" and each.value.dtype == ir.DataType.INT8


def _clamp(weave: Weave, each: Exit, packed: bool) -> ir.Value:
    """What ablated units become, of the type of what is masked, in the axes of the reshaped value."""
    means = np.zeros((), np.float32) if each.means is None else masking.spread(each.means, each.layout)
    clamp = weave.constant(means)
    if packed:
        return weave.node("QuantizeLinear", clamp, *grid_of(each))
    if each.scale is not None or each.value.dtype in (None, ir.DataType.FLOAT):
        return clamp
    return weave.node("Cast", clamp, to=int(each.value.dtype or 0))
