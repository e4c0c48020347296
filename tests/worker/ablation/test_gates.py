"""Gates: where two layers or two halves of one meet, a hidden unit is one number."""

import numpy as np
import pytest
from onnx import NodeProto

from tests.nets import Weights, net, node, noise
from tests.worker.ablation.grafting import cut, drawn, found, masked

FEED = {"x": noise(9, 5, 4)}
HEAD = node("MatMul", "a head", "y")
TWO = [node("MatMul", "x gate.weight", "g"), node("MatMul", "x up.weight", "u")]
WEIGHTS: Weights = {
    "gate.weight": noise(1, 4, 6),
    "up.weight": noise(2, 4, 6),
    "both.weight": noise(3, 4, 12),
    "head": noise(4, 6, 3),
    "bias": noise(5, 6),
    "nought": np.array([0]),
    "six": np.array([6]),
    "twelve": np.array([12]),
    "one": np.array([1]),
    "step": np.array(0.05, np.float32),
    "zero": np.array(0, np.int8),
}
HALVES = [
    node("MatMul", "x both.weight", "b"),
    node("Slice", "b nought six one", "g"),
    node("Slice", "b six twelve one", "u"),
]
QUANTISED = [  # as onnxruntime's quantiser leaves it
    node("QuantizeLinear", "b step zero", "bq"),
    node("DequantizeLinear", "bq step zero", "bd"),
    node("Slice", "bd nought six one", "g0"),
    node("QuantizeLinear", "g0 step zero", "gq"),
    node("DequantizeLinear", "gq step zero", "g"),
    node("Slice", "bd six twelve one", "u0"),
    node("QuantizeLinear", "u0 step zero", "uq"),
    node("DequantizeLinear", "uq step zero", "u"),
]
SWISH = [node("Sigmoid", "g", "s"), node("Mul", "g s", "k")]
GATED: dict[str, tuple[list[NodeProto], str]] = {
    "swiglu": ([*TWO, *SWISH, node("Mul", "k u", "a"), HEAD], "gate"),
    "swiglu with biases": (
        [*TWO, *SWISH, node("Add", "u bias", "ub"), node("Mul", "k ub", "a"), HEAD],
        "gate",
    ),
    "geglu of one layer's halves": ([*HALVES, node("Gelu", "g", "k"), node("Mul", "u k", "a"), HEAD], "both"),
    "swiglu of a quantised layer's halves": ([HALVES[0], *QUANTISED, *SWISH, node("Mul", "k u", "a"), HEAD], "both"),
    "scaled behind": (
        [*TWO, node("Sigmoid", "g", "s"), node("Mul", "s u", "m"), node("Mul", "m bias", "a"), HEAD],
        "gate",
    ),
}


def made(nodes: list[NodeProto]) -> bytes:
    opset = 20 if any(each.op_type == "Gelu" for each in nodes) else 18
    return net(nodes, WEIGHTS, ["n", 4], ["n", 3], opset=opset)


@pytest.mark.parametrize("name", GATED)
def test_a_gated_unit_is_masked_once(name: str) -> None:
    """Behind the product; neither the gate nor the value is a site of its own."""
    nodes, called = GATED[name]
    model = made(nodes)
    [site] = found(model)
    assert (site.name, site.units, site.exits) == (called, 6, ("a",))
    masks = drawn(1, [site], 5)
    np.testing.assert_allclose(masked(model, FEED, masks), cut(model, FEED, [("head", 0)], masks), atol=1e-5)


def test_layers_that_read_different_values_are_no_gate() -> None:
    """As in squeeze-and-excitation, where channels are scaled by what comes of themselves: two sites."""
    nodes = [
        node("MatMul", "x up.weight", "u"),
        node("Relu", "u", "r"),
        node("MatMul", "r scale.weight", "z"),
        node("Sigmoid", "z", "s"),
        node("Mul", "r s", "a"),
        HEAD,
    ]
    model = net(nodes, {**WEIGHTS, "scale.weight": noise(6, 6, 6)}, ["n", 4], ["n", 3])
    assert [(site.name, site.exits) for site in found(model)] == [("up", ("r",)), ("scale", ("s",))]


def test_a_value_that_is_seen_beside_the_gate_is_a_site_of_its_own() -> None:
    """Losing it is not the same as losing the product."""
    nodes = [*TWO, node("Sigmoid", "g", "s"), node("Mul", "s u", "m"), node("Add", "m u", "a"), HEAD]
    assert [(site.name, site.exits) for site in found(made(nodes))] == [("gate", ("s",)), ("up", ("u",))]


def test_halves_that_do_not_meet_leave_the_layer_whole() -> None:
    """A split is no gate: both halves of the layer are units."""
    nodes = [*HALVES, node("Relu", "g", "k"), node("Add", "u k", "a"), HEAD]
    assert [(site.name, site.units, site.exits) for site in found(made(nodes))] == [("both", 12, ("b",))]


def test_a_product_of_layers_that_read_different_values_is_no_gate() -> None:
    """Though each is seen by the product alone: each is a site."""
    nodes = [
        node("MatMul", "x up.weight", "u"),
        node("Relu", "u", "r"),
        node("MatMul", "x gate.weight", "h"),
        node("Tanh", "h", "t"),
        node("MatMul", "t scale.weight", "z"),
        node("Sigmoid", "z", "s"),
        node("Mul", "r s", "a"),
        HEAD,
    ]
    model = net(nodes, {**WEIGHTS, "scale.weight": noise(6, 6, 6)}, ["n", 4], ["n", 3])
    assert [(site.name, site.exits[0]) for site in found(model)] == [("up", "r"), ("gate", "t"), ("scale", "s")]
