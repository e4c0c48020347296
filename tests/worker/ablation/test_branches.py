"""Sites in the branches of an If: weights inside or outside, masks from outside."""

from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.nets import net, node, noise
from tests.worker.ablation.grafting import found, masked, means, run

V = noise(7, 4, 3)


def branch(name: str, operator: str, weight: Any) -> GraphProto:
    """A dense layer with weights of its own and a nonlinearity; both branches call their values the same."""
    nodes = [
        helper.make_node("Constant", [], [f"{name}.w"], value=numpy_helper.from_array(weight)),
        node("MatMul", f"x {name}.w", "h"),
        node(operator, "h", "r"),
        node("MatMul", "r v", "z"),
        node("Tanh", "z", "end"),
    ]
    return helper.make_graph(nodes, name, [], [info("end")])


def info(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])


def chosen() -> bytes:
    """An If with a layer behind it; which branch is taken hangs on the sign of the inputs' sum."""
    nodes = [
        node("ReduceSum", "x", "total", keepdims=0),
        node("Greater", "total nought", "positive"),
        node(
            "If",
            "positive",
            "t",
            then_branch=branch("left", "Relu", noise(1, 5, 4)),
            else_branch=branch("right", "Sigmoid", noise(2, 5, 4)),
        ),
        node("MatMul", "t head", "y"),
    ]
    return net(nodes, {"v": V, "head": noise(8, 3, 2), "nought": np.zeros((), np.float32)}, ["n", 5], ["n", 2])


def by_hand(x: Any, taken: bool, kept: dict[str, Any]) -> Any:
    hidden = x @ noise(1 if taken else 2, 5, 4)
    hidden = np.maximum(hidden, 0) if taken else 1 / (1 + np.exp(-hidden))
    behind = np.tanh((hidden * kept["left" if taken else "right"]) @ V)
    return (behind * kept["left behind" if taken else "right behind"]) @ noise(8, 3, 2)


@pytest.mark.parametrize("taken", [True, False])
def test_both_branches_have_sites_and_masks_reach_into_them(taken: bool) -> None:
    """Named by their weights; where the branch's last value leaves, it is masked too."""
    model = chosen()
    sites = found(model)
    assert [(site.name, site.units) for site in sites][::2] == [("left", 4), ("right", 4)]
    names = ["left", "left behind", "right", "right behind"]
    generator = np.random.default_rng(3)
    kept = {name: generator.random((6, site.units)) < 0.6 for name, site in zip(names, sites, strict=True)}
    x = np.abs(noise(4, 6, 5)) * (1 if taken else -1)
    ours = masked(model, {"x": x}, list(kept.values()))
    np.testing.assert_allclose(ours, by_hand(x, taken, kept), atol=1e-6)


def test_means_come_out_of_the_branch_that_runs() -> None:
    """And are zero from the other."""
    model, x = chosen(), np.abs(noise(4, 6, 5))
    [[left], [left_behind], [right], [right_behind]] = means(model, {"x": x})
    np.testing.assert_allclose(left, np.maximum(x @ noise(1, 5, 4), 0), atol=1e-6)
    np.testing.assert_allclose(left_behind, np.tanh(left @ V), atol=1e-6)
    assert (right.shape, right_behind.shape) == ((1, 4), (1, 3))
    assert not right.any()
    assert not right_behind.any()


def test_a_network_that_shows_means_answers_as_before() -> None:
    """All units kept, in either branch."""
    model = chosen()
    for sign in (1, -1):
        x = sign * np.abs(noise(4, 6, 5))
        kept = [np.ones((6, site.units), np.bool_) for site in found(model)]
        np.testing.assert_array_equal(masked(model, {"x": x}, kept), run(model, {"x": x})[0])
