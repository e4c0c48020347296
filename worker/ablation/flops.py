"""What one pass of one example costs: multiplications with additions, by arithmetic on shapes."""

from collections.abc import Mapping
from math import prod

import onnx_ir as ir

from worker.ablation import shapes
from worker.ablation.layouts import Shape
from worker.ablation.tracking import FACTORS, letters
from worker.ablation.wiring import bodies, integer

# At which operands the data and the weights of a convolution are.
CONVOLUTIONS = {"Conv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3)}
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}


def multiply_adds(model: ir.Model) -> int | None:
    """Multiply-adds of convolutions, products, attention and recurrent layers, for one example.

    None where other axes than the batch are open: what they cost is theirs to say. Of an If the dearest branch counts.
    """
    sizes = shapes.dry_run(model, examples=1, others=1)
    if not sizes.closed:
        return None
    return _of_graph(model.graph, sizes.shapes) // max(sizes.batch, 1)


def _of_graph(graph: ir.Graph, known: Mapping[ir.Value, Shape]) -> int:
    total = 0
    for node in graph:
        inner = [_of_graph(body, known) for body in bodies(node)]
        total += max(inner) if inner else _of_node(node, known)
    return total


def _of_node(node: ir.Node, known: Mapping[ir.Value, Shape]) -> int:
    operands = [() if value is None else known.get(value, ()) for value in node.inputs]
    results = [known.get(value, ()) for value in node.outputs]
    if any(size < 0 for shape in (*operands, *results) for size in shape):
        return 0  # what the file's own numbers come to, where they make no sense
    try:
        return _counted(node, operands, results)
    except (IndexError, ValueError):
        return 0  # a shape that is not known


def _counted(node: ir.Node, operands: list[Shape], results: list[Shape]) -> int:
    if node.op_type in CONVOLUTIONS:
        weights = operands[CONVOLUTIONS[node.op_type][1]]
        return prod(results[0]) * prod(weights[1:])
    if node.op_type == "ConvTranspose":
        return prod(operands[0]) * prod(operands[1][1:])
    if node.op_type in FACTORS:
        first = operands[FACTORS[node.op_type][0]]
        return prod(results[0]) * (first[-2] if integer(node, "transA", 0) else first[-1])
    if node.op_type in GATES:
        steps, batch, width = operands[0]
        directions, _, hidden = operands[2]
        return steps * batch * directions * GATES[node.op_type] * hidden * (width + hidden)
    if node.op_type == "Einsum" and (terms := letters(node)) is not None:
        sizes = {
            letter: size
            for term, shape in zip(terms, operands, strict=False)
            for letter, size in zip(term, shape, strict=True)
        }
        return prod(sizes.values())
    if node.op_type == "Attention":
        return _attended(node, operands)
    return 0


def _attended(node: ir.Node, operands: list[Shape]) -> int:
    """Q K' and P V: every query meets every key, once in all channels of the keys and once in those of the values."""
    queries, keys, values = operands[:3]
    if len(queries) == 4:
        batch, heads, length, width = queries
        return batch * heads * length * keys[2] * (width + values[3])
    batch, length, width = queries
    heads, groups = integer(node, "q_num_heads", 1), integer(node, "kv_num_heads", 1)
    return batch * length * keys[1] * (width + values[2] * heads // groups)
