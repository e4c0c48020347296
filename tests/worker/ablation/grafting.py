"""Masks put into a model and run, and what they are held against: units cut out of the weights that read them."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper, shape_inference

from worker.ablation import graft, sites
from worker.ablation.graft import Clamp, Graft, Means
from worker.ablation.sites import Site

Arrays = dict[str, NDArray[Any]]


def parsed(model: bytes) -> ir.Model:
    """The model with shapes inferred."""
    return ir.serde.deserialize_model(shape_inference.infer_shapes(onnx.load_model_from_string(model), data_prop=True))


def found(model: bytes, output: str = "y") -> list[Site]:
    """The sites of a model."""
    return sites.find(parsed(model), output)


def run(model: ir.Model | bytes, feed: Arrays) -> list[NDArray[Any]]:
    """All outputs of a model."""
    data = model if isinstance(model, bytes) else ir.serde.serialize_model(model).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return [np.asarray(each) for each in session.run(None, feed)]


def drawn(seed: int, where: list[Site], examples: int) -> list[NDArray[np.bool_]]:
    """A mask for each site; the first example keeps every unit, the last one loses all."""
    generator = np.random.default_rng(seed)
    masks = [generator.random((examples, site.units)) < 0.6 for site in where]
    for mask in masks:
        mask[0], mask[-1] = True, False
    return masks


def masked(
    model: bytes,
    feed: Arrays,
    masks: list[NDArray[np.bool_]],
    clamp: Clamp = "zero",
    means: Means | None = None,
    output: str = "y",
) -> NDArray[Any]:
    """The class output with masks at all sites."""
    ours = parsed(model)
    where = sites.find(ours, output)
    [target] = [value for value in ours.graph.outputs if value.name == output]
    ours.graph.outputs[:] = [target]
    Graft(where, clamp, means, None)(ours)
    shaped = {
        graft.mask_name(index): mask.reshape(graft.mask_shape(site, len(mask)))
        for index, (site, mask) in enumerate(zip(where, masks, strict=True))
    }
    return run(ours, {**feed, **shaped})[0]


def means(model: bytes, feed: Arrays, output: str = "y") -> list[list[NDArray[np.float32]]]:
    """What `show_means` shows: for each site, float32[batch, size] at each exit."""
    ours = parsed(model)
    where = sites.find(ours, output)
    graft.show_means(ours, where)
    names = [graft.mean_names(index, site) for index, site in enumerate(where)]
    ours.graph.outputs[:] = [
        value for value in ours.graph.outputs if value.name in {name for each in names for name in each}
    ]
    shown = dict(zip([value.name for value in ours.graph.outputs], run(ours, feed), strict=True))
    return [[shown[name] for name in each] for each in names]


def cut(model: bytes, feed: Arrays, cuts: list[tuple[str, int]], masks: list[NDArray[np.bool_]]) -> NDArray[Any]:
    """The first output, one example at a time, with the weights that read an ablated unit set to zero.

    cuts: for each mask the weights behind the site, and their axis that counts its units.
    """
    rows = []
    for example in range(len(masks[0])):
        proto = onnx.load_model_from_string(model)
        for (name, axis), mask in zip(cuts, masks, strict=True):
            _scale(proto, name, axis, mask[example])
        one = {key: array[example : example + 1] for key, array in feed.items()}
        rows.append(run(proto.SerializeToString(), one)[0])
    return np.concatenate(rows)


def _scale(proto: ModelProto, name: str, axis: int, mask: NDArray[np.bool_]) -> None:
    [tensor] = [each for each in proto.graph.initializer if each.name == name]
    array = np.moveaxis(numpy_helper.to_array(tensor).copy(), axis, -1)
    array = array * np.repeat(mask, array.shape[-1] // len(mask)).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(np.moveaxis(array, -1, axis)), name))
