"""Units wherever they lie: channels last, moved, flattened, merged with the batch; what a mask does is the same."""

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

from tests.nets import Shape, Weights, f32, net, node, noise
from tests.worker.ablation.grafting import cut, drawn, found, masked, means
from worker.ablation import graft

Case = tuple[list[NodeProto], Weights, Shape, list[tuple[str, int]]]

LAST = [
    node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
    node("Conv", "t w", "c", pads=[1, 1, 1, 1]),
    node("Transpose", "c", "u", perm=[0, 2, 3, 1]),
    node("Add", "u bias", "b"),
    node("Relu", "b", "r"),
    node("Transpose", "r", "v", perm=[0, 3, 1, 2]),
    node("Conv", "v w2", "d"),
    node("Transpose", "d", "e", perm=[0, 2, 3, 1]),
    node("ReduceMean", "e space", "m", keepdims=0),
    node("MatMul", "m head", "y"),
]
SPACE = {"space": np.array([1, 2]), "head": noise(3, 6, 3)}
# The network, its input, and for each site the weights that read its units, with the axis that counts them.
CASES: dict[str, Case] = {
    "channels last, as tf2onnx writes them": (
        LAST,
        {"w": noise(1, 4, 2, 3, 3), "bias": noise(2, 4), "w2": noise(4, 6, 4, 1, 1), **SPACE},
        ["n", 5, 5, 2],
        [("w2", 1), ("head", 0)],
    ),
    "a map flattened before its activation": (
        [
            node("Conv", "x w", "c"),
            node("Flatten", "c", "f"),
            node("Relu", "f", "r"),
            node("Gemm", "r v", "y"),
        ],
        {"w": noise(1, 4, 2, 3, 3), "v": noise(2, 4 * 9, 3)},
        ["n", 2, 5, 5],
        [("v", 0)],
    ),
    "tokens in rows beside the examples": (
        [
            node("Reshape", "x rows", "flat"),
            node("MatMul", "flat w", "h"),
            node("Relu", "h", "r"),
            node("MatMul", "r v", "z"),
            node("Reshape", "z back", "t"),
            node("ReduceSum", "t one", "y", keepdims=0),
        ],
        {
            "rows": np.array([-1, 3]),
            "w": noise(1, 3, 4),
            "v": noise(2, 4, 3),
            "back": np.array([-1, 6, 3]),
            "one": np.array([1]),
        },
        ["n", 6, 3],
        [("v", 0)],
    ),
    "time first": (
        [
            node("Transpose", "x", "t", perm=[1, 0, 2]),
            node("MatMul", "t w", "h"),
            node("Tanh", "h", "r"),
            node("MatMul", "r v", "z"),
            node("ReduceSum", "z none", "y", keepdims=0),
        ],
        {"w": noise(1, 3, 4), "v": noise(2, 4, 3), "none": np.array([0])},
        ["n", 6, 3],
        [("v", 0)],
    ),
    "a shuffle between a convolution and its activation": (
        [
            node("Conv", "x w", "c", group=2),
            node("Reshape", "c apart", "a"),
            node("Transpose", "a", "t", perm=[0, 2, 1, 3, 4]),
            node("Reshape", "t together", "s"),
            node("Relu", "s", "r"),
            node("Conv", "r v", "d"),
            node("GlobalAveragePool", "d", "g"),
            node("Flatten", "g", "y"),
        ],
        {
            "w": noise(1, 6, 1, 3, 3),
            "apart": np.array([0, 2, 3, 3, 3]),
            "together": np.array([0, 6, 3, 3]),
            "v": noise(2, 3, 6, 1, 1),
        },
        ["n", 2, 5, 5],
        [("v", 1)],
    ),
    "weights first": (
        [
            node("Transpose", "x", "t", perm=[0, 2, 1]),
            node("MatMul", "w t", "h"),
            node("Relu", "h", "r"),
            node("MatMul", "v r", "z"),
            node("ReduceMean", "z last", "y", keepdims=0),
        ],
        {"w": noise(1, 4, 3), "v": noise(2, 3, 4), "last": np.array([2])},
        ["n", 6, 3],
        [("v", 1)],
    ),
    "einsum": (
        [
            node("Einsum", "x w", "h", equation="btc,ch->bth"),
            node("Relu", "h", "r"),
            node("Einsum", "r v", "y", equation="bth,hk->bk"),
        ],
        {"w": noise(1, 3, 4), "v": noise(2, 4, 3)},
        ["n", 6, 3],
        [("v", 0)],
    ),
}


def made(name: str) -> tuple[bytes, list[tuple[str, int]], Any]:
    nodes, weights, inputs, cuts = CASES[name]
    shape = [5, *[size for size in inputs if isinstance(size, int)]]
    return net(nodes, weights, inputs, ["n", 3]), cuts, {"x": noise(9, *shape)}


def reading(name: str, masks: list[Any], cuts: list[tuple[str, int]]) -> list[Any]:
    """The masks in the order in which the weights that read the units count them."""
    if name.startswith("a shuffle"):
        return [mask.reshape(-1, 2, 3).transpose(0, 2, 1).reshape(-1, 6) for mask in masks]
    return masks


@pytest.mark.parametrize("name", CASES)
def test_zeroing_a_unit_is_cutting_its_outgoing_weights(name: str) -> None:
    """Wherever its channels lie, a masked unit is one that nothing reads."""
    model, cuts, feed = made(name)
    where = found(model)[: len(cuts)]
    assert len(found(model)) == len(cuts)
    masks = drawn(1, where, 5)
    expected = cut(model, feed, cuts, reading(name, masks, cuts))
    np.testing.assert_allclose(masked(model, feed, masks), expected, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_unit_becomes_its_mean_wherever_it_lies(name: str) -> None:
    """With the means of one example, over whose tokens and pixels nothing varies, ablating changes nothing."""
    model, _, feed = made(name)
    constant = {"x": np.broadcast_to(feed["x"][:1].mean(), feed["x"].shape).astype(np.float32)}
    shown = means(model, constant)
    sizes = [graft.mean_sizes(site) for site in found(model)]
    assert [[each.shape for each in exits] for exits in shown] == [[(5, size) for size in each] for each in sizes]
    none = [np.zeros((5, site.units), np.bool_) for site in found(model)]
    every = [~mask for mask in none]
    given = [np.concatenate([each[0] for each in exits]) for exits in shown]
    kept = masked(model, constant, every)
    if name.startswith("channels last"):  # its first convolution pads, so that it does vary
        none[0] = every[0]
    np.testing.assert_allclose(masked(model, constant, none, "mean", given), kept, atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_floats_are_masked_as_what_they_are(kind: int) -> None:
    """Halves and doubles take the same masks; their means are float32."""
    dtype = np.float16 if kind == TensorProto.FLOAT16 else np.float64
    nodes = [
        node("Cast", "x", "x0", to=kind),
        node("MatMul", "x0 w", "h"),
        node("Relu", "h", "r"),
        node("MatMul", "r v", "z"),
        node("Cast", "z", "y", to=TensorProto.FLOAT),
    ]
    model = net(nodes, {"w": noise(1, 5, 4).astype(dtype), "v": noise(2, 4, 3).astype(dtype)}, ["n", 5], ["n", 3])
    feed = {"x": noise(3, 5, 5)}
    masks = drawn(2, found(model), 5)
    np.testing.assert_allclose(masked(model, feed, masks), cut(model, feed, [("v", 0)], masks), atol=1e-6)
    [[mean]] = means(model, feed)
    assert mean.dtype == np.float32
    lost = [np.zeros((5, 4), np.bool_)]
    expected = mean[:1].astype(dtype) @ noise(2, 4, 3).astype(dtype)
    np.testing.assert_allclose(masked(model, feed, lost, "mean", [mean[0]])[0], expected[0], rtol=2e-3)


def test_an_opset_without_where_is_masked_all_the_same() -> None:
    """Opset 8 knows no Where; a kept unit stays what it is."""
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
    model = net(nodes, {"w": noise(1, 5, 4), "v": noise(2, 4, 3)}, ["n", 5], ["n", 3], opset=8)
    feed = {"x": noise(3, 5, 5)}
    masks = drawn(2, found(model), 5)
    np.testing.assert_allclose(masked(model, feed, masks), cut(model, feed, [("v", 0)], masks), atol=1e-6)
    lost = [np.zeros((5, 4), np.bool_)]
    expected = f32([1, 2, 3, 4]) @ noise(2, 4, 3)
    np.testing.assert_allclose(masked(model, feed, lost, "mean", [f32([1, 2, 3, 4])])[0], expected, rtol=1e-6)
