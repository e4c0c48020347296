"""The constants of a model: each must bring the bytes it declares, so that a few bytes can't ask for gigabytes."""

import math

from onnx import ModelProto, TensorProto

from worker.formats import graphs
from worker.formats.refusals import Refused

RANK_LIMIT = 16  # axes of a tensor
DENSEST = 4  # numbers in a byte: the smallest types of ONNX have two bits
TYPES = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
DAMAGED = "The file may be truncated or damaged: export or upload it again."
TOGETHER = (
    "Upload the .onnx file and its data files together, as several parts (-F file=@model.onnx -F file=@model.onnx.data)"
    " or as one zip, or save the model in one file: onnx.save(onnx.load('model.onnx'), 'whole.onnx')."
)
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
# The numbers of a network, floating or quantised, are parameters; shapes and indices are not.
TRAINED = frozenset(
    code
    for name, code in TensorProto.DataType.items()
    if name in ("DOUBLE", "INT2", "INT4", "INT8", "UINT2", "UINT4", "UINT8") or "FLOAT" in name
)


def check(model: ModelProto) -> None:
    """Raise `Refused` for a constant in another file, or one that does not bring the bytes that it declares."""
    if any(graph.sparse_initializer for graph in graphs.all_graphs(model)):
        raise Refused("model-unsupported", "The model has sparse weights. Store them as dense ones and export it anew.")
    for node in graphs.nodes(model.graph):
        if node.op_type == "Constant" and node.domain in graphs.DEFAULT_DOMAINS and len(node.attribute) != 1:
            name = repr((node.name or "".join(node.output[:1]))[:100])
            raise _malformed(f"The constant {name} has {len(node.attribute)} values instead of one.")
    for tensor in graphs.tensors(model):
        if is_elsewhere(tensor):
            place = next((each.value[:100] for each in tensor.external_data if each.key == "location"), "")
            where = f"the file {place!r}" if place else "another file"
            raise Refused("external-data-forbidden", f"The weights {_name(tensor)} lie in {where}. {TOGETHER}")
        _check(tensor)


def is_elsewhere(tensor: TensorProto) -> bool:
    """Are its numbers in another file?"""
    return bool(tensor.external_data) or tensor.data_location == TensorProto.EXTERNAL


def count(model: ModelProto) -> int:
    """The parameters of a model: the numbers in its weights; single numbers without an axis are none."""
    return sum(math.prod(each.dims) for each in graphs.tensors(model) if each.data_type in TRAINED and each.dims)


def _name(tensor: TensorProto) -> str:
    return repr(tensor.name[:100])


def _check(tensor: TensorProto) -> None:
    if tensor.data_type not in TYPES:
        raise _malformed(f"The weights {_name(tensor)} are of type {tensor.data_type}, which does not exist.")
    if any(size < 0 for size in tensor.dims) or len(tensor.dims) > RANK_LIMIT:
        raise _malformed(f"The weights {_name(tensor)} have the shape {list(tensor.dims)[:RANK_LIMIT]}.")
    size = math.prod(tensor.dims)
    if tensor.HasField("raw_data") and tensor.data_type in WIDTHS:
        wanted, given = size * WIDTHS[tensor.data_type], len(tensor.raw_data)
        if wanted != given:
            raise _malformed(f"The weights {_name(tensor)} need {wanted:,} bytes and bring {given:,}.")
    elif size > DENSEST * tensor.ByteSize():
        bytes_given = tensor.ByteSize()
        raise _malformed(f"The weights {_name(tensor)} need {size:,} numbers, and bring {bytes_given:,} bytes.")


def _malformed(detail: str) -> Refused:
    return Refused("model-malformed", f"{detail} {DAMAGED}")
