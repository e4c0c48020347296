"""What models, good and bad, are put together from."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, OPSET = TensorProto.FLOAT, TensorProto.INT64, 17


def weights(name: str, *shape: int) -> TensorProto:
    """Weights like any other."""
    values = np.random.default_rng(len(name)).normal(size=shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def ints(name: str, *values: int) -> TensorProto:
    """A constant of integers, such as a shape."""
    return numpy_helper.from_array(np.array(values, np.int64), name)


def saved(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString()
    return data


def network(
    nodes: list[Any] | None = None,
    *,
    inputs: list[Any] | None = None,
    outputs: list[Any] | None = None,
    constants: list[TensorProto] | None = None,
    **rest: Any,
) -> onnx.ModelProto:
    """x[batch, 4] -> 6 units -> `nodes`, which lead from h to g (else g = h) -> y[batch, 3]."""
    first = [helper.make_node("Gemm", ["x", "a"], ["p"]), helper.make_node("Relu", ["p"], ["h"])]
    nodes = [helper.make_node("Identity", ["h"], ["g"])] if nodes is None else nodes
    last = [helper.make_node("Gemm", ["g", "b"], ["y"])]
    graph = helper.make_graph(
        [*first, *nodes, *last],
        "network",
        inputs or [helper.make_tensor_value_info("x", FLOAT, ["batch", 4])],
        outputs or [helper.make_tensor_value_info("y", FLOAT, ["batch", 3])],
        [weights("a", 4, 6), weights("b", 6, 3), *(constants or [])],
    )
    rest.setdefault("opset_imports", [helper.make_opsetid("", OPSET)])
    return helper.make_model(graph, ir_version=8, **rest)


def with_functions(bodies: list[tuple[str, list[Any]]]) -> onnx.ModelProto:
    """A network that calls the first of some local functions, each from i to o."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", name, ["i"], ["o"], body, opsets) for name, body in bodies]
    call = helper.make_node(bodies[0][0], ["h"], ["g"], domain="own")
    return network([call], functions=functions, opset_imports=opsets)


def dropout(on: bool) -> onnx.ModelProto:
    """A network with dropout, switched on or off by its third operand."""
    switches = [np.array(0.5, np.float32), np.array(on)]
    constants = [numpy_helper.from_array(value, name) for value, name in zip(switches, ("ratio", "on"), strict=True)]
    return network([helper.make_node("Dropout", ["h", "ratio", "on"], ["g"])], constants=constants)


def branching(condition: str, **attributes: Any) -> Any:
    """An If from h to g, whose branches do nothing."""
    output = helper.make_tensor_value_info("o", FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["h"], ["o"])], "branch", [], [output])
    return helper.make_node("If", [condition], ["g"], then_branch=branch, else_branch=branch, **attributes)
