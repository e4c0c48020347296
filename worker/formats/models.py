"""Models: ONNX files, parsed and checked without running them. What comes out is self-contained and of bounded size."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, defs, inliner, shape_inference

from worker.formats.operators import ALLOWED
from worker.formats.refusals import Refused

LEAST_OPSET = 7
PASS_BYTES_LIMIT = 2 * 1024**3  # of activations that one pass may need, of a single example if the batch is open
NODES_LIMIT = 50_000  # after its functions are inlined; the largest real classifiers have a few thousand
RANK_LIMIT = 16  # axes of a tensor
DENSEST = 4  # numbers in a byte: the smallest types of ONNX have two bits
EXPORT = (
    "Export it from PyTorch with torch.onnx.export(model.eval(), (example,), 'model.onnx', dynamo=True, "
    "external_data=False)."
)
# What else people upload, by its first bytes.
OTHERS = {
    b"\x80\x02": f"This is a pickle, which is a program and is never loaded. {EXPORT}",
    b"\x80\x03": f"This is a pickle, which is a program and is never loaded. {EXPORT}",
    b"\x80\x04": f"This is a pickle, which is a program and is never loaded. {EXPORT}",
    b"\x80\x05": f"This is a pickle, which is a program and is never loaded. {EXPORT}",
    b"PK\x03\x04": f"This is a zip file, such as torch.save writes; an ONNX file is expected. {EXPORT}",
    b"\x89HDF": "This is an HDF5 file, such as Keras writes; convert it with tf2onnx to an ONNX file.",
    b"\x1f\x8b": "This is a gzip file; unpack it and upload the ONNX file itself.",
}


@dataclass(frozen=True)
class Read:
    """A model that may be worked with: its bytes, serialized by us, with shapes inferred; and what was found."""

    data: bytes
    output: str
    found: dict[str, Any]


def read_onnx(data: bytes) -> Read:
    """Check a model's bytes. Raises `Refused` with what is wrong and what to do."""
    model = _parse(data)
    _check_operators(model)
    _check_size(model)
    model = _inlined(model)
    try:
        checker.check_model(model)
        model = shape_inference.infer_shapes(model, data_prop=True)
    except MemoryError:
        raise
    except Exception as error:  # the checker raises what it likes, ValidationError and RuntimeError among others
        raise _malformed(f"The ONNX checker refuses it: {_first_line(error)}") from error
    _check_activations(model.graph)
    data_input, output = _input(model.graph), _output(model.graph)
    classes = _sizes(output)[1]
    found = {
        "format": "onnx",
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "opset": _opset(model),
        "parameters": sum(math.prod(t.dims) for t in model.graph.initializer if t.data_type in (1, 10, 11, 16)),
        "inputs": [{"name": data_input.name, "dtype": "float32", "shape": ["batch", *_sizes(data_input)[1:]]}],
        "output": {"name": output.name, "classes": classes},
    }
    return Read(model.SerializeToString(), output.name, found)


def _malformed(detail: str) -> Refused:
    return Refused("model-malformed", f"{detail} The file may be truncated or damaged: export or upload it again.")


def _unsupported(detail: str) -> Refused:
    return Refused("model-unsupported", detail)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{lines[0][:300].rstrip('.')}." if lines else f"{type(error).__name__}."


def _parse(data: bytes) -> ModelProto:
    for start, advice in OTHERS.items():
        if data.startswith(start):
            raise Refused("unsupported-format", advice)
    if not data:
        raise Refused("unsupported-format", f"The file is empty. {EXPORT}")
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise _malformed("This is no ONNX model, or not all of one.") from error
    if not model.graph.node or not model.ir_version:
        raise _malformed(f"There is no network in this file. {EXPORT}")
    if not _opset(model):
        raise _malformed("The file does not say of which opset it is.")
    if not LEAST_OPSET <= _opset(model) <= defs.onnx_opset_version():
        known = f"{LEAST_OPSET} to {defs.onnx_opset_version()}"
        raise _unsupported(f"The model is of opset {_opset(model)}; {known} are read. {EXPORT}")
    return model


def _opset(model: ModelProto) -> int:
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)


def _nodes(model: ModelProto) -> Iterator[NodeProto]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else []) + list(attribute.tensors)


def _check_size(model: ModelProto) -> None:
    """Every constant must bring the bytes it declares: a few bytes must not ask for gigabytes."""
    for tensor in _tensors(model):
        name = tensor.name[:100]
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
            raise Refused(
                "external-data-forbidden",
                f"The weights {name!r} lie in another file. Save the model in one file: "
                "onnx.save(onnx.load('model.onnx'), 'whole.onnx').",
            )
        if tensor.data_type not in TYPES:
            raise _malformed(f"The weights {name!r} are of type {tensor.data_type}, which does not exist.")
        if any(size < 0 for size in tensor.dims) or len(tensor.dims) > RANK_LIMIT:
            raise _malformed(f"The weights {name!r} have the shape {list(tensor.dims)[:RANK_LIMIT]}.")
        size = math.prod(tensor.dims)
        if tensor.HasField("raw_data") and tensor.data_type in WIDTHS:
            wanted = size * WIDTHS[tensor.data_type]
            if wanted != len(tensor.raw_data):
                raise _malformed(f"The weights {name!r} need {wanted:,} bytes and bring {len(tensor.raw_data):,}.")
        elif size > DENSEST * tensor.ByteSize():
            raise _malformed(f"The weights {name!r} need {size:,} numbers, and bring {tensor.ByteSize():,} bytes.")


TYPES = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
# Bytes of one element; types that pack several into a byte are left to the checker.
WIDTHS: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.UINT8: 1,
    TensorProto.INT8: 1,
    TensorProto.UINT16: 2,
    TensorProto.INT16: 2,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
    TensorProto.BOOL: 1,
    TensorProto.FLOAT16: 2,
    TensorProto.DOUBLE: 8,
    TensorProto.UINT32: 4,
    TensorProto.UINT64: 8,
    TensorProto.BFLOAT16: 2,
}


def _check_operators(model: ModelProto) -> None:
    if model.graph.sparse_initializer:
        raise _unsupported(f"The model has sparse weights. Store them as dense ones. {EXPORT}")
    sizes = _function_sizes(model)
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if total > NODES_LIMIT:
        raise Refused("model-too-large", f"The model has {total:,} nodes; {NODES_LIMIT:,} are the limit.")
    off = _constantly_false(model.graph)
    for node in _nodes(model):
        name = (node.name or (node.output[0] if node.output else ""))[:100]
        if (node.domain, node.op_type) not in sizes and not _is_allowed(node):
            kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            raise Refused(
                "operator-not-allowed",
                f"Node {name!r} is a {kind[:100]}, which is not among the operators that are run. "
                "Export the network alone, without pre- and post-processing and control flow.",
            )
        if _trains(node, off):
            raise _unsupported(f"Node {name!r} is in training mode, so that no answer is the same twice. {EXPORT}")


def _is_allowed(node: NodeProto) -> bool:
    """Is an operator on the list, and without the inner graphs and sparse constants that none of those has?"""
    odd = any(each.HasField("g") or each.graphs or each.HasField("sparse_tensor") for each in node.attribute)
    return node.domain in ("", "ai.onnx") and node.op_type in ALLOWED and not odd


def _trains(node: NodeProto, off: set[str]) -> bool:
    """Does a node draw random numbers, or mix the examples of a batch? Exports of model.eval() do neither."""
    if node.op_type == "Dropout":
        return len(node.input) > 2 and node.input[2] not in off
    return any(each.name == "training_mode" and each.i for each in node.attribute)


def _constantly_false(graph: GraphProto) -> set[str]:
    """The names of all constants that are one `False`, and of the operand that is left out."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {node.output[0]: node.attribute[0].t for node in graph.node if _is_plain_constant(node)}
    false = (b"\0", [0])
    return {""} | {name for name, t in constants.items() if t.raw_data in false or list(t.int32_data) in false}


def _is_plain_constant(node: NodeProto) -> bool:
    return node.op_type == "Constant" and len(node.output) == 1 and [each.name for each in node.attribute] == ["value"]


def _function_sizes(model: ModelProto) -> dict[tuple[str, str], int]:
    """How many nodes each local function is when it is inlined with all that it calls."""
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    waiting = set(bodies)
    while waiting:
        known = [name for name in waiting if not any((n.domain, n.op_type) in waiting for n in bodies[name])]
        if not known:
            raise _malformed("Its local functions call each other in a circle.")
        for name in known:
            sizes[name] = sum(sizes.get((node.domain, node.op_type), 1) for node in bodies[name])
        waiting.difference_update(known)
    return sizes


def _inlined(model: ModelProto) -> ModelProto:
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise _malformed(f"Its local functions cannot be inlined: {_first_line(error)}") from error


def _check_activations(graph: GraphProto) -> None:
    """Bound what one pass needs, by arithmetic on the inferred shapes; an axis without a size counts as one."""
    total = 0
    for value in [*graph.input, *graph.value_info, *graph.output]:
        total += 4 * math.prod(size for size in _sizes(value) if isinstance(size, int))
        if total > PASS_BYTES_LIMIT:
            raise Refused(
                "model-too-large",
                f"One pass needs more than {PASS_BYTES_LIMIT:,} bytes of activations (at {value.name[:100]!r}). Export "
                "it for smaller inputs, or for a batch of one.",
            )


def _sizes(value: ValueInfoProto) -> list[Any]:
    """The axes of a value: numbers, names, or `?` where nothing is known."""
    shape = value.type.tensor_type.shape
    return [dim.dim_value if dim.dim_value > 0 else dim.dim_param or "?" for dim in shape.dim]


def _input(graph: GraphProto) -> ValueInfoProto:
    constants = {tensor.name for tensor in graph.initializer}
    inputs: list[ValueInfoProto] = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise _unsupported(f"The model takes {len(inputs)} inputs ({_names(inputs)}); one is handled. {EXPORT}")
    [data] = inputs
    kind = data.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        raise _unsupported(f"The model's input {data.name!r} is {_dtype(kind)}; float32 is handled.")
    if len(_sizes(data)) < 2:
        raise _unsupported(f"The model's input {data.name!r} has no axis for examples. {EXPORT}")
    return data


def _output(graph: GraphProto) -> ValueInfoProto:
    """The one output that gives a number for each class."""
    found: list[ValueInfoProto] = [value for value in graph.output if _is_class_output(value)]
    if len(found) != 1:
        shown = ", ".join(
            f"{value.name}: {_dtype(value.type.tensor_type.elem_type)}{_sizes(value)}" for value in graph.output
        )
        raise _unsupported(
            f"A classifier gives float32[batch, classes] in one output; this model gives {shown or 'nothing'}. "
            "Export it so that it returns the logits or probabilities alone."
        )
    return found[0]


def _is_class_output(value: ValueInfoProto) -> bool:
    sizes = _sizes(value)
    is_float = value.type.tensor_type.elem_type == TensorProto.FLOAT
    return is_float and len(sizes) == 2 and isinstance(sizes[1], int) and sizes[1] >= 2


def _dtype(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower() if kind in TensorProto.DataType.values() else "unknown"


def _names(values: Sequence[ValueInfoProto]) -> str:
    return ", ".join(value.name for value in values[:10]) or "none"
