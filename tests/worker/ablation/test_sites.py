"""Where `sites.find` says a network's units can be ablated."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.nets import BATCH_NORM, HEAD, checked, conv_net, f32, linear, net, node, noise, one_each, residual, two_convs
from worker.ablation.layouts import UNIT, labels
from worker.ablation.sites import Site, find


def sites_of(model: bytes) -> list[Site]:
    data, output = checked(model)
    return find(ir.serde.deserialize_model(onnx.ModelProto.FromString(data)), output)


def place_of(site: Site) -> tuple[int, int]:
    """On which axis the units are, of how many."""
    [axis] = [place for place, each in enumerate(site.layouts[0]) if labels(each) == {UNIT}]
    return axis, len(site.layouts[0])


def number(name: str, value: Any) -> NodeProto:
    return helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(f32(value)))


# What stands between a convolution's output `c` and the next layer's input `a`; where the convolution's mask belongs.
BETWEEN: dict[str, tuple[list[NodeProto], str]] = {
    "relu": ([node("Relu", "c", "a")], "a"),
    "normalised": ([node("BatchNormalization", "c scale shift mu var", "n"), node("Relu", "n", "a")], "a"),
    "bias as a node": ([node("Add", "c bias", "b"), node("Relu", "b", "a")], "a"),
    "prelu": ([node("PRelu", "c bias", "a")], "a"),
    "relu, then a pool": ([node("Relu", "c", "r"), node("MaxPool", "r", "a", kernel_shape=[2, 2])], "r"),
    "a pool, then relu": ([node("MaxPool", "c", "p", kernel_shape=[2, 2]), node("Relu", "p", "a")], "a"),
    "a pool, then normalised": (
        [
            node("AveragePool", "c", "p", kernel_shape=[2, 2]),
            node("BatchNormalization", "p scale shift mu var", "n"),
            node("Elu", "n", "a"),
        ],
        "a",
    ),
    "dropout": ([node("Relu", "c", "r"), node("Dropout", "r", "d"), node("Identity", "d", "a")], "r"),
    "silu": ([node("Sigmoid", "c", "s"), node("Mul", "c s", "a")], "a"),
    "gelu by erf": (
        [
            number("root", 2**0.5),
            number("one", 1),
            number("half", 0.5),
            node("Div", "c root", "d"),
            node("Erf", "d", "e"),
            node("Add", "e one", "p"),
            node("Mul", "c p", "m"),
            node("Mul", "m half", "a"),
        ],
        "a",
    ),
    "hard swish": (
        [
            number("three", 3),
            number("none", 0),
            number("six", 6),
            node("Add", "c three", "t"),
            node("Clip", "t none six", "k"),
            node("Mul", "c k", "m"),
            node("Div", "m six", "a"),
        ],
        "a",
    ),
    "leaky relu by a comparison": (
        [
            number("none", 0),
            number("tenth", 0.1),
            node("Greater", "c none", "positive"),
            node("Mul", "c tenth", "small"),
            node("Where", "positive c small", "a"),
        ],
        "a",
    ),
    "softmax over space is no part": ([node("Softmax", "c", "a", axis=3)], "c"),
    "another branch added": ([node("Relu", "c", "r"), node("Tanh", "x2", "t"), node("Add", "r t", "a")], "r"),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_the_mask_belongs_behind_the_last_operator_that_keeps_channels_apart(name: str) -> None:
    """Bias, normalisation and activation, whole or in pieces, belong to the layer; pools and other branches do not."""
    between, exit_ = BETWEEN[name]
    weights = {"bias": noise(8, 4, 1, 1), **BATCH_NORM}
    branch = [node("Conv", "x other.weight", "x2", pads=[0, 0, 0, 0])]
    if any("x2" in each.input for each in between):
        between, weights = [*branch, *between], {**weights, "other.weight": noise(9, 4, 2, 3, 3)}
    [conv] = [site for site in sites_of(two_convs(between, weights)) if site.name == "conv"]
    assert (conv.op, conv.units, place_of(conv), conv.exits) == ("Conv", 4, (1, 4), (exit_,))
    assert conv.convolutional
    assert conv.region[0] == "c"


def test_a_residual_branch_is_masked_before_the_addition() -> None:
    """The stem is masked where both ways begin, the branch where it ends; what is behind the sum is nobody's."""
    assert [(site.name, site.exits) for site in sites_of(residual())] == [
        ("conv", ("r",)),
        ("branch", ("n",)),
        ("conv2", ("last",)),
    ]


def test_a_value_seen_before_and_behind_its_activation_has_two_exits() -> None:
    """As in a pre-activation ResNet, where the way past takes the value before its normalisation."""
    between = [
        node("Relu", "c", "r"),
        node("Conv", "r other.weight", "o"),
        node("Add", "o c", "a"),
    ]
    sites = sites_of(two_convs(between, {"other.weight": noise(9, 4, 4, 1, 1)}))
    assert [site.exits for site in sites][:2] == [("c", "r"), ("o",)]


def test_a_comparison_that_leaves_is_a_user_not_an_exit() -> None:
    """A bool cannot be masked: whoever compares sees the masked value."""
    between = [
        number("none", 0),
        node("Relu", "c", "r"),
        node("Conv", "x other.weight", "o"),
        node("Greater", "r none", "positive"),
        node("Where", "positive o r", "a"),
    ]
    sites = sites_of(two_convs(between, {"other.weight": noise(9, 4, 2, 3, 3)}))
    assert [site.exits for site in sites][:2] == [("r",), ("o",)]


def dense(nodes: list[NodeProto], weights: dict[str, Any]) -> bytes:
    return net([*nodes, node("MatMul", "a head", "y")], {**weights, "head": noise(3, 4, 3)}, ["n", 5], ["n", 3])


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([node("Gemm", "x w", "h"), node("Relu", "h", "a")], {"w": noise(1, 5, 4)}),
        ([node("Gemm", "x w", "h", transB=1), node("Relu", "h", "a")], {"w": noise(1, 4, 5)}),
        (
            [node("MatMul", "x w", "h"), node("Add", "h b", "b1"), node("Relu", "b1", "a")],
            {"w": noise(1, 5, 4), "b": noise(2, 4)},
        ),
        ([number("w", noise(1, 5, 4)), node("MatMul", "x w", "h"), node("Tanh", "h", "a")], {}),
        ([node("Transpose", "v", "w"), node("MatMul", "x w", "h"), node("Relu", "h", "a")], {"v": noise(1, 4, 5)}),
        ([node("Identity", "v", "w"), node("Gemm", "x w", "h"), node("Relu", "h", "a")], {"v": noise(1, 5, 4)}),
    ],
    ids=["gemm", "transposed gemm", "matmul and bias", "constant node", "transposed constant", "shared by identity"],
)
def test_dense_layers_are_found_however_their_weights_are_kept(nodes: list[NodeProto], weights: dict[str, Any]) -> None:
    """Initializer, Constant node, or moved about first: a constant is a constant. Units lie on the last axis."""
    [site] = sites_of(dense(nodes, weights))
    assert (site.units, place_of(site), site.exits, site.convolutional) == (4, (1, 2), ("a",), False)


def test_a_dense_layer_over_tokens_keeps_its_rank() -> None:
    """A MatMul on [batch, tokens, width] has its units on the last axis of three."""
    nodes = [
        node("Reshape", "x to", "t"),
        node("MatMul", "t w", "h"),
        node("Relu", "h", "r"),
        node("ReduceMean", "r axes", "m", keepdims=0),
        node("MatMul", "m head", "y"),
    ]
    weights = {"to": np.array([0, 2, 3]), "axes": np.array([1]), "w": noise(1, 3, 4), "head": noise(2, 4, 3)}
    [site] = sites_of(net(nodes, weights, ["n", 6], ["n", 3]))
    assert (site.units, place_of(site), site.exits) == (4, (2, 3), ("r",))


def test_a_constant_of_higher_rank_moves_the_axes() -> None:
    """Adding [1, 1, 4] to [n, 4] gives [1, n, 4], where the units are on another axis, and the examples too."""
    nodes = [
        node("Gemm", "x w", "h"),
        node("Relu", "h", "r"),
        node("Add", "r b", "b1"),
        node("Squeeze", "b1 axes", "a"),
    ]
    weights = {"w": noise(1, 5, 4), "b": noise(2, 1, 1, 4), "axes": np.array([0])}
    [site] = sites_of(dense(nodes, weights))
    assert (site.exits, place_of(site)) == (("b1",), (2, 3))


def test_transposed_convolutions_count_groups() -> None:
    """A ConvTranspose's weights are [in, out / group, ...]."""
    nodes = [node("ConvTranspose", "x up.weight", "u", group=2), node("Relu", "u", "last"), *HEAD]
    [site] = sites_of(net(nodes, {"up.weight": noise(1, 2, 3, 2, 2), "head": noise(2, 6, 3)}, ["n", 2, 5, 5], ["n", 3]))
    assert (site.name, site.units, site.convolutional) == ("up", 6, True)


def test_quantised_layers_are_found_behind_their_scales() -> None:
    """In a QDQ file the weights are dequantised constants, and the activation sits in the quantisation's range."""
    between = [node("QuantizeLinear", "c step zero", "q"), node("DequantizeLinear", "q step zero", "a")]
    weights: dict[str, Any] = {
        "step": f32(0.1),
        "zero": np.uint8(0),
        "packed": np.ones((4, 4, 1, 1), np.int8),
        "zero8": np.int8(0),
    }
    layer = [node("DequantizeLinear", "packed step zero8", "w2"), node("Conv", "a w2", "last")]
    sites = sites_of(conv_net([*between, *layer], weights))
    assert [(site.units, site.exits, site.grids) for site in sites] == [
        (4, ("q",), (("step", "zero"),)),
        (4, ("last",), (None,)),
    ]


def test_the_classifier_is_no_site() -> None:
    """Its units are classes, be it dense or a convolution with a pool behind."""
    assert sites_of(linear()) == []
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("Conv", "r head", "h"),
        node("GlobalAveragePool", "h", "g"),
        node("Flatten", "g", "f"),
        node("Softmax", "f", "y"),
    ]
    weights = {"w": noise(1, 4, 2, 3, 3), "head": noise(2, 3, 4, 1, 1)}
    assert [site.exits for site in sites_of(net(nodes, weights, ["n", 2, 8, 8], ["n", 3]))] == [("r",)]


def test_what_the_class_output_does_not_see_is_no_site() -> None:
    """A branch that leads elsewhere has no units to lose; nor does it make an exit of what it looks at."""
    side = [node("Conv", "c conv2.weight", "s"), node("Relu", "s", "t"), node("Conv", "t conv2.weight", "u")]
    sites = sites_of(two_convs([node("Relu", "c", "a"), *side]))
    assert [(site.name, site.exits) for site in sites] == [("conv", ("a",)), ("conv2", ("last",))]


def test_a_single_unit_is_no_site() -> None:
    """One unit has no order to be lost in."""
    assert sites_of(one_each(1)) == []
    assert [site.units for site in sites_of(one_each(2))] == [2]


def test_names_are_unique_and_the_authors() -> None:
    """A layer is called as its weights; layers that share them are numbered."""
    between = [node("Relu", "c", "r"), node("Conv", "r conv2.weight", "d"), node("Relu", "d", "a")]
    assert [site.name for site in sites_of(two_convs(between))] == ["conv", "conv2", "conv2#2"]


def test_a_long_chain_takes_no_time() -> None:
    """Ten thousand operators behind one layer are found in one walk: time must not grow with their square."""
    length = 10_000
    chain = [node("Relu", "c" if i == 0 else f"v{i - 1}", f"v{i}") for i in range(length)]
    model = two_convs([*chain, node("Relu", f"v{length - 1}", "a")])
    assert [site.exits for site in sites_of(model)] == [("a",), ("last",)]


def test_halves_are_masked_as_halves() -> None:
    """A region may compute in float16 within."""
    between = [
        node("Cast", "c", "h", to=TensorProto.FLOAT16),
        node("Relu", "h", "r"),
        node("Cast", "r", "a", to=TensorProto.FLOAT),
    ]
    assert sites_of(two_convs(between))[0].exits == ("r",)


def test_a_layer_of_integers_is_no_site() -> None:
    """What a mask could not be multiplied with is left alone; once, it sent the search round for ever."""
    nodes = [
        node("Cast", "x", "i", to=TensorProto.INT32),
        node("MatMul", "i w", "h"),
        node("Neg", "h", "n"),
        node("Cast", "n", "f", to=TensorProto.FLOAT),
        node("Softmax", "f", "a"),
    ]
    assert sites_of(dense(nodes, {"w": np.ones((5, 4), np.int32)})) == []


def test_weights_of_one_axis_make_no_layer() -> None:
    """Nothing that an exporter writes, but a file may hold it."""
    found = find(ir.serde.deserialize_model(odd_convolution()), "y")
    assert found == []


def odd_convolution() -> onnx.ModelProto:
    """Weights with one axis, which the checker lets pass where shapes are unknown."""
    graph = helper.make_graph(
        [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("MatMul", "r v", "y")],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(noise(1, 4), "w"), numpy_helper.from_array(noise(1, 4, 3), "v")],
    )
    return helper.make_model(graph)
