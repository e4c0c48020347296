"""How a network is wired: who computes each value, who sees it and what is constant, through the branches of If too."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

# They see how large a value is, not what is in it.
MEASURING = frozenset(["Shape", "Size"])
RANDOM = frozenset(
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"]
)
BRANCHING = frozenset(["If", "Loop", "Scan", "SequenceMap"])
Constants = set[ir.Value | None]


@dataclass(frozen=True)
class Wiring:
    """nodes: in network order, those of an If's branches before the If itself. constants: the values that are the same
    for every input of the same shape; None among them, an operand that is left out. below: the values that the class
    output depends on. keys: a unique name for each value. ends: where a branch's last values go to.
    """

    nodes: list[ir.Node]
    constants: Constants
    below: set[ir.Value]
    keys: dict[ir.Value, str]
    places: dict[ir.Value, int]
    ends: dict[ir.Value, list[ir.Value]]

    def users(self, value: ir.Value) -> list[ir.Node]:
        """The nodes that see a value and that the class output sees, each once."""
        nodes = dict.fromkeys(node for node, _ in value.uses())
        return [n for n in nodes if n.op_type not in MEASURING and not self.below.isdisjoint(n.outputs)]

    def is_end(self, value: ir.Value) -> bool:
        """Is it what a branch gives to the class output?"""
        return any(result in self.below for result in self.ends.get(value, []))

    def is_constant(self, value: ir.Value | None) -> bool:
        """Is it the same for every input of the same shape?"""
        return value in self.constants

    def varying(self, node: ir.Node) -> list[ir.Value]:
        """The operands of a node that are no constants."""
        return [value for value in node.inputs if value is not None and value not in self.constants]


def read(model: ir.Model, output: str) -> Wiring:
    """Read the wiring of a network for its class output of that name."""
    nodes = list(ordered(model.graph))
    ends: dict[ir.Value, list[ir.Value]] = {}
    for node in nodes:
        for body in bodies(node):
            for end, result in zip(body.outputs, node.outputs, strict=False):
                ends.setdefault(end, []).append(result)
    [target] = [value for value in model.graph.outputs if value.name == output]
    places = {value: place for place, node in enumerate(nodes) for value in node.outputs}
    keys = {value: key for key, value in computed(model).items()}
    return Wiring(nodes, _constants(model, nodes), ancestors(target), keys, places, ends)


def computed(model: ir.Model) -> dict[str, ir.Value]:
    """What the model's nodes compute, by name; where two branches give a name twice, the second is numbered."""
    found: dict[str, ir.Value] = {}
    for node in ordered(model.graph):
        for value in node.outputs:
            name, number = value.name or "", 2
            while name in found:
                name, number = f"{value.name}@{number}", number + 1
            found[name] = value
    return found


def ordered(graph: ir.Graph) -> Iterator[ir.Node]:
    """All nodes, those of inner graphs before the node that they belong to."""
    for node in graph:
        for body in bodies(node):
            yield from ordered(body)
        yield node


def bodies(node: ir.Node) -> list[ir.Graph]:
    """The inner graphs of a node: the branches of an If."""
    if node.op_type not in BRANCHING:
        return []
    named = sorted(node.attributes.items(), reverse=True)  # then_branch before else_branch
    return [each.as_graph() for _, each in named if each.type == ir.AttributeType.GRAPH]


def integer(node: ir.Node, name: str, default: int) -> int:
    """An attribute that is one integer."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def integers(node: ir.Node, name: str) -> list[int] | None:
    """An attribute that is a list of integers, or None where it is left out."""
    attribute = node.attributes.get(name)
    return None if attribute is None else list(attribute.as_ints())


def numbers(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The numbers of a constant, which exporters may hand on by Identity; None of what is none."""
    while value is not None and (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]
    found = None if value is None else ir.convenience.get_const_tensor(value)
    return None if found is None else found.numpy()


def is_standard(node: ir.Node) -> bool:
    """Is its operator one of ONNX's own?"""
    return node.domain in ("", "ai.onnx")


def ancestors(target: ir.Value) -> set[ir.Value]:
    """All values that a value depends on, itself among them."""
    found: set[ir.Value] = set()
    waiting = [target]
    while waiting:
        value = waiting.pop()
        if value not in found:
            found.add(value)
            waiting += operands(value)
    return found


def operands(value: ir.Value) -> list[ir.Value]:
    """What a value is computed from; what is only measured does not count."""
    node = value.producer()
    if node is None or node.op_type in MEASURING:
        return []
    place = node.outputs.index(value)
    inner = [body.outputs[place] for body in bodies(node) if place < len(body.outputs)]
    return [*(each for each in node.inputs if each is not None), *inner]


def _constants(model: ir.Model, nodes: list[ir.Node]) -> Constants:
    found: Constants = {None, *model.graph.initializers.values()}
    for node in nodes:
        for body in bodies(node):
            found.update(body.initializers.values())
    for node in nodes:
        found.update(value for value in node.outputs if _is_constant(node, value, found))
    return found


def _is_constant(node: ir.Node, value: ir.Value, found: Constants) -> bool:
    if node.op_type in MEASURING or node.op_type == "Constant":
        return True
    sources = operands(value)
    return bool(sources) and node.op_type not in RANDOM and all(each in found for each in sources)
