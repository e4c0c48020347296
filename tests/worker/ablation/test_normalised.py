"""Layers with a normalisation between them and their activation, whole or in pieces, which looks at all channels."""

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto

from tests.nets import f32, net, node, noise
from tests.worker.ablation.grafting import cut, drawn, found, masked

UNITS, PLACES = 6, 4
WEIGHTS: dict[str, Any] = {
    "c.weight": noise(1, UNITS, 3, 1),
    "next.weight": noise(2, UNITS, UNITS, 1),
    "head": noise(3, UNITS, 3),
    "scale": noise(4, UNITS),
    "shift": noise(5, UNITS),
    "scale1": noise(4, UNITS, 1),
    "shift1": noise(5, UNITS, 1),
    "ones": f32(np.ones(2)),
    "noughts": f32(np.zeros(2)),
    "groups": np.array([0, 2, -1]),
    "whole": np.array([0, UNITS, PLACES]),
    "one": np.array([1]),
    "last": np.array([-1]),
    "two": f32(2.0),
    "little": f32(1e-3),
}
FEED = {"x": noise(9, 5, 3, PLACES)}
CONV = node("Conv", "x c.weight", "c")
NEXT = [
    node("Conv", "a next.weight", "k"),
    node("GlobalAveragePool", "k", "g"),
    node("Flatten", "g", "f"),
    node("MatMul", "f head", "y"),
]
AFFINE = [node("Mul", "n scale1", "m"), node("Add", "m shift1", "s"), node("Relu", "s", "a")]
SQUARES = [
    node("Mul", "c c", "sq"),
    node("ReduceMean", "sq one", "ms"),
    node("Add", "ms little", "e"),
    node("Sqrt", "e", "root"),
]
MEASURED = [
    node("ReduceMean", "c one", "mean"),
    node("Sub", "c mean", "d"),
    node("Pow", "d two", "sq"),
    node("ReduceMean", "sq one", "var"),
    node("Add", "var little", "e"),
    node("Sqrt", "e", "root"),
    node("Div", "d root", "n"),
]
BETWEEN: dict[str, list[NodeProto]] = {
    "over all of it": [
        node("Transpose", "c", "t", perm=[0, 2, 1]),
        node("LayerNormalization", "t scale shift", "l", axis=-1),
        node("Transpose", "l", "b", perm=[0, 2, 1]),
        node("Relu", "b", "a"),
    ],
    "of each channel": [node("InstanceNormalization", "c scale shift", "n"), node("Elu", "n", "a")],
    "of groups, as torch's older exporter writes it": [
        node("Reshape", "c groups", "r"),
        node("InstanceNormalization", "r ones noughts", "i"),
        node("Reshape", "i whole", "n"),
        *AFFINE,
    ],
    "in pieces": [*MEASURED, *AFFINE],
    "of squares, behind the activation": [
        node("Conv", "x c.weight", "h"),
        node("Relu", "h", "c"),
        *SQUARES,
        node("Div", "c root", "a"),
    ],
    "of lengths": [
        node("ReduceL2", "c one", "long"),
        node("Max", "long little", "longer"),
        node("Shape", "c", "shape"),
        node("Expand", "longer shape", "wide"),
        node("Div", "c wide", "a"),
    ],
}


def made(between: list[NodeProto]) -> bytes:
    nodes = [*between, *NEXT]
    start = [] if any("c" in each.output for each in between) else [CONV]
    return net([*start, *nodes], WEIGHTS, ["n", 3, PLACES], ["n", 3])


@pytest.mark.parametrize("name", BETWEEN)
def test_the_mask_belongs_behind_a_normalisation(name: str) -> None:
    """A lost unit is one that the next layer does not see, and its loss changes no other unit of its layer."""
    model = made(BETWEEN[name])
    sites = found(model)
    assert [site.exits for site in sites] == [("a",), ("k",)]
    masks = drawn(1, sites, 5)
    expected = cut(model, FEED, [("next.weight", 1), ("head", 0)], masks)
    np.testing.assert_allclose(masked(model, FEED, masks), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["in pieces", "of squares"])
def test_what_goes_past_a_normalisation_is_masked_before_it(name: str) -> None:
    """A residual stream is ablated where it begins, and what reads it normalises what is left."""
    squares = [*SQUARES, node("Div", "c root", "a")]
    between = [CONV, *(BETWEEN["in pieces"] if name == "in pieces" else squares)]
    past = [node("Conv", "a next.weight", "b"), node("Add", "b c", "k"), *NEXT[1:]]
    [stem, branch] = found(net([*between, *past], WEIGHTS, ["n", 3, PLACES], ["n", 3]))
    assert "c" in stem.exits
    assert "a" not in stem.exits
    assert branch.exits == ("b",)


def test_sums_over_examples_are_no_normalisation() -> None:
    """What mixes examples is somebody else's affair, and sees the masked units."""
    between = [node("Relu", "c", "r"), node("ReduceMean", "r", "all"), node("Sub", "r all", "a")]
    assert found(made(between))[0].exits == ("r",)
