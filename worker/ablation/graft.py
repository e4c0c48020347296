"""Puts masks into a network: one more input for each site, which decides where the site's values leave it.

Masks are per example, so that one forward pass computes as many trials as the batch has rows, each with an ordering and
a fraction of its own. Where a mask [batch, units, 1, ...] broadcasts as it is, one node masks an exit; where examples
or units lie otherwise (recurrent layers, heads beside the batch, flattened maps), the mask comes as [batch, units] and
the network brings it into shape.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import branches, layouts, masking, ways, wiring
from worker.ablation.masking import Weave, is_simple
from worker.ablation.sites import Site
from worker.ablation.ways import Exit

Clamp = Literal["zero", "mean", "noise"]  # `noise` is added, instead of a mask
Means = Sequence[NDArray[np.float32]]
Masking = Callable[[Weave, Exit, ir.Value], ir.Value]
BATCH = "lesion_batch"  # the masks' first axis, which is the inputs' too
# A pool of a constant is that constant. So a mask may as well wait until a pool has made the tensor smaller: on a CNN
# for MNIST the masks' cost falls from a fourth of the intact pass to a twentieth. An average of n equal means rounds.
EXACT_BEHIND = {
    "zero": frozenset(["AveragePool", "Dropout", "GlobalAveragePool", "GlobalMaxPool", "Identity", "MaxPool"]),
    "mean": frozenset(["Dropout", "GlobalMaxPool", "Identity", "MaxPool"]),
    "noise": frozenset[str](),
}
OF_INTEGERS = frozenset(["Identity", "MaxPool"])  # those that take integers too


def mask_name(index: int) -> str:
    """The name of the mask input of the site at this place."""
    return f"lesion_mask_{index}"


def mean_names(index: int, site: Site) -> list[str]:
    """The names of the outputs that give the mean activations of the site at this place, one for each exit."""
    return [f"lesion_mean_{index}_{place}" for place in range(len(site.exits))]


def size_names(index: int, site: Site) -> list[str]:
    """The names of the outputs that give the mean of the activations without their signs, one for each exit."""
    return [f"lesion_size_{index}_{place}" for place in range(len(site.exits))]


def mean_sizes(site: Site) -> list[int]:
    """How many means each exit of a site has: one a unit, but a head has one for each of its channels."""
    return [site.units * site.depth for _ in site.exits]


def mask_shape(site: Site, batch: int) -> tuple[int, ...]:
    """The shape in which a site's mask bool[batch, units] goes into the network."""
    if not ways.is_fast(site):
        return (batch, site.units)
    [axis] = [place for place, each in enumerate(site.layouts[0]) if layouts.UNIT in layouts.labels(each)]
    shape = [1] * len(site.layouts[0])
    shape[0], shape[axis] = batch, site.units
    return tuple(shape)


class Graft(ir.passes.InPlacePass):
    """Mask these sites of a model; `batch` is its fixed batch size, or None.

    bounded: no activation of these sites is infinite or NaN. Then those of float32 are zeroed by multiplying, with
    masks of float32: a third of the cost of choosing. Otherwise NaN would come of an infinite activation times zero.

    An ablated unit becomes zero, or its mean (float32[sum of mean_sizes] a site: each exit has its own); in a quantised
    file the integer nearest to that. A kept unit passes unchanged, bit for bit.
    Operators inside a site's region keep the unmasked value; all others get the masked one.
    With `noise`, an input is float32 instead, of a mask's shape, and is added to each unit, the same all over space.
    """

    def __init__(
        self, sites: Sequence[Site], clamp: Clamp, means: Means | None, batch: int | None, bounded: bool = False
    ) -> None:
        super().__init__()
        self._sites, self._clamp, self._batch, self._bounded = sites, clamp, batch, bounded
        self._means = means if clamp == "mean" else None
        self._masking: set[ir.Node] = set()

    def requires(self, model: ir.Model) -> None:
        """All exits are computed in the model, and nothing is masked yet; each site has its means, if they are used."""
        missing = {name for site in self._sites for name in site.exits} - wiring.computed(model).keys()
        if missing or any(value.name == mask_name(0) for value in model.graph.inputs):
            raise ir.passes.PreconditionError(f"no such values: {sorted(missing)}" if missing else "already masked")
        sizes = [sum(mean_sizes(site)) for site in self._sites]
        if self._clamp == "mean" and [mean.size for mean in self._means or []] != sizes:
            raise ir.passes.PreconditionError("the clamp `mean` takes one mean for each unit at each exit")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add an input for each site, and mask its exits."""
        exits = _exits(model, self._sites, self._means)
        factors = _factors(exits) if self._clamp == "zero" and self._bounded else set()
        masks = []
        for index, site in enumerate(self._sites):
            kind = ir.DataType.FLOAT if self._clamp == "noise" or index in factors else ir.DataType.BOOL
            masks.append(_add_mask(model, index, site, self._batch, kind))
        for each in exits:
            way: Masking = ways.multiplied if each.index in factors else ways.chosen
            way = ways.disturbed if self._clamp == "noise" else way
            self._masking.update(_mask(model, _place(each, self._clamp), masks[each.index], way))
        return ir.passes.PassResult(model, modified=bool(self._sites))

    def ensures(self, model: ir.Model) -> None:
        """Every mask is used, and no value that is masked is seen unmasked outside its region."""
        for each in _exits(model, self._sites, self._means):
            users = _outside(_place(each, self._clamp))
            if not users or not self._masking.issuperset(users):
                raise ir.passes.PostconditionError(f"{each.value.name} is seen unmasked")


def _exits(model: ir.Model, sites: Sequence[Site], means: Means | None = None) -> list[Exit]:
    computed = wiring.computed(model)
    named = {**model.graph.initializers, **{value.name or "": value for value in computed.values()}}
    found: list[Exit] = []
    for index, site in enumerate(sites):
        inside = frozenset(computed[name] for name in site.region)
        parts = [None] * len(site.exits) if means is None else np.split(means[index], len(site.exits))
        for place, (name, grid, part) in enumerate(zip(site.exits, site.grids, parts, strict=True)):
            scale, zero = (None, None) if grid is None else (named[grid[0]], named.get(grid[1] or ""))
            found.append(Exit(index, place, site, computed[name], inside, scale, zero, part))
    return found


def _add_mask(model: ir.Model, index: int, site: Site, batch: int | None, kind: ir.DataType) -> ir.Value:
    shape: list[int | str] = list(mask_shape(site, 1))
    shape[0] = BATCH if batch is None else batch
    value = ir.Value(name=mask_name(index), type=ir.TensorType(kind), shape=ir.Shape(shape))
    model.graph.inputs.append(value)
    return value


def _place(each: Exit, clamp: Clamp) -> Exit:
    """The last value, from an exit on, at which its mask has the same effect."""
    while is_simple(each.layout):
        users = _outside(each)
        if len(users) != 1 or users[0].op_type not in EXACT_BEHIND[clamp] or _shows_more(users[0]):
            return each
        if each.scale is not None and users[0].op_type not in OF_INTEGERS:
            return each
        each = replace(each, value=users[0].outputs[0])
    return each


def _outside(each: Exit) -> list[ir.Node]:
    """The nodes that see an exit from outside its site's region, each once."""
    nodes = dict.fromkeys(node for node, _ in each.value.uses() if node.op_type not in wiring.MEASURING)
    return [node for node in nodes if node.outputs[0] not in each.inside]


def _shows_more(node: ir.Node) -> bool:
    """Has a node outputs beside its first that anything sees, such as the places of a pool's maxima?"""
    return any(list(value.uses()) for value in node.outputs[1:])


def _factors(exits: Sequence[Exit]) -> set[int]:
    """The sites that can be zeroed by multiplying: float32 wherever their values leave them."""
    others = {each.index for each in exits if each.scale is not None or each.value.dtype != ir.DataType.FLOAT}
    return {each.index for each in exits} - others


def _mask(model: ir.Model, each: Exit, mask: ir.Value, way: Masking) -> list[ir.Node]:
    """Let all users of a value outside its region see the masked one; the nodes that mask it."""
    value = each.value
    outside = set(_outside(each))
    users = [(node, place) for node, place in value.uses() if node in outside]
    weave = Weave(model, f"{mask.name}_{each.place}")
    masked = way(weave, each, mask)
    masked.name, masked.type, masked.shape = f"lesion_masked_{each.index}_{each.place}", value.type, value.shape
    producer = value.producer()
    assert producer is not None, "an exit is computed by some node"
    weave.put_behind(producer)
    for node, place in users:
        node.replace_input_with(place, masked)
    if producer.graph is not model.graph and isinstance(producer.graph, ir.Graph):
        ends = producer.graph.outputs
        ends[:] = [masked if end is value else end for end in ends]
    return weave.nodes


def show_means(model: ir.Model, sites: Sequence[Site], sizes: bool = False) -> None:
    """Add an output for each exit of each site, in place: float32[batch, mean_sizes], averaged over all other axes.

    sizes: behind each of them another, `size_names`, of the values without their signs. Both are equal, bit for bit,
    where no value is below zero, and opposite where none is above.
    """
    for each in _exits(model, sites):
        _show(model, each, mean_names(each.index, each.site)[each.place], signed=True)
        if sizes:
            _show(model, each, size_names(each.index, each.site)[each.place], signed=False)


def _show(model: ir.Model, each: Exit, name: str, signed: bool) -> None:
    weave = Weave(model, name)
    value = each.value
    if each.scale is not None:
        value = weave.node("DequantizeLinear", value, *ways.grid_of(each))
    elif value.dtype not in (None, ir.DataType.FLOAT):
        value = weave.node("Cast", value, to=int(ir.DataType.FLOAT))
    if not signed:
        value = weave.node("Abs", value)
    view = masking.viewed(weave, value, None, each.layout, each.site.closed)
    mean = masking.averaged(weave, view, each.layout)
    producer = each.value.producer()
    assert producer is not None, "an exit is computed by some node"
    weave.put_behind(producer)
    mean.type = ir.TensorType(ir.DataType.FLOAT)
    width = mean_sizes(each.site)[each.place]
    shown = branches.surfaced(model, mean, width)
    shown.name, shown.shape = name, ir.Shape([BATCH, width])
    model.graph.outputs.append(shown)
