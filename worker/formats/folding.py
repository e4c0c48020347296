"""If nodes whose condition can be told from the file are replaced by the branch that is taken."""

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from worker.formats import graphs, inference

FEW = 64  # numbers in a value that is followed
LARGEST = 2**63  # numbers beyond are not followed
Number = int | float | bool | None  # None: not known
Numbers = list[Number]  # in a row, whatever the axes
Known = Mapping[str, Numbers]

PASSING = frozenset(["Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten"])
PAIRS: dict[str, Callable[[int | float, int | float], int | float | bool]] = {
    "Add": operator.add,
    "And": lambda a, b: bool(a) and bool(b),
    "Equal": operator.eq,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Mul": operator.mul,
    "Or": lambda a, b: bool(a) or bool(b),
    "Sub": operator.sub,
    "Xor": lambda a, b: bool(a) != bool(b),
}
SCALARS = {"value_int": "i", "value_float": "f", "value_ints": "ints", "value_floats": "floats"}
CASTS: dict[int, Callable[[int | float], int | float | bool]] = {
    TensorProto.BOOL: bool,
    TensorProto.INT64: int,
    TensorProto.INT32: int,
    TensorProto.FLOAT: float,
    TensorProto.DOUBLE: float,
}


def inline_branches(graph: GraphProto) -> bool:
    """Replace each If that can be decided by its branch, in inner graphs too; was there any?

    Decided by: constants, and the sizes that the graph's values have whatever the input.
    """
    if not any(node.op_type == "If" for node in graphs.nodes(graph)):
        return False
    folder = _Folder(graph)
    folder.fold(graph, {})
    return folder.inlined


def constants(graph: GraphProto) -> dict[str, Numbers]:
    """The numbers of small initializers, by name."""
    return {tensor.name: row for tensor in graph.initializer if (row := _row(tensor)) is not None}


def shapes(graph: GraphProto) -> dict[str, list[object]]:
    """The sizes of a graph's values along their axes, by name, where the file or ONNX tells them."""
    return {name: inference.sizes(value) for name, value in graphs.values(graph).items() if _has_shape(value)}


def follow(node: NodeProto, known: dict[str, Numbers], shapes: Mapping[str, Sequence[object]]) -> None:
    """Add to `known` what a node gives, as far as it can be told."""
    if len(node.output) == 1 and (row := _result(node, known, shapes)) is not None:
        known[node.output[0]] = row


class _Folder:
    """inlined: has any branch been taken? It keeps the names unique when they come together in one graph."""

    def __init__(self, graph: GraphProto) -> None:
        self.inlined = False
        self._names = Counter(_defined(graph))

    def fold(self, graph: GraphProto, outside: Known) -> None:
        known = dict(outside) | constants(graph)
        nodes = self._nodes(graph, list(graph.node), known, shapes(graph))
        copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)

    def _nodes(
        self, graph: GraphProto, nodes: Sequence[NodeProto], known: dict[str, Numbers], there: dict[str, list[object]]
    ) -> list[NodeProto]:
        """The nodes with branches in place of Ifs; `known` grows. Initializers of a branch move to the graph."""
        kept: list[NodeProto] = []
        for node in nodes:
            branch = _branch(node, known)
            if branch is not None:
                self.inlined = True
                for other in graphs.inner(node):
                    self._names.subtract([] if other == branch else _defined(other))
                renamed = self._renamed(branch)
                graph.initializer.extend(renamed.initializer)
                known |= constants(renamed)
                there |= shapes(renamed)
                ends = zip(renamed.output, node.output, strict=False)
                passed = [helper.make_node("Identity", [end.name], [name]) for end, name in ends if name]
                kept += self._nodes(graph, [*renamed.node, *passed], known, there)
                continue
            for body in graphs.inner(node) if node.op_type == "If" else []:
                self.fold(body, known)
            follow(node, known, there)
            kept.append(node)
        return kept

    def _renamed(self, branch: GraphProto) -> GraphProto:
        """A copy of a branch, in which names have others where they are defined elsewhere too."""
        names: dict[str, str] = {}
        for name, times in Counter(_defined(branch)).items():
            if self._names[name] > 1:
                number = 2
                while self._names[f"{name}@{number}"]:
                    number += 1
                names[name] = f"{name}@{number}"
                self._names[names[name]] += times
                self._names[name] -= times
        copy = GraphProto()
        copy.CopyFrom(branch)
        for graph in graphs.graphs(copy) if names else []:
            _rename(graph, names)
        return copy


def _rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    for each in [*graph.initializer, *graph.value_info, *graph.input, *graph.output]:
        each.name = names.get(each.name, each.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _defined(graph: GraphProto) -> list[str]:
    found: list[str] = []
    for each in graphs.graphs(graph):
        found += [value.name for value in each.input] + [tensor.name for tensor in each.initializer]
        found += [name for node in each.node for name in node.output if name]
    return found


def _has_shape(value: object) -> bool:
    return bool(value.type.tensor_type.HasField("shape"))  # type: ignore[attr-defined]


def _branch(node: NodeProto, known: Known) -> GraphProto | None:
    """The branch that an If takes, if that can be told."""
    row = known.get(node.input[0]) if node.op_type == "If" and node.input else None
    if row is None or len(row) != 1 or row[0] is None:
        return None
    wanted = "then_branch" if row[0] else "else_branch"
    return next((each.g for each in node.attribute if each.name == wanted and each.HasField("g")), None)


def _row(tensor: TensorProto) -> Numbers | None:
    """The numbers of a small tensor."""
    small = tensor.data_type in CASTS and len(tensor.dims) <= 1 and all(size <= FEW for size in tensor.dims)
    if not small:
        return None
    try:
        return list(numpy_helper.to_array(tensor).flatten().tolist())
    except (ValueError, TypeError):
        return None


def _result(node: NodeProto, known: Known, shapes: Mapping[str, Sequence[object]]) -> Numbers | None:
    """The numbers that a node gives, as far as they can be told."""
    if node.domain not in graphs.DEFAULT_DOMAINS:
        return None
    if node.op_type == "Constant" and node.attribute:
        return _constant(node.attribute[0])
    if node.op_type in ("Shape", "Size") and node.input:
        return _measured(node, shapes.get(node.input[0]))
    rows = [known.get(name) for name in node.input]
    data = [row for row in rows if row is not None]
    if not data or rows[0] is None:
        return None
    if node.op_type in PASSING:
        return rows[0]
    if len(data) < len(rows):
        return None
    return _computed(node, data)


def _computed(node: NodeProto, rows: list[Numbers]) -> Numbers | None:
    first, attributes = rows[0], {each.name: each for each in node.attribute}
    match node.op_type:
        case "Cast" if attributes.get("to") and attributes["to"].i in CASTS:
            cast = CASTS[attributes["to"].i]
            return [_safely(cast, each) for each in first]
        case "Not":
            return [None if each is None else not each for each in first]
        case "Concat" if sum(map(len, rows)) <= FEW:
            return [each for row in rows for each in row]
        case "Gather" if len(rows) == 2 and all(isinstance(at, int) for at in rows[1]):
            places = [int(at or 0) for at in rows[1]]
            return [first[at] if -len(first) <= at < len(first) else None for at in places]
        case name if name in PAIRS and len(rows) == 2:
            return _paired(PAIRS[name], first, rows[1])
    return None


def _paired(
    compute: Callable[[int | float, int | float], int | float | bool], left: Numbers, right: Numbers
) -> Numbers | None:
    if len(left) != len(right) and 1 not in (len(left), len(right)):
        return None
    most = max(len(left), len(right)) if left and right else 0
    left, right = left * most if len(left) == 1 else left, right * most if len(right) == 1 else right
    return [_safely(compute, *pair) for pair in zip(left, right, strict=True)] if most else []


def _safely(compute: Callable[..., int | float | bool], *numbers: Number) -> Number:
    if None in numbers:
        return None
    try:
        found = compute(*numbers)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < LARGEST else None


def _constant(attribute: AttributeProto) -> Numbers | None:
    if attribute.name == "value":
        return _row(attribute.t)
    if attribute.name not in SCALARS:
        return None
    found = getattr(attribute, SCALARS[attribute.name])
    row = [found] if isinstance(found, int | float) else list(found)
    return row if len(row) <= FEW else None


def _measured(node: NodeProto, shape: Sequence[object] | None) -> Numbers | None:
    """A value's shape or size; a size that depends on the input is not known."""
    if shape is None or len(shape) > FEW:
        return None
    row: Numbers = [size if isinstance(size, int) else None for size in shape]
    if node.op_type == "Shape":
        ends = {each.name: each.i for each in node.attribute}
        return row[ends.get("start", 0) : ends.get("end", len(row))]
    total: Number = 1
    for size in row:
        total = None if total is None or size is None else _safely(operator.mul, total, size)
    return [total]
