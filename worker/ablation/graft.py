"""Puts masks into a network: one more input for each site, which decides where the site's values leave it.

Masks are per example, [batch, units, 1, ...], already shaped to broadcast, so that one forward pass computes as many
trials as the batch has rows, each with an ordering and a fraction of its own.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation.sites import Site

Clamp = Literal["zero", "mean"]
Means = Sequence[NDArray[np.float32]]
AXES_ARE_OPERANDS = 18  # opset from which ReduceMean takes its axes as an operand
BATCH = "lesion_batch"  # the masks' first axis, which is the inputs' too
# A pool of a constant is that constant. So a mask may as well wait until a pool has made the tensor smaller: on a CNN
# for MNIST the masks' cost falls from a fourth of the intact pass to a twentieth. An average of n equal means rounds.
EXACT_BEHIND = {
    "zero": frozenset(["AveragePool", "Dropout", "GlobalAveragePool", "GlobalMaxPool", "Identity", "MaxPool"]),
    "mean": frozenset(["Dropout", "GlobalMaxPool", "Identity", "MaxPool"]),
}


def mask_name(index: int) -> str:
    """The name of the mask input of the site at this place."""
    return f"lesion_mask_{index}"


def mean_names(index: int, site: Site) -> list[str]:
    """The names of the outputs that give the mean activations of the site at this place, one for each exit."""
    return [f"lesion_mean_{index}_{place}" for place in range(len(site.exits))]


def mask_shape(site: Site, batch: int) -> tuple[int, ...]:
    """The shape in which a site's mask broadcasts against its values."""
    shape = [1] * site.rank
    shape[0], shape[site.axis] = batch, site.units
    return tuple(shape)


class Graft(ir.passes.InPlacePass):
    """Mask these sites of a model; `batch` is its fixed batch size, or None.

    An ablated unit becomes zero, or its mean (float32[exits * units] a site: each exit has its own). A kept unit passes
    unchanged, bit for bit.
    Operators inside a site's region keep the unmasked value; all others get the masked one.
    """

    def __init__(self, sites: Sequence[Site], clamp: Clamp, means: Means | None, batch: int | None) -> None:
        super().__init__()
        self._sites, self._clamp, self._batch = sites, clamp, batch
        self._means = means if clamp == "mean" else None

    def requires(self, model: ir.Model) -> None:
        """All exits are computed in the model, and nothing is masked yet; each site has its means, if they are used."""
        missing = {name for site in self._sites for name in site.exits} - _computed(model).keys()
        if missing or any(value.name == mask_name(0) for value in model.graph.inputs):
            raise ir.passes.PreconditionError(f"no such values: {sorted(missing)}" if missing else "already masked")
        sizes = [len(site.exits) * site.units for site in self._sites]
        if self._clamp == "mean" and [mean.size for mean in self._means or []] != sizes:
            raise ir.passes.PreconditionError("the clamp `mean` takes one mean for each unit at each exit")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add an input for each site, and mask its exits."""
        computed = _computed(model)
        for index, site in enumerate(self._sites):
            mask = _add_mask(model, mask_name(index), site, self._batch)
            for place, name in enumerate(site.exits):
                mean = np.zeros(()) if self._means is None else _mean_of(site, place, self._means[index])
                constant = _constant(model, f"{mask.name}_clamp_{place}", mean.astype(np.float32))
                _mask(model, _place(computed[name], site, self._clamp), mask, constant, site)
        return ir.passes.PassResult(model, modified=bool(self._sites))

    def ensures(self, model: ir.Model) -> None:
        """Every mask is used, and no value that is masked is seen unmasked outside its region."""
        masks = {value.name: value for value in model.graph.inputs}
        computed = _computed(model)
        for index, site in enumerate(self._sites):
            masking = {node for node, _ in masks[mask_name(index)].uses()}
            for name in site.exits:
                users = _outside(_place(computed[name], site, self._clamp), site)
                if not users or not masking.issuperset(users):
                    raise ir.passes.PostconditionError(f"{name} is seen unmasked")


def show_means(model: ir.Model, sites: Sequence[Site]) -> None:
    """Add an output for each exit of each site, in place: its values averaged over space, float32[batch, units]."""
    computed = _computed(model)
    for index, site in enumerate(sites):
        channel = site.axis % site.rank
        axes = [axis for axis in range(site.rank) if axis not in (0, channel)]
        for exit_name, name in zip(site.exits, mean_names(index, site), strict=True):
            mean = _mean(model, computed[exit_name], axes, name)
            mean.type, mean.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([BATCH, site.units])
            model.graph.outputs.append(mean)


def _mean(model: ir.Model, value: ir.Value, axes: list[int], name: str) -> ir.Value:
    """The mean over some axes; without any, a copy, since one value cannot be an output twice."""
    if not axes:
        node = ir.Node("", "Identity", [value])
    elif (model.opset_imports.get("") or 0) >= AXES_ARE_OPERANDS:
        node = ir.Node("", "ReduceMean", [value, _constant(model, f"{name}_axes", np.array(axes, np.int64))])
    else:
        node = ir.Node("", "ReduceMean", [value], [ir.AttrInt64s("axes", axes)])
    if axes:
        node.attributes["keepdims"] = ir.AttrInt64("keepdims", 0)
    model.graph.append(node)
    node.outputs[0].name = name
    return node.outputs[0]


def _computed(model: ir.Model) -> dict[str, ir.Value]:
    """What the model's nodes compute, by name."""
    return {value.name or "": value for node in model.graph for value in node.outputs}


def _add_mask(model: ir.Model, name: str, site: Site, batch: int | None) -> ir.Value:
    shape: list[int | str] = list(mask_shape(site, 1))
    shape[0] = BATCH if batch is None else batch
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape(shape))
    model.graph.inputs.append(value)
    return value


def _mean_of(site: Site, place: int, means: NDArray[np.float32]) -> NDArray[np.generic]:
    """The means of one exit, in the shape in which they broadcast against its values."""
    return np.asarray(means.reshape(len(site.exits), *mask_shape(site, 1))[place])


def _place(value: ir.Value, site: Site, clamp: Clamp) -> ir.Value:
    """The last value, from an exit on, at which its mask has the same effect."""
    while True:
        users = _outside(value, site)
        if len(users) != 1 or users[0].op_type not in EXACT_BEHIND[clamp] or _shows_more(users[0]):
            return value
        value = users[0].outputs[0]


def _outside(value: ir.Value, site: Site) -> list[ir.Node]:
    """The users of a value outside its site's region, each once."""
    return list(dict.fromkeys(node for node, _ in value.uses() if node.outputs[0].name not in site.region))


def _shows_more(node: ir.Node) -> bool:
    """Has a node outputs beside its first that anything sees, such as the places of a pool's maxima?"""
    return any(list(value.uses()) for value in node.outputs[1:])


def _mask(model: ir.Model, value: ir.Value, mask: ir.Value, clamp: ir.Value, site: Site) -> None:
    """Let all users of a value outside its region see the masked one."""
    outside = set(_outside(value, site))
    users = [(node, place) for node, place in value.uses() if node in outside]
    nodes = _masking(value, mask, clamp)
    last = value.producer()
    assert last is not None, "an exit is computed by some node"
    model.graph.insert_after(last, nodes)
    masked = nodes[-1].outputs[0]
    masked.name, masked.type, masked.shape = f"lesion_masked_{value.name}", value.type, value.shape
    for node, place in users:
        node.replace_input_with(place, masked)


def _masking(value: ir.Value, mask: ir.Value, clamp: ir.Value) -> list[ir.Node]:
    """One node that masks a value; before it, one that casts the clamp if the value is of another type than float32.

    Not a multiplication, which makes NaN of an infinite activation times zero. Where is exact for every value.
    """
    casts: list[ir.Node] = []
    if value.dtype not in (None, ir.DataType.FLOAT):
        casts = [ir.Node("", "Cast", [clamp], [ir.AttrInt64("to", int(value.dtype or 0))])]
        clamp = casts[0].outputs[0]
    return [*casts, ir.Node("", "Where", [mask, value, clamp])]


def _constant(model: ir.Model, name: str, array: NDArray[np.generic]) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
    model.graph.register_initializer(value)
    return value
