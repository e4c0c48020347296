"""A network cut in two where its masks stand: what comes before them is computed once an example, and shared."""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from worker.ablation import graft, wiring


@dataclass(frozen=True)
class Halves:
    """before: gives `crossing`, values of these names. behind: takes them, and the masks. rows: which of them have one
    row for each example; the others follow from the batch's size alone.
    """

    before: ir.Model
    behind: ir.Model
    crossing: list[str]
    rows: list[bool]


def cut(first: ir.Model, second: ir.Model, output: str) -> Halves | None:
    """Cut a grafted model, of which two copies are given and changed; None where it cannot be cut.

    It can't where branches are taken, or where what crosses is not laid out by examples.
    """
    wired = wiring.read(first, output)
    if any(node.op_type in wiring.BRANCHING for node in wired.nodes):
        return None
    nodes = list(first.graph)
    inside = {nodes[place] for place in _behind(first)}
    places = _with_constants(nodes, inside)
    crossing = _crossing(nodes, places)
    if not crossing or any(value.type is None or not value.name for value in crossing):
        return None
    rows = [not wired.is_constant(value) for value in crossing]
    names = [value.name or "" for value in crossing]
    _keep_before(first, crossing, inside)
    _keep_behind(second, names, places, output)
    return Halves(first, second, names, rows)


def _behind(model: ir.Model) -> list[int]:
    """The places of the nodes that depend on a mask."""
    reached = {value for value in model.graph.inputs if (value.name or "").startswith(graft.mask_name(0)[:-1])}
    found = []
    for place, node in enumerate(model.graph):
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
            found.append(place)
    return found


def _with_constants(nodes: Sequence[ir.Node], inside: set[ir.Node]) -> list[int]:
    """The places of nodes that depend on a mask, and of those that make the constants that they take.

    Constants do not cross: a runtime prepares weights that it knows.
    """
    fixed: set[ir.Value] = set()
    for node in nodes:
        if (
            node not in inside
            and all(value is None or value.is_initializer() or value in fixed for value in node.inputs)
            and not wiring.bodies(node)
            and node.op_type not in wiring.RANDOM
        ):
            fixed.update(node.outputs)
    wanted = set(inside)
    for node in reversed(nodes):
        if node in wanted:
            wanted.update(maker for value in node.inputs if value in fixed and (maker := value.producer()) is not None)
    return [place for place, node in enumerate(nodes) if node in wanted]


def _crossing(nodes: Sequence[ir.Node], places: Sequence[int]) -> list[ir.Value]:
    """What is computed before the masks, or fed, and used behind them."""
    inside = {nodes[place] for place in places}
    used = dict.fromkeys(value for place in places for value in nodes[place].inputs if value is not None)
    return [
        value
        for value in used
        if value.producer() not in inside
        and not value.is_initializer()
        and not (value.name or "").startswith(graft.mask_name(0)[:-1])
    ]


def _keep_before(model: ir.Model, crossing: Sequence[ir.Value], inside: set[ir.Node]) -> None:
    model.graph.outputs[:] = crossing
    model.graph.remove(list(inside), safe=True)
    tidy(model)


def _keep_behind(model: ir.Model, names: Sequence[str], places: Sequence[int], output: str) -> None:
    nodes = list(model.graph)
    kept = {nodes[place] for place in places}
    model.graph.outputs[:] = [value for value in model.graph.outputs if value.name == output]
    known = {value.name: value for node in nodes for value in node.outputs}
    known.update({value.name: value for value in model.graph.inputs})
    for name in names:
        value = known[name]
        given = ir.Value(name=name, type=value.type, shape=value.shape)
        for node, place in list(value.uses()):
            if node in kept:
                node.replace_input_with(place, given)
        value.name = f"{name}_before"
        model.graph.inputs.append(given)
    model.graph.remove([node for node in nodes if node not in kept], safe=True)
    tidy(model)


def tidy(model: ir.Model) -> None:
    """Drop inputs and weights that nothing uses."""
    ends = set(model.graph.outputs)
    unused = [value for value in model.graph.inputs if not list(value.uses()) and value not in ends]
    for value in unused:
        model.graph.inputs.remove(value)
    for name, value in list(model.graph.initializers.items()):
        if not list(value.uses()):
            del model.graph.initializers[name]
