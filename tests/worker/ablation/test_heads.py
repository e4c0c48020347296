"""What counts as attention heads and as their projections, and what does not, in graphs written by hand."""

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto

from tests.nets import f32, net, node, noise
from tests.worker.ablation.grafting import cut, drawn, found, masked

WIDTH, HEADS, TOKENS = 6, 3, 4
WEIGHTS: dict[str, Any] = {
    **{f"{name}.weight": noise(place, WIDTH, WIDTH) for place, name in enumerate("qkvo")},
    "up.weight": noise(7, WIDTH, 5),
    "down.weight": noise(8, 5, WIDTH),
    "head": noise(9, WIDTH, 3),
    "first": np.array([1]),
    "root": f32(2**0.5),
    "split": np.array([0, 0, HEADS, -1]),
    "joined": np.array([0, 0, WIDTH]),
}
FEED = {"x": noise(20, 5, TOKENS, WIDTH)}
MLP = [
    node("Add", "o x", "s"),
    node("MatMul", "s up.weight", "u"),
    node("Relu", "u", "r"),
    node("MatMul", "r down.weight", "d"),
    node("Add", "d s", "t"),
    node("ReduceMean", "t first", "m", keepdims=0),
    node("MatMul", "m head", "y"),
]


def projected(name: str) -> list[NodeProto]:
    return [
        node("MatMul", f"x {name}.weight", f"{name}p"),
        node("Reshape", f"{name}p split", f"{name}s"),
        node("Transpose", f"{name}s", name, perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]),
    ]


SCORES = [
    *projected("q"),
    *projected("k"),
    *projected("v"),
    node("MatMul", "q k", "dots"),
    node("Div", "dots root", "w"),
]
BEHIND = [
    node("MatMul", "p v", "context"),
    node("Transpose", "context", "c1", perm=[0, 2, 1, 3]),
    node("Reshape", "c1 joined", "c2"),
    node("MatMul", "c2 o.weight", "o"),
]
PIECES = [
    node("ReduceMax", "w last", "top"),
    node("Sub", "w top", "below"),
    node("Exp", "below", "e"),
    node("ReduceSum", "e last", "total"),
    node("Div", "e total", "p"),
]
VALUES_FIRST = [  # as in networks of convolutions: channels before places
    node("Transpose", "v", "vt", perm=[0, 1, 3, 2]),
    node("Transpose", "p", "pt", perm=[0, 1, 3, 2]),
    node("MatMul", "vt pt", "context"),
    node("Reshape", "context channels", "c1"),
    node("Transpose", "c1", "c2", perm=[0, 2, 1]),
    node("MatMul", "c2 o.weight", "o"),
]
CASES = {
    "a softmax": [*SCORES, node("Softmax", "w", "p"), *BEHIND, *MLP],
    "a softmax in pieces": [*SCORES, *PIECES, *BEHIND, *MLP],
    "a mask and a dropout": [
        *SCORES,
        node("Where", "causal w low", "wm"),
        node("Softmax", "wm", "soft"),
        node("Dropout", "soft", "p"),
        *BEHIND,
        *MLP,
    ],
    "values first": [*SCORES, node("Softmax", "w", "p"), *VALUES_FIRST, *MLP],
    "heads inside the operator": [
        *[node("MatMul", f"x {name}.weight", name) for name in "qkv"],
        node("Attention", "q k v", "c2", q_num_heads=HEADS, kv_num_heads=HEADS),
        node("MatMul", "c2 o.weight", "o"),
        *MLP,
    ],
}


def made(nodes: list[NodeProto]) -> bytes:
    more = {"last": np.array([-1]), "causal": np.tril(np.ones((TOKENS, TOKENS), np.bool_)), "low": f32(-1e9)}
    more["channels"] = np.array([0, WIDTH, TOKENS])
    opset = 23 if any(each.op_type == "Attention" for each in nodes) else 18
    return net(nodes, {**WEIGHTS, **more}, ["n", TOKENS, WIDTH], ["n", 3], opset=opset)


@pytest.mark.parametrize("name", CASES)
def test_heads_are_cut_where_the_projection_reads_them(name: str) -> None:
    """Heads and the MLP's hidden units, nothing else: no Q, K, V, no projection, no second layer of the MLP."""
    model = made(CASES[name])
    sites = found(model)
    assert [(site.name, site.op, site.units, site.depth) for site in sites] == [
        ("o.heads", "Attention", HEADS, WIDTH // HEADS),
        ("up", "MatMul", 5, 1),
    ]
    masks = drawn(1, sites, 5)
    expected = cut(model, FEED, [("o.weight", 0), ("down.weight", 0)], masks)
    np.testing.assert_allclose(masked(model, FEED, masks), expected, atol=1e-4, rtol=1e-4)


def test_a_head_becomes_its_mean_channel_by_channel() -> None:
    """The means of heads are as many as the projection reads, in its order."""
    model = made(CASES["a softmax"])
    mean = noise(3, WIDTH)
    lost = [np.zeros((5, HEADS), np.bool_), np.zeros((5, 5), np.bool_)]
    s = FEED["x"] + mean @ WEIGHTS["o.weight"]
    hidden = np.zeros(5, np.float32)
    expected = s.mean(axis=1) @ WEIGHTS["head"]
    np.testing.assert_allclose(masked(model, FEED, lost, "mean", [mean, hidden]), expected, atol=1e-4)


def test_learned_queries_have_heads_too() -> None:
    """As where tokens are pooled by attention, or read into a few latents: the queries are constants."""
    nodes = [each for each in [*SCORES[3:], node("Softmax", "w", "p"), *BEHIND] if each.name not in ("o",)]
    pooled = [node("MatMul", "c2 o.weight", "o0"), node("Relu", "o0", "m0"), node("Squeeze", "m0 first", "m")]
    weights = {**WEIGHTS, "q": noise(3, 1, HEADS, 1, WIDTH // HEADS)}
    model = net([*nodes, *pooled, node("MatMul", "m head", "y")], weights, ["n", TOKENS, WIDTH], ["n", 3])
    sites = found(model)
    assert [(site.op, site.units) for site in sites] == [("Attention", HEADS), ("MatMul", WIDTH)]
    masks = drawn(1, sites, 5)
    expected = cut(model, FEED, [("o.weight", 0), ("head", 0)], masks)
    np.testing.assert_allclose(masked(model, FEED, masks), expected, atol=1e-4)


def test_one_head_is_no_site_but_attention_all_the_same() -> None:
    """It has no order to be lost in; its projections are none either."""
    single = [
        *[node("MatMul", f"x {name}.weight", name) for name in "qv"],
        node("MatMul", "x k.weight", "kp"),
        node("Transpose", "kp", "k", perm=[0, 2, 1]),
        node("MatMul", "q k", "w"),
        node("Softmax", "w", "p"),
        node("MatMul", "p v", "context"),
        node("MatMul", "context o.weight", "o"),
        *MLP,
    ]
    assert [site.name for site in found(made(single))] == ["up"]


def test_pooling_by_weights_is_no_attention() -> None:
    """A softmax of scores that one layer gives, times the tokens: all layers are sites as anywhere else."""
    nodes = [
        node("MatMul", "x q.weight", "h"),
        node("MatMul", "h score", "w"),
        node("Softmax", "w", "p", axis=1),
        node("Transpose", "p", "pt", perm=[0, 2, 1]),
        node("MatMul", "pt h", "context"),
        node("Squeeze", "context first", "m"),
        node("MatMul", "m head", "y"),
    ]
    model = net(nodes, {**WEIGHTS, "score": noise(3, WIDTH, 1)}, ["n", TOKENS, WIDTH], ["n", 3])
    assert [(site.name, site.units) for site in found(model)] == [("q", WIDTH)]


def test_a_linear_layer_between_layers_has_hidden_units() -> None:
    """In a quantised transformer an MLP's activation is absorbed; what only a layer reads is no residual stream."""
    nodes = [each for each in CASES["a softmax"] if each.op_type != "Relu"]
    plain = [node("MatMul", "u down.weight", "d") if each.name == "d" else each for each in nodes]
    assert [site.name for site in found(made(plain))] == ["o.heads", "up"]


@pytest.mark.parametrize("measured", [False, True])
def test_layers_of_convolutions_are_sites_beside_attention(measured: bool) -> None:
    """A residual branch that ends in BatchNorm is one in any network; only embedding patches is none.

    torch's older exporter measures shapes at the values: what is measured only makes no queries.
    """
    nodes = [
        node("Conv", "img patch", "e", strides=[2, 2]),
        node("Conv", "e inner.weight", "b"),
        node("Add", "b e", "sum"),
        node("Reshape", "sum rows", "xt"),
        node("Transpose", "xt", "x0", perm=[0, 2, 1]),
        *([node("Shape", "x0", "size", end=2), node("Concat", "size rest", "split", axis=0)] if measured else []),
        *CASES["a softmax"],
    ]
    renamed: list[NodeProto] = []
    for each in nodes:
        copy = NodeProto()
        copy.CopyFrom(each)
        copy.input[:] = [{"img": "x", "x": "x0"}.get(name, name) for name in each.input]
        renamed.append(copy)
    weights = {**WEIGHTS, "patch": noise(1, WIDTH, 2, 2, 2), "inner.weight": noise(2, WIDTH, WIDTH, 1, 1)}
    weights["rows"], weights["rest"] = np.array([0, WIDTH, TOKENS]), np.array([HEADS, -1])
    weights = {name: each for name, each in weights.items() if not measured or name != "split"}
    model = net(renamed, weights, ["n", 2, 4, 4], ["n", 3])
    assert [site.name for site in found(model)] == ["inner", "o.heads", "up"]


def test_convolutions_may_be_projections() -> None:
    """Q, K, V and the output's projection are no sites, whatever operator they are."""
    each = [
        step
        for name in "qkv"
        for step in [
            node("Conv", f"x {name}.conv", f"{name}p"),
            node("Reshape", f"{name}p split", f"{name}s"),
            node("Transpose", f"{name}s", name, perm=[0, 1, 2, 3] if name == "k" else [0, 1, 3, 2]),
        ]
    ]
    nodes = [
        *each,
        node("MatMul", "q k", "w"),
        node("Softmax", "w", "p"),
        node("MatMul", "p v", "context"),
        node("Transpose", "context", "c1", perm=[0, 1, 3, 2]),
        node("Reshape", "c1 map", "c2"),
        node("Conv", "c2 o.conv", "o"),
        node("Add", "o x", "s"),
        node("GlobalAveragePool", "s", "g"),
        node("Flatten", "g", "f"),
        node("MatMul", "f head", "y"),
    ]
    weights = {f"{name}.conv": noise(place, WIDTH, WIDTH, 1, 1) for place, name in enumerate("qkvo")}
    shapes = {"split": np.array([0, HEADS, -1, 4]), "map": np.array([0, WIDTH, 2, 2])}
    model = net(nodes, {**weights, **shapes, "head": noise(9, WIDTH, 3)}, ["n", WIDTH, 2, 2], ["n", 3])
    [site] = found(model)
    assert (site.op, site.units, site.depth) == ("Attention", HEADS, WIDTH // HEADS)
    feed = {"x": noise(3, 5, WIDTH, 2, 2)}
    masks = drawn(2, [site], 5)
    np.testing.assert_allclose(masked(model, feed, masks), cut(model, feed, [("o.conv", 1)], masks), atol=1e-4)
