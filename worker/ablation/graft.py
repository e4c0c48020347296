"""Puts masks into a network: one more input for each site, multiplied in where the site's values leave it.

Masks are per example, float32[batch, units, 1, ...], already shaped to broadcast, so that one forward pass computes as
many trials as the batch has rows, each with an ordering and a fraction of its own.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation.sites import Site, region_of

Clamp = Literal["zero", "mean"]
Means = Sequence[NDArray[np.float32]]
AXES_ARE_OPERANDS = 18  # opset from which ReduceMean takes its axes as an operand
BATCH = "lesion_batch"  # the masks' first axis, which is the inputs' too


def mask_name(index: int) -> str:
    """The name of the mask input of the site at this place."""
    return f"lesion_mask_{index}"


def mean_name(index: int) -> str:
    """The name of the output that gives the mean activations of the site at this place."""
    return f"lesion_mean_{index}"


def mask_shape(site: Site, batch: int) -> tuple[int, ...]:
    """The shape in which a site's mask broadcasts against its values."""
    shape = [1] * site.rank
    shape[0], shape[site.axis] = batch, site.units
    return tuple(shape)


def graft(model: ir.Model, sites: Sequence[Site], clamp: Clamp, means: Means | None, batch: int | None) -> None:
    """Mask these sites of a model, in place; `batch` is its fixed batch size, or None.

    An ablated unit becomes zero, or its mean (float32[units] a site). A kept unit passes unchanged, bit for bit.
    Operators inside a site's region keep the unmasked value; all others get the masked one.
    """
    for index, site in enumerate(sites):
        mean = None if clamp == "zero" or means is None else means[index]
        mask = _add_input(model, mask_name(index), site, batch)
        inside = {value.producer() for value in region_of(_value(model, site.start))}
        for name in site.exits:
            _mask(model, _value(model, name), mask, inside, site, mean)


def show_means(model: ir.Model, sites: Sequence[Site]) -> None:
    """Add an output for each site, in place: its activations averaged over space, float32[batch, units].

    A site with several exits shows the first, where its activations first leave it.
    """
    for index, site in enumerate(sites):
        channel = site.axis % site.rank
        axes = [axis for axis in range(site.rank) if axis not in (0, channel)]
        mean = _mean(model, _value(model, site.exits[0]), axes, mean_name(index))
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


def _add_input(model: ir.Model, name: str, site: Site, batch: int | None) -> ir.Value:
    shape: list[int | str] = list(mask_shape(site, 1))
    shape[0] = BATCH if batch is None else batch
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))
    model.graph.inputs.append(value)
    return value


def _value(model: ir.Model, name: str) -> ir.Value:
    for node in model.graph:
        for value in node.outputs:
            if value.name == name:
                return value
    raise KeyError(name)


def _mask(
    model: ir.Model,
    value: ir.Value,
    mask: ir.Value,
    inside: set[ir.Node | None],
    site: Site,
    mean: NDArray[np.float32] | None,
) -> None:
    """Let all users of a value outside its region see the masked one."""
    users = [(node, place) for node, place in value.uses() if node not in inside]
    is_output = value.is_graph_output()
    nodes = _masking(model, value, mask, site, mean)
    last = value.producer()
    assert last is not None, "an exit is computed by some node"
    model.graph.insert_after(last, nodes)
    masked = nodes[-1].outputs[0]
    masked.type, masked.shape = value.type, value.shape
    for node, place in users:
        node.replace_input_with(place, masked)
    if is_output:  # the output keeps its name
        masked.name, value.name = value.name, f"{value.name}_unmasked"
        place = model.graph.outputs.index(value)
        model.graph.outputs[place] = masked


def _masking(
    model: ir.Model, value: ir.Value, mask: ir.Value, site: Site, mean: NDArray[np.float32] | None
) -> list[ir.Node]:
    if mean is None:
        return [ir.Node("", "Mul", [value, mask])]
    shape = mask_shape(site, 1)
    clamp = _constant(model, f"{mask.name}_{value.name}_mean", mean.astype(np.float32).reshape(shape))
    kept = ir.Node("", "Cast", [mask], [ir.AttrInt64("to", int(ir.DataType.BOOL))])
    return [kept, ir.Node("", "Where", [kept.outputs[0], value, clamp])]


def _constant(model: ir.Model, name: str, array: NDArray[np.generic]) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
    model.graph.register_initializer(value)
    return value
