"""Which of a model's outputs gives the classes: chosen by shape, by how much of the network it needs, and by name."""

from dataclasses import dataclass
from typing import Any, Literal

from onnx import GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

from worker.formats import graphs, inputs
from worker.formats.inference import sizes
from worker.formats.inputs import BATCH
from worker.formats.refusals import Refused

Kind = Literal["classes", "binary", "tokens"]
KINDS: tuple[Kind, ...] = ("classes", "binary", "tokens")  # the best first
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
NAMES = ("logit", "score", "prob", "class", "output")  # the best first
LAYERS = frozenset(
    """
    Conv ConvInteger ConvTranspose DynamicQuantizeLSTM DynamicQuantizeMatMul FusedMatMul GRU Gemm LSTM MatMul
    MatMulInteger MatMulIntegerToFloat QGemm QLinearConv QLinearMatMul RNN
    """.split()
)
SHOWN = 20  # outputs named in a refusal
WANTED = "A classifier gives floating-point [batch, classes], [batch, 1] or [batch, tokens, classes] in one output"


@dataclass(frozen=True)
class Output:
    """A class output. shape: its axes, the first called `batch`. classes: 2 of a binary one, which gives one number.

    named: what the file calls it where callers see it; another name only if a ZipMap follows.
    """

    name: str
    shape: list[Any]
    kind: Kind
    classes: int
    named: str


def described(graph: GraphProto) -> list[dict[str, Any]]:
    """[{"name", "dtype", "shape"}] of all outputs, and of what a ZipMap makes maps of; null is no shape at all."""
    found = [
        {"name": value.name, "dtype": inputs.dtype(value), "shape": sizes(value) if _is_shaped(value) else None}
        for value in graph.output
    ]
    known = {each["name"] for each in found}
    for _, value in _tensors(graph):
        if value.name not in known:
            found.append({"name": value.name, "dtype": inputs.dtype(value), "shape": sizes(value)})
    return found


def choose(graph: GraphProto, wanted: str | None) -> tuple[Output, list[Output]]:
    """The class output, and the others that might be meant. wanted: its name, if somebody said which.

    Raises `Refused` with the outputs there are.
    """
    batch = inputs.fixed_batch(graph)
    tensors = _tensors(graph)
    if wanted is not None:
        tensors = [(named, value) for named, value in tensors if wanted in (named, value.name)]
        if not tensors:
            raise _refused(graph, f"The model has no floating-point output {wanted[:100]!r}")
    found = [output for named, value in tensors if (output := _output(named, value, batch)) is not None]
    if not found:
        raise _refused(graph, WANTED if wanted is None else f"The output {wanted[:100]!r} gives no classes. {WANTED}")
    if len(found) == 1:
        return found[0], []
    deep = {output.name: _layers(graph, output.name) for output in found}
    ranked = sorted(found, key=lambda each: (KINDS.index(each.kind), -deep[each.name], _rank(each.name)))
    return ranked[0], ranked[1:]


def _refused(graph: GraphProto, what: str) -> Refused:
    there = described(graph)
    shown = [f"{each['name'][:100]}: {each['dtype']}{_axes(each['shape'])}" for each in there[:SHOWN]]
    return Refused(
        "model-unsupported",
        f"{what}; this model gives {', '.join(shown) or 'nothing'}. Name the right one with `output` in the config, or "
        "export the model so that it returns the logits or probabilities.",
    )


def _axes(shape: list[Any] | None) -> str:
    return "" if shape is None else f"[{', '.join(map(str, shape))}]"


def _tensors(graph: GraphProto) -> list[tuple[str, ValueInfoProto]]:
    """The floating-point tensors among the outputs by their names, and those of which a ZipMap makes the output."""
    made, known = graphs.producers(graph), graphs.values(graph)
    found: list[tuple[str, ValueInfoProto]] = []
    for value in graph.output:
        source = made.get(value.name)
        tensor = value
        if source is not None and is_zipmap(source) and source.input:
            tensor = known.get(source.input[0], ValueInfoProto(name=source.input[0]))
        if tensor.type.tensor_type.elem_type in FLOATS and _is_shaped(tensor):
            found.append((value.name, tensor))
    return found


def is_zipmap(node: NodeProto) -> bool:
    """Does it make maps from class names to probabilities?"""
    return (node.domain, node.op_type) == ("ai.onnx.ml", "ZipMap")


def _is_shaped(value: ValueInfoProto) -> bool:
    kind: TypeProto = value.type
    return bool(kind.HasField("tensor_type") and kind.tensor_type.HasField("shape"))


def _output(named: str, value: ValueInfoProto, batch: int | None) -> Output | None:
    """What a tensor is as a class output; None if it is none."""
    first, *rest = [*sizes(value)] or [0]
    if isinstance(first, int) and first not in ((batch,) if batch is not None else (1,)):
        return None
    shape = [BATCH, *rest]
    wide = [size for size in rest if size != 1]
    if not wide:
        return Output(value.name, shape, "binary", 2, named)
    if len(wide) == 1 and isinstance(wide[0], int):
        return Output(value.name, shape, "classes", wide[0], named)
    if len(rest) == 2 and isinstance(rest[1], int) and rest[1] > 1:
        return Output(value.name, shape, "tokens", rest[1], named)
    return None


def _layers(graph: GraphProto, name: str) -> int:
    """How many layers with constant weights a value depends on."""
    needed = graphs.ancestors(graph, name)
    fixed = {tensor.name for each in graphs.graphs(graph) for tensor in each.initializer}
    count = 0
    for node in graphs.nodes(graph):
        operands = [operand for operand in node.input if operand]
        if node.op_type == "Constant" or (operands and fixed.issuperset(operands)):
            fixed.update(node.output)
        elif node.op_type in LAYERS and not fixed.isdisjoint(operands):
            count += not needed.isdisjoint(node.output)
    return count


def _rank(name: str) -> int:
    lower = name.lower()
    return next((place for place, word in enumerate(NAMES) if word in lower), len(NAMES))
