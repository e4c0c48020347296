"""The arithmetic that exporters write for shapes, on numpy arrays of a few numbers each."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation.wiring import integer, integers

LARGEST = 64  # numbers in a result
Numbers = NDArray[Any]
Shapes = Mapping[ir.Value, tuple[int, ...]]


def constant(node: ir.Node) -> ir.TensorProtocol | None:
    """What a Constant node gives, whichever of its attributes holds it; None if that is no tensor of numbers."""
    for attribute in node.attributes.values():
        match attribute.type:
            case ir.AttributeType.TENSOR:
                tensor: ir.TensorProtocol = attribute.value
                return tensor
            case ir.AttributeType.INT | ir.AttributeType.INTS:
                return ir.tensor(np.asarray(attribute.value, np.int64))
            case ir.AttributeType.FLOAT | ir.AttributeType.FLOATS:
                return ir.tensor(np.asarray(attribute.value, np.float32))
    return None


def results(node: ir.Node, numbers: Mapping[ir.Value, Numbers], shapes: Shapes) -> dict[ir.Value, Numbers]:
    """What a node gives, if it can be told from the numbers known so far and from shapes."""
    measured = _measured(node, shapes)
    if measured is not None:
        return {node.outputs[0]: measured}
    work = WORK.get(node.op_type)
    operands = [None if value is None else numbers.get(value) for value in node.inputs]
    missing = any(v is not None and a is None for v, a in zip(node.inputs, operands, strict=True))
    if work is None or missing or not operands:
        return {}
    try:
        with np.errstate(all="ignore"):
            return {node.outputs[0]: np.asarray(work(node, *operands))}
    except (ValueError, IndexError, TypeError, OverflowError, MemoryError):
        return {}


def _measured(node: ir.Node, shapes: Shapes) -> Numbers | None:
    source = node.inputs[0] if node.op_type in ("Shape", "Size") else None
    shape = None if source is None else shapes.get(source)
    if shape is None:
        return None
    if node.op_type == "Size":
        return np.asarray(np.prod(shape, dtype=np.int64))
    stop = node.attributes.get("end")
    return np.asarray(shape[integer(node, "start", 0) : None if stop is None else stop.as_int()], np.int64)


def _axes(node: ir.Node, operand: Numbers | None) -> tuple[int, ...] | None:
    listed = integers(node, "axes") if operand is None else [int(axis) for axis in operand.ravel()]
    return None if listed is None else tuple(listed)


def _slice(node: ir.Node, data: Numbers, *bounds: Numbers | None) -> Numbers:
    given = [None if each is None else [int(i) for i in each.ravel()] for each in bounds] or [
        integers(node, name) for name in ("starts", "ends", "axes")
    ]
    starts, ends, axes, steps = (*given, None, None, None, None)[:4]
    places = [slice(None)] * data.ndim
    for index, (start, end) in enumerate(zip(starts or [], ends or [], strict=True)):
        places[axes[index] if axes else index] = slice(start, end, steps[index] if steps else 1)
    return np.asarray(data[tuple(places)])


def _unsqueeze(node: ir.Node, data: Numbers, axes: Numbers | None = None) -> Numbers:
    return np.expand_dims(data, _axes(node, axes) or ())


def _squeeze(node: ir.Node, data: Numbers, axes: Numbers | None = None) -> Numbers:
    return np.squeeze(data, _axes(node, axes))


def _cast(node: ir.Node, data: Numbers) -> Numbers:
    return data.astype(ir.DataType(integer(node, "to", 1)).numpy())


def _divide(_: ir.Node, one: Numbers, other: Numbers) -> Numbers:
    return one // other if np.issubdtype(one.dtype, np.integer) else one / other


def _filled(node: ir.Node, shape: Numbers) -> Numbers:
    if np.prod(shape, dtype=np.float64) > LARGEST:
        raise ValueError("not small")
    attribute = node.attributes.get("value")
    value = np.zeros(1, np.float32) if attribute is None else attribute.value.numpy()
    return np.full([int(size) for size in shape], value.ravel()[0])


def _expand(_: ir.Node, data: Numbers, shape: Numbers) -> Numbers:
    if np.prod(shape, dtype=np.float64) > LARGEST:
        raise ValueError("not small")
    return np.broadcast_to(data, np.broadcast_shapes(data.shape, tuple(int(size) for size in shape)))


def _range(_: ir.Node, start: Numbers, stop: Numbers, step: Numbers) -> Numbers:
    if abs(float(stop - start) / float(step)) > LARGEST:
        raise ValueError("not small")
    return np.asarray(np.arange(start.item(), stop.item(), step.item(), dtype=start.dtype))


def _reduced(reduce: Callable[..., Any]) -> Callable[..., Numbers]:
    def work(node: ir.Node, data: Numbers, axes: Numbers | None = None) -> Numbers:
        return np.asarray(reduce(data, axis=_axes(node, axes), keepdims=bool(integer(node, "keepdims", 1))))

    return work


WORK: dict[str, Callable[..., Any]] = {
    "Abs": lambda _, a: np.abs(a),
    "Add": lambda _, a, b: a + b,
    "And": lambda _, a, b: a & b,
    "Cast": _cast,
    "Ceil": lambda _, a: np.ceil(a),
    "Concat": lambda node, *parts: np.concatenate(parts, axis=integer(node, "axis", 0)),
    "ConstantOfShape": _filled,
    "Div": _divide,
    "Equal": lambda _, a, b: a == b,
    "Expand": _expand,
    "Floor": lambda _, a: np.floor(a),
    "Gather": lambda node, data, index: np.take(data, index, axis=integer(node, "axis", 0)),
    "Greater": lambda _, a, b: a > b,
    "Identity": lambda _, a: a,
    "Less": lambda _, a, b: a < b,
    "Max": lambda _, *each: np.maximum.reduce(np.broadcast_arrays(*each)),
    "Min": lambda _, *each: np.minimum.reduce(np.broadcast_arrays(*each)),
    "Mod": lambda _, a, b: np.mod(a, b),
    "Mul": lambda _, a, b: a * b,
    "Neg": lambda _, a: -a,
    "Not": lambda _, a: ~a,
    "Or": lambda _, a, b: a | b,
    "Pow": lambda _, a, b: a**b,
    "Range": _range,
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": lambda _, data, shape: data.reshape([int(size) for size in shape]),
    "Slice": _slice,
    "Sqrt": lambda _, a: np.sqrt(a),
    "Squeeze": _squeeze,
    "Sub": lambda _, a, b: a - b,
    "Transpose": lambda node, data: np.transpose(data, integers(node, "perm")),
    "Unsqueeze": _unsqueeze,
    "Where": lambda _, c, a, b: np.where(c, a, b),
}
