"""Brings a value out of the branches of If nodes, so that it can be an output of the network."""

import numpy as np
import onnx_ir as ir

from worker.ablation.wiring import bodies, ordered


def surfaced(model: ir.Model, value: ir.Value, width: int) -> ir.Value:
    """The same value in the main graph; float32[1, width] of zeros where its branch is not taken."""
    homes = {body: (node, body) for node in ordered(model.graph) for body in bodies(node)}
    producer = value.producer()
    assert producer is not None, "computed"
    graph = producer.graph
    while graph is not model.graph and isinstance(graph, ir.Graph):
        node, home = homes[graph]
        value = _raised(node, home, value, width)
        graph = node.graph
    return value


def _raised(node: ir.Node, home: ir.Graph, value: ir.Value, width: int) -> ir.Value:
    """A further output of an If."""
    value.name = value.name or f"lesion_end_{len(home.outputs)}_{id(value)}"
    for body in bodies(node):
        if body is home:
            body.outputs.append(value)
            continue
        zeros = ir.tensor(np.zeros((1, width), np.float32))
        other = ir.Node("", "Constant", [], [ir.AttrTensor("value", zeros)])
        other.outputs[0].name = f"{value.name}_zeros"
        other.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        body.append(other)
        body.outputs.append(other.outputs[0])
    node.resize_outputs(len(node.outputs) + 1)
    node.outputs[-1].type = ir.TensorType(ir.DataType.FLOAT)
    return node.outputs[-1]
