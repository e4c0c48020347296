"""Brings nodes into an order in which each comes behind those that it reads. ONNX wants that; not every tool keeps it.

onnxruntime sorts for itself, so nobody notices: its own float16 converter puts the casts of the inputs last.
"""

import heapq

from onnx import GraphProto, ModelProto, NodeProto

from worker.formats import graphs


def sort(model: ModelProto) -> None:
    """Sort the nodes of every graph that is out of order, inner ones too.

    Nodes in a circle stay as they are, for ONNX's checker to refuse.
    """
    for graph in graphs.graphs(model.graph):
        order = _order(graph)
        if order != list(range(len(order))) and len(order) == len(graph.node):
            kept = [NodeProto.FromString(graph.node[place].SerializeToString()) for place in order]
            del graph.node[:]
            graph.node.extend(kept)


def _order(graph: GraphProto) -> list[int]:
    """The places of the nodes, each behind those it reads and otherwise as they were; fewer if some are in a circle."""
    made = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    awaited = [{made[name] for name in graphs.reads(node) if name in made} for node in graph.node]
    users: list[list[int]] = [[] for _ in graph.node]
    for place, sources in enumerate(awaited):
        for source in sources:
            users[source].append(place)
    missing = [len(sources) for sources in awaited]
    ready = [place for place, count in enumerate(missing) if not count]
    order: list[int] = []
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for user in users[place]:
            missing[user] -= 1
            if not missing[user]:
                heapq.heappush(ready, user)
    return order
