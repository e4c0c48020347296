"""What the file says of its classes: what they are called, and whether the numbers are probabilities."""

from collections.abc import Mapping
from typing import Any

from onnx import GraphProto, NodeProto

from worker.formats import graphs
from worker.formats.outputs import is_zipmap

Label = int | str
LONGEST = 1000  # letters of a label
STEPS = 20  # nodes from an output to the names of its classes, or back to its softmax
# What the numbers pass through and stay what they are.
PASSING = frozenset(
    """
    Cast DequantizeLinear Dropout Flatten Identity QuantizeLinear ReduceMean Reshape Squeeze Transpose Unsqueeze
    """.split()
)
# LogSoftmax is none of them: a log-probability is a logit, and normalising it again changes nothing.
PROBABLE = frozenset(["HardSigmoid", "QLinearSigmoid", "QLinearSoftmax", "Sigmoid", "Softmax"])
PICKING = frozenset(["ArgMax", "TopK"])
TABLES = frozenset(["ArrayFeatureExtractor", "Gather", "GatherElements", "GatherND"])


def labels(graph: GraphProto, output: str, classes: int) -> list[Label] | None:
    """What the classes of an output are called, in their order, by what comes behind it; None if nothing says so."""
    reached, waiting = {output}, [output]
    users = _users(graph)
    tables = graphs.constants(graph)
    for _ in range(STEPS):
        following = [node for name in waiting for node in users.get(name, [])]
        for node in following:
            found = _named(node, reached, tables)
            if found is not None and len(found) == classes == len(set(map(str, found))):
                return found
        waiting = [name for node in following if _passes(node) for name in node.output if name not in reached]
        reached.update(waiting)
    return None


def _users(graph: GraphProto) -> dict[str, list[NodeProto]]:
    users: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            users.setdefault(name, []).append(node)
    return users


def _passes(node: NodeProto) -> bool:
    return node.op_type in PASSING | PICKING | PROBABLE


def _named(node: NodeProto, reached: set[str], tables: Mapping[str, Any]) -> list[Label] | None:
    """The names in a node that turns scores or indices into names."""
    attributes = {each.name: each for each in node.attribute}
    if is_zipmap(node):
        return _strings(attributes, "classlabels_strings") or _ints(attributes, "classlabels_int64s")
    if node.domain == "ai.onnx.ml" and node.op_type == "LabelEncoder":
        keys, values = _ints(attributes, "keys_int64s"), _strings(attributes, "values_strings")
        values = values or _ints(attributes, "values_int64s")
        return values if keys is not None and keys == list(range(len(values or []))) else None
    if node.op_type in TABLES and len(node.input) == 2 and node.input[1] in reached:
        return _table(tables.get(node.input[0]))
    return None


def _table(tensor: Any) -> list[Label] | None:
    """The entries of a constant of whole numbers or strings."""
    if tensor is None or tensor.ByteSize() > LONGEST * LONGEST:
        return None
    if tensor.string_data:
        return _readable([*tensor.string_data])
    if tensor.data_type not in (tensor.INT64, tensor.INT32):
        return None
    if tensor.raw_data:
        width = 8 if tensor.data_type == tensor.INT64 else 4
        raw = tensor.raw_data
        return [int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)]
    return [int(each) for each in [*tensor.int64_data, *tensor.int32_data]]


def _strings(attributes: Mapping[str, Any], name: str) -> list[Label] | None:
    return _readable([*attributes[name].strings]) if name in attributes else None


def _ints(attributes: Mapping[str, Any], name: str) -> list[Label] | None:
    return [int(each) for each in attributes[name].ints] if name in attributes else None


def _readable(words: list[bytes]) -> list[Label] | None:
    found: list[Label] = [word.decode("utf-8", "replace") for word in words]
    return None if any(len(str(each)) > LONGEST for each in found) else found


def are_probabilities(graph: GraphProto, output: str) -> bool:
    """Are the numbers of an output between 0 and 1 by what computes them: a softmax or sigmoid, whole or in pieces?"""
    made = graphs.producers(graph)
    zipped = any(is_zipmap(node) and output in node.input for node in graph.node)
    return zipped or _is_probable(made, output, STEPS)


def _is_probable(made: Mapping[str, NodeProto], name: str, steps: int) -> bool:
    node = made.get(name)
    if node is None or steps == 0:
        return False
    operator, operands = node.op_type, list(node.input)
    if operator in PROBABLE:
        return True
    if operator in PASSING and operands:
        return _is_probable(made, operands[0], steps - 1)
    if operator == "If":
        return all(_ends_probable(made, body, list(node.output).index(name), steps - 1) for body in graphs.inner(node))
    if operator == "Div" and len(operands) == 2:  # a softmax in pieces
        return _is(made, operands[0], "Exp") and _is(made, operands[1], "ReduceSum")
    if operator == "Concat" and len(operands) == 2:  # of two classes: what one has not, the other has
        return all(_is_probable(made, each, steps - 1) or _is_rest(made, each, steps - 1) for each in operands)
    return False


def _ends_probable(made: Mapping[str, NodeProto], body: GraphProto, place: int, steps: int) -> bool:
    if place >= len(body.output):
        return False
    return _is_probable({**made, **graphs.producers(body)}, body.output[place].name, steps)


def _is_rest(made: Mapping[str, NodeProto], name: str, steps: int) -> bool:
    """Is it 1 - p?"""
    node = made.get(name)
    return node is not None and node.op_type == "Sub" and _is_probable(made, list(node.input)[-1], steps)


def _is(made: Mapping[str, NodeProto], name: str, operator: str) -> bool:
    node = made.get(name)
    return node is not None and node.op_type == operator
