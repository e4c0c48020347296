"""Selections of columns, as scikit-learn's exporter writes them, become Gather, whose kernel is better proven."""

from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from worker.formats import graphs, inference

WHOLE = (TensorProto.INT64, TensorProto.INT32)


def rewrite(graph: GraphProto) -> None:
    """Make each ArrayFeatureExtractor with constant columns, on a table, a Gather; others stay as they are."""
    tables, known = graphs.constants(graph), graphs.values(graph)
    taken = {tensor.name for tensor in graph.initializer} | {name for node in graph.node for name in node.output}
    for node in graph.node:
        if (node.domain, node.op_type) != ("ai.onnx.ml", "ArrayFeatureExtractor") or len(node.input) != 2:
            continue
        table, columns = known.get(node.input[0]), tables.get(node.input[1])
        if table is None or columns is None or columns.data_type not in WHOLE or len(inference.sizes(table)) != 2:
            continue
        name = f"{node.output[0]}_columns"
        while name in taken:
            name += "_"
        taken.add(name)
        graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(columns).reshape(-1), name))
        node.CopyFrom(_gather(node, name))


def _gather(node: NodeProto, columns: str) -> NodeProto:
    return helper.make_node("Gather", [node.input[0], columns], [*node.output], name=node.name, axis=1)
