"""ONNX graphs as protobuf has them: what lies in them, inner graphs too, who needs what, and how to cut them down."""

from collections.abc import Iterator, Sequence

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

DEFAULT_DOMAINS = ("", "ai.onnx")


def inner(node: NodeProto) -> list[GraphProto]:
    """The graphs in a node, such as the branches of an If."""
    return [graph for each in node.attribute for graph in ([each.g] if each.HasField("g") else []) + list(each.graphs)]


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes, those of inner graphs among them."""
    yield from below(graph.node)


def below(some: Sequence[NodeProto]) -> Iterator[NodeProto]:
    """Some nodes, and those of their inner graphs."""
    for node in some:
        yield node
        for body in inner(node):
            yield from nodes(body)


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all graphs in it."""
    yield graph
    for node in graph.node:
        for body in inner(node):
            yield from graphs(body)


def all_graphs(model: ModelProto) -> Iterator[GraphProto]:
    """A model's graph and all graphs in it, those of its local functions too."""
    yield from graphs(model.graph)
    for function in model.functions:
        for node in function.node:
            for body in inner(node):
                yield from graphs(body)


def all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    """All nodes of a model, those of its local functions and of inner graphs too."""
    yield from nodes(model.graph)
    for function in model.functions:
        yield from below(function.node)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All constants of a model, wherever they lie."""
    for graph in all_graphs(model):
        yield from graph.initializer
    for node in all_nodes(model):
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else []) + list(attribute.tensors)


def constants(graph: GraphProto) -> dict[str, TensorProto]:
    """The constants of one graph by the names of their values: its initializers, and its Constant nodes' tensors."""
    found = {node.output[0]: node.attribute[0].t for node in graph.node if is_tensor_constant(node)}
    return found | {tensor.name: tensor for tensor in graph.initializer}


def is_tensor_constant(node: NodeProto) -> bool:
    """Is it a Constant whose value is a tensor?"""
    named = [each.name for each in node.attribute]
    return (
        node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS and len(node.output) == 1 and named == ["value"]
    )


def reads(node: NodeProto) -> set[str]:
    """The values that a node needs: its operands, and what its inner graphs take from outside."""
    found = set(node.input)
    for body in inner(node):
        found |= from_outside(body)
    return found - {""}


def from_outside(graph: GraphProto) -> set[str]:
    """The values that an inner graph takes from the graphs around it."""
    own = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    wanted = {value.name for value in graph.output}
    for node in graph.node:
        own.update(node.output)
        wanted |= reads(node)
    return wanted - own - {""}


def values(graph: GraphProto) -> dict[str, ValueInfoProto]:
    """What is known of a graph's values, by name."""
    return {value.name: value for value in [*graph.value_info, *graph.output, *graph.input]}


def producers(graph: GraphProto) -> dict[str, NodeProto]:
    """Who computes each value of a graph."""
    return {name: node for node in graph.node for name in node.output if name}


def ancestors(graph: GraphProto, name: str) -> set[str]:
    """The values that a value depends on, itself among them."""
    made, found, waiting = producers(graph), {name}, [name]
    while waiting:
        node = made.get(waiting.pop())
        fresh = set() if node is None else reads(node) - found
        found |= fresh
        waiting += fresh
    return found


def cut(graph: GraphProto, output: ValueInfoProto) -> list[str]:
    """Leave what one value depends on and make it the only output; the names of the inputs that fell away."""
    needed = ancestors(graph, output.name)
    kept = [node for node in graph.node if not needed.isdisjoint(node.output)]
    if len(kept) < len(graph.node):
        _replace(graph.node, kept)
    _replace(graph.output, [output])
    for part in (graph.initializer, graph.value_info):
        spare = [place for place, each in enumerate(part) if each.name not in needed]
        for place in reversed(spare):
            del part[place]
    lost = [value.name for value in graph.input if value.name not in needed]
    _replace(graph.input, [value for value in graph.input if value.name in needed])
    return lost


def _replace(part: object, kept: Sequence[object]) -> None:
    copies = [type(each)() for each in kept]
    for copy, each in zip(copies, kept, strict=True):
        copy.CopyFrom(each)  # type: ignore[attr-defined]
    del part[:]  # type: ignore[attr-defined]
    part.extend(copies)  # type: ignore[attr-defined]
