"""If nodes: those that can be decided from the file are replaced by a branch, the others stay and are checked."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.zoo.graphs import FLOAT, INT64, network, saved, weights
from worker.formats.models import read_onnx

BOOL = TensorProto.BOOL


def node(line: str, **attributes: Any) -> Any:
    """A node from `Operator operands > results`."""
    (operator, *operands), results = (part.split() for part in line.split(">"))
    return helper.make_node(operator, operands, results, **attributes)


def branch(*nodes: Any, constants: Any = ()) -> Any:
    """A branch that gives o."""
    return helper.make_graph(list(nodes), "branch", [], [helper.make_tensor_value_info("o", FLOAT, None)], constants)


def either(condition: str, yes: Any, no: Any, result: str = "g") -> Any:
    return helper.make_node("If", [condition], [result], then_branch=yes, else_branch=no)


TWICE, NEGATIVE = branch(node("Add h h > o")), branch(node("Neg h > o"))


def arrays(**named: Any) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in named.items()]


def answers(data: bytes, **more: Any) -> Any:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    return session.run(["y"], {"x": x, **more})[0]


def operators(data: bytes) -> list[str]:
    return [each.op_type for each in onnx.load_model_from_string(data).graph.node]


@pytest.mark.parametrize(
    ("chain", "constants"),
    [
        ([], {"c": np.array(True)}),
        ([], {"c": np.array([False])}),
        ([node("Constant > c", value=numpy_helper.from_array(np.array(True)))], {}),
        ([node("Equal a1 a2 > c")], {"a1": np.int64(4), "a2": np.int64(4)}),
        ([node("Less a1 a2 > n"), node("Not n > c")], {"a1": np.float32(4), "a2": np.float32(3)}),
        ([node("Cast a1 > flag", to=BOOL), node("Identity flag > i"), node("And i i > c")], {"a1": np.int64(1)}),
        (
            [node("Shape h > s"), node("Gather s at > d"), node("Equal d six > c")],
            {"at": np.int64(1), "six": np.int64(6)},
        ),
        ([node("Shape h > s", start=-1), node("Squeeze s > d"), node("Greater d six > c")], {"six": np.int64(6)}),
    ],
)
def test_decided_branches_are_put_in_place(chain: list[Any], constants: dict[str, Any]) -> None:
    """What the condition is made of is computed, the sizes of axes that are not open too, and the answers stay."""
    data = saved(network([*chain, either("c", TWICE, NEGATIVE)], constants=arrays(**constants)))
    read = read_onnx(data)
    assert "If" not in operators(read.data)
    np.testing.assert_array_equal(answers(read.data), answers(data))


@pytest.mark.parametrize(
    "chain",
    [
        [node("Shape h > s"), node("Gather s at > d"), node("Equal d six > c")],  # the batch
        [node("ReduceSum h > d", keepdims=0), node("Cast d > e", to=INT64), node("Equal e six > c")],
        [node("Pow six six > d"), node("Equal d six > c")],  # not followed
    ],
)
def test_branches_that_depend_stay(chain: list[Any]) -> None:
    """What depends on the input, or is not followed, is left to the runtime."""
    used = {name for each in chain for name in each.input}
    constants = {"at": np.int64(0), "six": np.int64(6)}
    given = arrays(**{name: value for name, value in constants.items() if name in used})
    data = saved(network([*chain, either("c", TWICE, NEGATIVE)], constants=given))
    read = read_onnx(data)
    assert operators(read.data).count("If") == 1
    np.testing.assert_array_equal(answers(read.data), answers(data))


def test_scalar_inputs_decide_at_run_time() -> None:
    """An If on an input, as of a sampling rate, stays, with the layers in its branches."""
    inputs = [helper.make_tensor_value_info("x", FLOAT, ["batch", 4]), helper.make_tensor_value_info("rate", INT64, [])]
    layer = branch(node("MatMul h inner > o"), constants=[weights("inner", 6, 6)])
    nodes = [node("Equal rate high > c"), either("c", layer, NEGATIVE)]
    data = saved(network(nodes, inputs=inputs, constants=arrays(high=np.int64(16000))))
    read = read_onnx(data)
    assert [each["shape"] for each in read.found["inputs"]] == [["batch", 4], []]
    assert read.found["parameters"] == 4 * 6 + 6 * 3 + 6 * 6
    for rate in (np.array(16000), np.array(8000)):
        np.testing.assert_array_equal(answers(read.data, rate=rate), answers(data, rate=rate))
    kept = next(each for each in onnx.load_model_from_string(read.data).graph.node if each.op_type == "If")
    shapes = [each.g.output[0].type.tensor_type.shape.dim[1].dim_value for each in kept.attribute]
    assert shapes == [6, 6], "shapes are told within branches too"


def test_equal_names_in_branches_stay_apart() -> None:
    """Branches may use the same names, and weights of the same name; put in place, each keeps its own."""
    first = branch(node("Mul h k > m"), node("Neg m > o"), constants=arrays(k=np.float32(2)))
    second = branch(node("Mul g1 k > m"), node("Abs m > o"), constants=arrays(k=np.float32(3)))
    nodes = [either("c", first, NEGATIVE, "g1"), either("c", second, branch(node("Neg g1 > o")))]
    data = saved(network(nodes, constants=arrays(c=np.array(True))))
    read = read_onnx(data)
    assert "If" not in operators(read.data)
    np.testing.assert_array_equal(answers(read.data), answers(data))


def test_nested_branches_are_decided_too() -> None:
    """An If in a branch that is taken is decided, as is one in a branch that may be."""
    inner = branch(either("c", TWICE, NEGATIVE, "o"))
    asking = [node("ReduceSum h > sum", keepdims=0), node("Greater sum level > open")]
    data = saved(
        network(
            [*asking, either("open", inner, NEGATIVE, "g1"), either("c", inner, NEGATIVE, "g2"), node("Add g1 g2 > g")],
            constants=arrays(c=np.array(True), level=np.float32(0)),
        )
    )
    read = read_onnx(data)
    graph = onnx.load_model_from_string(read.data).graph
    [kept] = [each for each in graph.node if each.op_type == "If"]
    assert all(each.op_type != "If" for attribute in kept.attribute for each in attribute.g.node)
    np.testing.assert_array_equal(answers(read.data), answers(data))


def test_numbers_that_grow_without_end_are_not_followed() -> None:
    """A number squared a thousand times over would have more digits than there is memory."""
    squares = [node(f"Mul n{step} n{step} > n{step + 1}") for step in range(1000)]
    nodes = [*squares, node("Equal n1000 n1000 > c"), either("c", TWICE, NEGATIVE)]
    read = read_onnx(saved(network(nodes, constants=arrays(n0=np.int64(3)))))
    assert "If" in operators(read.data)
