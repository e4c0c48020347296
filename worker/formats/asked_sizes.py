"""Sizes and counts that a file asks for: those that end the process in ONNX's inference and in onnxruntime."""

from onnx import GraphProto

from worker.formats import folding, graphs
from worker.formats.refusals import Refused

AT = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}  # the operand that says how large the result is


def check(graph: GraphProto, outside: folding.Known | None = None) -> None:
    """Raise `Refused` for a negative size, as far as constants tell, and for a Split into more parts than it counts.

    In branches too.
    """
    known = dict(outside or {}) | folding.constants(graph)
    shapes = folding.shapes(graph)
    for node in graph.node:
        folding.follow(node, known, shapes)
        at = AT.get(node.op_type)
        asked = known.get(node.input[at], []) if at is not None and len(node.input) > at else []
        if any(size is not None and size < 0 for size in asked):
            raise Refused(
                "model-malformed",
                f"Node {node.name[:100]!r} ({node.op_type}) asks for a tensor of sizes {asked}, one of which is "
                "negative. Export the model again.",
            )
        counted = [each.i for each in node.attribute if node.op_type == "Split" and each.name == "num_outputs"]
        if counted and counted[0] != len(node.output):
            raise Refused(
                "model-malformed",
                f"Node {node.name[:100]!r} (Split) has {len(node.output)} outputs, and counts {counted[0]}. Export the "
                "model again.",
            )
        for body in graphs.inner(node):
            check(body, known)
