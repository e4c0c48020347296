"""Heads that are lost go from the projections around them, where they can be followed; elsewhere they are masked."""

import numpy as np
import pytest
from onnx import NodeProto

from tests.nets import checked, node
from tests.worker.ablation.test_heads import BEHIND, CASES, FEED, HEADS, MLP, SCORES, WIDTH, made
from worker.ablation import prefix, pruned
from worker.ablation.network import Network
from worker.ablation.shared import Shared

DEPTH = WIDTH // HEADS


def asked(axis: str) -> list[NodeProto]:
    """As exporters write it: the root of a size that the queries are asked for, at run time."""
    size = [
        node("Shape", "q", "sizes"),
        node("Gather", f"sizes {axis}", "size"),
        node("Cast", "size", "number", to=1),
        node("Sqrt", "number", "own"),
        node("Div", "dots own", "w"),
    ]
    return [*SCORES[:-1], *size, node("Softmax", "w", "p"), *BEHIND, *MLP]


NETS = {
    **{name: made(nodes) for name, nodes in CASES.items()},
    "asks for the depth": made(asked("last")),
    "asks for the heads": made(asked("first")),
}
FOLLOWED = {"a softmax", "a mask and a dropout", "asks for the depth"}
SHAPES = {"q": 1, "k": 1, "v": 1, "o": 0}  # the axis of each weight on which heads lie


def opened(model: bytes) -> Network:
    network = Network(*checked(model), threads=2)
    network.mask([site.name for site in network.sites], "zero")
    assert network.multiply(FEED)
    return network


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("kept", [(0, 1, 2), (0, 2), (1,), ()])
@pytest.mark.parametrize("first", ["by lesion", "shared"])
def test_lost_heads_change_nothing_but_rounding(
    name: str, kept: tuple[int, ...], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outputs that masks give, whether or not what comes before the heads is kept."""
    monkeypatch.setattr(prefix, "LEAST_SHARE", 0.0 if first == "shared" else 1.0)
    monkeypatch.setattr(prefix, "LEAST_WORK", 0)
    network = opened(NETS[name])
    masks = [np.isin(np.arange(HEADS), kept), np.array([True, False, True, True, False])]
    rows = np.arange(len(FEED["x"]))
    plain = network.outputs(FEED, rows, rows * 0, [mask[None] for mask in masks])
    ours = Shared(network)._pruned(FEED, rows, masks)
    np.testing.assert_allclose(ours, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(NETS.keys() - {"heads inside the operator"}))
def test_heads_go_from_all_four_projections(name: str) -> None:
    """Two of three are left of queries, keys, values and of what reads them, where each step can be followed."""
    network = opened(NETS[name])
    model = network.grafted()
    pruned.prune(model, network.scope, [np.array([True, False, True]), np.ones(5, np.bool_)])
    followed = name in FOLLOWED
    sizes = {name: [WIDTH, WIDTH] for name in SHAPES}
    for each, axis in SHAPES.items():
        sizes[each][axis] = 2 * DEPTH if followed else WIDTH
    products = [each for each in model.graph if each.op_type == "MatMul" and each.inputs[1] is not None]
    weights = [list(each.inputs[1].shape or ()) for each in products if each.inputs[1].is_initializer()]  # type: ignore[union-attr]
    assert weights[:4] == list(sizes.values())
    assert (
        any((value.name or "").startswith("lesion_mask_0") for node in model.graph for value in node.inputs if value)
        != followed
    )
