"""Quantised files of all three kinds: where their sites are, and that a mask leaves the integers' arithmetic alone."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from tests.nets import Weights, f32, net, node, noise
from tests.worker.ablation.grafting import drawn, found, masked, means, parsed, run
from worker.ablation import graft
from worker.ablation.flops import multiply_adds

GRID: dict[str, Any] = {"s": f32(0.05), "z": np.uint8(3), "zi": np.int8(-100), "ws": f32(0.02), "wz": np.int8(0)}
PACKED: Weights = {
    "w": np.random.default_rng(1).integers(-100, 100, (4, 2, 3, 3)).astype(np.int8),
    "v": np.random.default_rng(2).integers(-100, 100, (4, 3)).astype(np.int8),
}
FEED = {"x": noise(5, 5, 2, 5, 5)}


def foreign(operator: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), outputs, domain="com.microsoft", **attributes)


def pairs(zero: str) -> list[NodeProto]:
    """QDQ: the activation is the range of the quantisation; pooled, flattened and quantised once more."""
    return [
        node("QuantizeLinear", f"x s {zero}", "xq"),
        node("DequantizeLinear", f"xq s {zero}", "xd"),
        node("DequantizeLinear", "w ws wz", "wd"),
        node("Conv", "xd wd", "c"),
        node("QuantizeLinear", f"c s {zero}", "cq"),
        node("DequantizeLinear", f"cq s {zero}", "cd"),
        node("MaxPool", "cd", "p", kernel_shape=[3, 3]),
        node("QuantizeLinear", f"p s {zero}", "pq"),
        node("DequantizeLinear", f"pq s {zero}", "pd"),
        node("Flatten", "pd", "f"),
        node("QuantizeLinear", f"f s {zero}", "fq"),
        node("DequantizeLinear", f"fq s {zero}", "fd"),
        node("DequantizeLinear", "v ws wz", "vd"),
        node("Gemm", "fd vd", "y"),
    ]


def operators(zero: str) -> list[NodeProto]:
    """QOperator: integers from end to end."""
    return [
        node("QuantizeLinear", f"x s {zero}", "xq"),
        node("QLinearConv", f"xq s {zero} w ws wz s {zero}", "cq"),
        node("MaxPool", "cq", "pq", kernel_shape=[3, 3]),
        node("Flatten", "pq", "fq"),
        foreign("QGemm", f"fq s {zero} v ws wz - s {zero}", "g", alpha=1.0),
        node("DequantizeLinear", f"g s {zero}", "y"),
    ]


AT_RUN_TIME = [
    node("DynamicQuantizeLinear", "x", "xq xs xz"),
    node("ConvInteger", "xq w xz", "i"),
    node("Cast", "i", "n", to=1),
    node("Mul", "xs ws", "scale"),
    node("Mul", "n scale", "c"),
    node("Add", "c bias", "b"),
    node("Relu", "b", "r"),
    node("GlobalMaxPool", "r", "p"),
    node("Flatten", "p", "f"),
    foreign("DynamicQuantizeMatMul", "f v ws wz", "y"),
]
CASES = {
    "pairs of uint8": (pairs("z"), "cq", "z"),
    "pairs of int8": (pairs("zi"), "cq", "zi"),
    "operators on uint8": (operators("z"), "cq", "z"),
    "operators on int8": (operators("zi"), "cq", "zi"),
    "at run time": (AT_RUN_TIME, "r", ""),
}


def made(name: str) -> bytes:
    return unchecked(CASES[name][0], {**PACKED, **GRID, "bias": noise(3, 4, 1, 1)})


def unchecked(nodes: list[NodeProto], weights: Weights) -> bytes:
    """A model with operators that ONNX's checker does not know."""
    plain = net([node("Flatten", "x", "y")], weights, ["n", 2, 5, 5], ["n", 3])
    proto = helper.make_model(helper.make_graph([], "g", [], []))
    proto.ParseFromString(plain)
    del proto.graph.node[:]
    for each in nodes:
        each.input[:] = ["" if name == "-" else name for name in each.input]
    proto.graph.node.extend(nodes)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return bytes(proto.SerializeToString())


def expected(model: bytes, name: str, mask: NDArray[np.bool_], fill: Any) -> NDArray[Any]:
    """The network's answers with the exit's values replaced by hand, in numpy, between its two halves."""
    exit_ = CASES[name][1]
    nodes = CASES[name][0]
    proto = helper.make_model(helper.make_graph([], "g", [], []))
    proto.ParseFromString(model)
    place = next(index for index, each in enumerate(nodes) if exit_ in each.output)
    proto.graph.output[0].CopyFrom(helper.make_empty_tensor_value_info(exit_))
    [values] = run(proto.SerializeToString(), FEED)
    values = np.where(mask[:, :, None, None], values, np.asarray(fill, values.dtype).reshape(1, -1, 1, 1))
    proto.ParseFromString(model)
    del proto.graph.node[: place + 1]
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info(exit_, kind, values.shape))
    return run(proto.SerializeToString(), {exit_: values})[0]


@pytest.mark.parametrize("name", CASES)
def test_the_one_site_is_behind_the_quantised_activation(name: str) -> None:
    """Integers are masked where they are; the sums in int32 are no exit, the floats behind them are."""
    _, exit_, zero = CASES[name]
    [site] = found(made(name))
    assert (site.units, site.exits, site.convolutional) == (4, (exit_,), True)
    assert site.grids == ((("s", zero) if zero else None),)
    assert graft.mask_shape(site, 7) == (7, 4, 1, 1)


@pytest.mark.parametrize("name", CASES)
def test_an_ablated_unit_is_at_the_zero_point(name: str) -> None:
    """To the last bit what replacing its values by hand gives."""
    model = made(name)
    [mask] = drawn(1, found(model), 5)
    zero = GRID[CASES[name][2]] if CASES[name][2] else 0
    np.testing.assert_array_equal(masked(model, FEED, [mask]), expected(model, name, mask, zero))


@pytest.mark.parametrize("name", CASES)
def test_an_ablated_unit_is_at_the_nearest_integer_to_its_mean(name: str) -> None:
    """On the exit's grid; its mean is told in what the integers stand for."""
    model = made(name)
    [mask] = drawn(1, found(model), 5)
    [[shown]] = means(model, FEED)
    assert shown.dtype == np.float32
    mean = shown.mean(axis=0)
    zero = CASES[name][2]
    fill = np.round(mean / GRID["s"]) + GRID[zero].astype(np.float32) if zero else mean
    np.testing.assert_allclose(
        masked(model, FEED, [mask], "mean", [mean]), expected(model, name, mask, fill), atol=1e-6
    )


@pytest.mark.parametrize("name", CASES)
def test_with_every_unit_kept_nothing_is_changed(name: str) -> None:
    """Not a bit: the runtime fuses the same operators as without masks."""
    model = made(name)
    kept = [np.ones((5, 4), np.bool_)]
    np.testing.assert_array_equal(masked(model, FEED, kept), run(model, FEED)[0])


@pytest.mark.parametrize("name", CASES)
def test_integers_cost_what_floats_do(name: str) -> None:
    """A multiply-add is one whatever it multiplies."""
    assert multiply_adds(parsed(made(name))) == 4 * 9 * 2 * 9 + 4 * 3
