"""Shapes of a model's values, as ONNX infers them, and bounds on what they add up to. Large weights are left out."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, checker, helper, shape_inference

from worker.formats import graphs, stand_ins, weights
from worker.formats.refusals import Refused

SMALL = 4096  # bytes of a constant that may be a shape, which ONNX must see
PASS_BYTES_LIMIT = 2 * 1024**3  # of activations that one pass may need, of a single example if the batch is open
ROW_LIMIT = 2**21  # numbers in a value of one axis, each of which ONNX may write out, in some 150 bytes
Values = Mapping[str, ValueInfoProto]
Constants = Mapping[str, TensorProto]
LIKE_FLOAT = 4  # bytes of a number whose type is not known


def check(model: ModelProto) -> None:
    """Raise `Refused` unless ONNX's checker finds a model well-formed."""
    try:
        checker.check_model(_without_weights(model))
    except MemoryError:
        raise
    except Exception as error:  # the checker raises what it likes, ValidationError and RuntimeError among others
        raise _refused_by(error) from error


def infer(model: ModelProto, *, strict: bool = False) -> None:
    """Put the shapes of its values into a model, in inner graphs too, as far as they can be told.

    strict: raise `Refused` where they contradict each other.
    """
    light = _without_weights(model)
    _forget(light)
    away = stand_ins.put(light.graph)
    found = _inferred(light, strict=strict).graph
    _infer_bodies(model, found, {}, {})
    stand_ins.take(found, away)
    # In place: the weights of large models must not be there twice.
    _replace(model.graph.node, found.node)
    _replace(model.graph.value_info, found.value_info)
    _replace(model.graph.output, found.output)


def check_rows(model: ModelProto) -> None:
    """Raise `Refused` for a row of numbers, a value of one axis, that is longer than any list of sizes or indices.

    Before `infer`: following such rows, ONNX writes out each of their numbers, terabytes of them if a file says so.
    """
    light = _without_weights(model)
    _forget(light)
    found = _inferred(light, strict=False, follow=False)
    _infer_bodies(model, found.graph, {}, {}, follow=False)
    for value in _values(found):
        axes = sizes(value)
        if len(axes) == 1 and isinstance(axes[0], int) and axes[0] > ROW_LIMIT:
            raise Refused(
                "model-too-large",
                f"{value.name[:100]!r} is a row of {axes[0]:,} numbers; {ROW_LIMIT:,} are the limit. Export it for "
                "smaller inputs.",
            )


def _replace(part: Any, told: Any) -> None:
    del part[:]
    part.extend(told)


def _inferred(model: ModelProto, *, strict: bool, follow: bool = True) -> ModelProto:
    try:
        return shape_inference.infer_shapes(model, data_prop=follow)
    except MemoryError:
        raise
    except Exception as error:
        if strict:
            raise _refused_by(error) from error
        return model


def _infer_bodies(
    model: ModelProto, graph: GraphProto, values: Values, constants: Constants, *, follow: bool = True
) -> None:
    """Fill in the shapes within inner graphs, which ONNX infers and does not tell, by making a model of each."""
    values = {**values, **graphs.values(graph)}
    constants = {**constants, **{tensor.name: tensor for tensor in graph.initializer}}
    for body in [body for node in graph.node for body in graphs.inner(node)]:
        alone = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        alone.graph.CopyFrom(body)
        for name in graphs.from_outside(body):
            if name in constants:
                alone.graph.initializer.append(constants[name])
            elif name in values:
                alone.graph.input.append(values[name])
        found = _inferred(alone, strict=False, follow=follow)
        _replace(body.value_info, found.graph.value_info)
        _replace(body.output, found.graph.output)
        _infer_bodies(model, body, values, constants, follow=follow)


def _without_weights(model: ModelProto) -> ModelProto:
    """A copy whose large constants are inputs, which weigh nothing."""
    light = ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    graph = light.graph
    graph.name = model.graph.name or "network"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    listed = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if not _is_large(tensor):
            graph.initializer.append(tensor)
        elif tensor.name not in listed:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return light


def _is_large(tensor: TensorProto) -> bool:
    """Only raw ones are left out, which `weights.check` has held against their shape already."""
    return tensor.HasField("raw_data") and tensor.data_type in weights.WIDTHS and tensor.ByteSize() > SMALL


def _forget(model: ModelProto) -> None:
    """Forget what the file says of the shapes between, but for operators of which nothing else is known."""
    for graph in graphs.graphs(model.graph):
        odd = {name for node in graph.node if node.domain not in graphs.DEFAULT_DOMAINS for name in node.output}
        spare = [place for place, value in enumerate(graph.value_info) if value.name not in odd]
        for place in reversed(spare):
            del graph.value_info[place]


def check_activations(model: ModelProto) -> None:
    """Bound what one pass needs, by arithmetic on the inferred shapes; an axis without a size counts as one."""
    total = 0
    for value in _values(model):
        width = weights.WIDTHS.get(value.type.tensor_type.elem_type, LIKE_FLOAT)
        total += width * math.prod(size for size in sizes(value) if isinstance(size, int))
        if total > PASS_BYTES_LIMIT:
            raise Refused(
                "model-too-large",
                f"One pass needs more than {PASS_BYTES_LIMIT:,} bytes of activations (at {value.name[:100]!r}). Export "
                "it for smaller inputs, or for a batch of one.",
            )


def _values(model: ModelProto) -> Iterator[ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    for graph in graphs.graphs(model.graph):
        for value in [*graph.input, *graph.value_info, *graph.output]:
            if value.name not in constants:
                yield value


def sizes(value: ValueInfoProto) -> list[Any]:
    """The axes of a value: numbers, names, or `?` where nothing is known."""
    shape = value.type.tensor_type.shape
    return [dim.dim_value if dim.dim_value > 0 else dim.dim_param or "?" for dim in shape.dim]


def _refused_by(error: Exception) -> Refused:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = f"{lines[0][:300].rstrip('.')}." if lines else f"{type(error).__name__}."
    return Refused("model-malformed", f"The ONNX checker refuses it: {reason} {weights.DAMAGED}")
