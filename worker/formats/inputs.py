"""A model's inputs: which there are, and which of their axes is for the examples, however the exporter said so."""

from typing import Any

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from worker.formats import graphs, inference
from worker.formats.refusals import Refused

BATCH = "batch"
NAMELESS = ("", "?")
DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
    TensorProto.INT16: "int16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "uint16",
    TensorProto.BOOL: "bool",
}
HANDLED = "float32, float16, float64, bool and whole numbers of 8 to 64 bits are handled"
SHOWN = 10  # inputs named in a refusal
LEAST_IR = 4  # older ones list every initializer among the inputs


def normalise(model: ModelProto) -> None:
    """Take initializers out of the inputs, and give every open axis one form: `batch` for the first, or no name.

    An axis of -1, 0, `?` or nothing is open. The other axes that share the first one's name share the new one too.
    """
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    spare = [place for place, value in enumerate(graph.input) if value.name in constants]
    for place in reversed(spare):
        del graph.input[place]
    model.ir_version = max(model.ir_version, LEAST_IR)
    firsts = {_first(value) for value in graph.input} - {*NAMELESS, None}
    for value in graph.input:
        _name_axes(value, firsts)
    for each in graphs.graphs(graph):
        for value in [*each.value_info, *each.output]:
            _open_axes(value, firsts)


def _first(value: ValueInfoProto) -> Any:
    """What the first axis is called; None where it has a size, or there is none."""
    sizes = inference.sizes(value)
    return sizes[0] if sizes and isinstance(sizes[0], str) else None


def _name_axes(value: ValueInfoProto, firsts: set[Any]) -> None:
    _open_axes(value, firsts)
    dims = value.type.tensor_type.shape.dim
    if dims and dims[0].dim_value <= 0:
        dims[0].dim_param = BATCH


def _open_axes(value: ValueInfoProto, firsts: set[Any]) -> None:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_param") and dim.dim_param in firsts:
            dim.dim_param = BATCH
        elif dim.dim_value <= 0 and dim.dim_param in NAMELESS:
            dim.Clear()


def fixed_batch(graph: GraphProto) -> int | None:
    """The batch a graph takes, if its file fixes one: the first axis of the first input that has axes."""
    firsts = [sizes[0] for value in graph.input if (sizes := inference.sizes(value))]
    if BATCH in firsts:
        return None
    return next((size for size in firsts if isinstance(size, int)), None)


def check(graph: GraphProto) -> None:
    """Raise `Refused` unless there is an input with an axis for examples, and all say how many axes they have."""
    if not graph.input:
        raise Refused(
            "model-unsupported",
            "The model takes 0 inputs: what it answers does not depend on an example. Export it with its input.",
        )
    for value in graph.input:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise Refused(
                "model-unsupported",
                f"The file does not say how many axes its input {value.name[:100]!r} has. Export it with an input "
                "shape, such as [None, 3, 224, 224].",
            )
    if not any(_is_for_examples(value, fixed_batch(graph)) for value in graph.input):
        named = ", ".join(f"{value.name[:100]!r}" for value in graph.input[:SHOWN])
        raise Refused(
            "model-unsupported",
            f"The model's input {named} has no axis for examples. Export it with a batch as its first axis.",
        )


def _is_for_examples(value: ValueInfoProto, batch: int | None) -> bool:
    first = inference.sizes(value)[:1]
    return bool(first) and first[0] in (BATCH, batch)


def described(graph: GraphProto) -> list[dict[str, Any]]:
    """[{"name", "dtype", "shape"}] of all inputs; raises `Refused` for one that nobody can fill.

    The first axis of an input is called `batch` if it is for examples; a scalar has none.
    """
    check(graph)
    return [_described(value, fixed_batch(graph)) for value in graph.input]


def _described(value: ValueInfoProto, batch: int | None) -> dict[str, Any]:
    kind = value.type.tensor_type.elem_type
    if kind not in DTYPES:
        raise Refused("model-unsupported", f"The model's input {value.name[:100]!r} is {dtype(value)}; {HANDLED}.")
    sizes = inference.sizes(value)
    if _is_for_examples(value, batch):
        sizes[0] = BATCH
    return {"name": value.name, "dtype": DTYPES[kind], "shape": sizes}


def dtype(value: ValueInfoProto) -> str:
    """What a value's numbers are called; where it is no tensor, what it is."""
    kind = value.type.WhichOneof("value") or "unknown"
    if kind != "tensor_type":
        return kind.removesuffix("_type")
    code = value.type.tensor_type.elem_type
    known = code in TensorProto.DataType.values()
    return DTYPES.get(code) or (str(TensorProto.DataType.Name(code)).lower() if known else "unknown")
