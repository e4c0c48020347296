"""Shared work against the plain way, trial by trial: what the masks of `Network.outputs` give, up to rounding."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from tests import nets
from tests.nets import f32, net, node, noise, two_convs
from worker.ablation import alone, prefix, pruned, sessions, shared, trials, unhurt
from worker.ablation.network import Network
from worker.ablation.shared import Shared
from worker.ablation.trials import Design

EXAMPLES = 40
INPUTS = noise(1, EXAMPLES, 2, 8, 8)


def chain() -> bytes:
    """Convolutions that can lose channels on both sides, one of each channel by itself, a pool, a dense layer."""
    weights: nets.Weights = {
        "w1": noise(2, 12, 2, 3, 3),
        "b1": noise(3, 12),
        "w2": noise(4, 12, 1, 3, 3),
        "b2": noise(5, 12),
        "w3": noise(6, 10, 12, 3, 3) / 4,
        "b3": noise(7, 10),
        "low": f32(0.0),
        "high": f32(6.0),
        "w4": noise(8, 10 * 4, 9) / 6,
        "b4": noise(9, 9),
        "w5": noise(10, 9, 5),
        "b5": noise(11, 5),
    }
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2 b2", "c2", group=12, pads=[1, 1, 1, 1]),
        node("Clip", "c2 low high", "r2"),
        node("Conv", "r2 w3 b3", "c3", pads=[1, 1, 1, 1]),
        node("Sigmoid", "c3", "s3"),
        node("Mul", "c3 s3", "r3"),
        node("MaxPool", "r3", "p3", kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", "p3", "f"),
        node("Gemm", "f w4 b4", "g4"),
        node("Relu", "g4", "r4"),
        node("Gemm", "r4 w5 b5", "y"),
    ]
    return net(nodes, weights, ("batch", 2, 8, 8), ("batch", 5))


def dense(beside: bool) -> bytes:
    """Three layers, of which the first is most of the work. beside: it is seen by another layer, not masked there."""
    weights: nets.Weights = {
        "w1": noise(2, 128, 24) / 8,
        "b1": noise(3, 24),
        "w2": noise(4, 24, 10) / 4,
        "w3": noise(5, 10, 5) / 2,
        "w4": noise(6, 128, 10) / 8,
    }
    nodes = [
        node("Flatten", "x", "f"),
        node("Gemm", "f w1 b1", "g1"),
        node("Relu", "g1", "r1"),
        node("MatMul", "r1 w2", "g2"),
        *([node("MatMul", "f w4", "g4"), node("Add", "g2 g4", "s2")] if beside else [node("Identity", "g2", "s2")]),
        node("Relu", "s2", "r2"),
        node("MatMul", "r2 w3", "y"),
    ]
    return net(nodes, weights, ("batch", 2, 8, 8), ("batch", 5))


NETS = {
    "chain": chain,
    "residual": nets.residual,
    "dense": lambda: dense(beside=False),
    "dense beside": lambda: dense(beside=True),
}


def opened(model: bytes, clamp: str = "zero") -> Network:
    network = Network(*nets.checked(model), threads=2)
    network.mask([site.name for site in network.sites], "zero")
    if clamp == "mean":
        network.mask([site.name for site in network.sites], "mean", network.means({"x": INPUTS}))
    return network


def drawn(network: Network, separate: bool) -> list[trials.Trials]:
    units = tuple(site.units for site in network.sites)
    design = Design(3, EXAMPLES, units, "grid", separate, orderings=2, fractions=7)
    return [trials.draw(design, index) for index in range(trials.chunks(design) or 0)]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("clamp", ["zero", "mean"])
@pytest.mark.parametrize("first", ["by lesion", "shared"])
def test_shared_work_changes_nothing_but_rounding(
    name: str, separate: bool, clamp: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grid of either scope: the same outputs to 1e-5 of their size, the same answers, and twice the same bytes.

    What comes before the masks is computed for each lesion, or kept.
    """
    monkeypatch.setattr(prefix, "LEAST_SHARE", 0.0 if first == "shared" else 1.0)
    monkeypatch.setattr(prefix, "LEAST_WORK", 0)
    monkeypatch.setattr(shared, "NODE_WORK", 0)
    monkeypatch.setattr(shared, "WEIGHT_WORK", 0)
    monkeypatch.setattr(shared, "KEPT_BYTES", 30_000)
    network = opened(NETS[name](), clamp)
    assert network.multiply({"x": INPUTS[:8]}) == (clamp == "zero")
    for chunk in drawn(network, separate):
        asked = ({"x": INPUTS}, chunk.examples, chunk.lesions, chunk.masks)
        plain = network.outputs(*asked)
        ours = Shared(network).outputs(*asked)
        np.testing.assert_allclose(ours, plain, atol=1e-5 * np.abs(plain).max(), rtol=0)
        np.testing.assert_array_equal(ours.argmax(1), plain.argmax(1))
        assert ours.tobytes() == Shared(network).outputs(*asked).tobytes()


def test_channels_go_from_all_layers_that_they_touch() -> None:
    """Half of the units lost leave about a quarter of the work, and no mask at all."""
    network = opened(chain())
    assert network.multiply({"x": INPUTS[:8]})
    masks = [np.arange(site.units) % 2 == 0 for site in network.sites]
    model = network.grafted()
    pruned.prune(model, network.scope, masks)
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert [each.op_type for each in model.graph] == [
        "Conv", "Relu", "Conv", "Clip", "Conv", "Sigmoid", "Mul", "MaxPool", "Flatten", "Gemm", "Relu", "Gemm"
    ]  # fmt: skip
    weights = [each.inputs[1] for each in model.graph if each.op_type == "Conv"]
    assert [list(each.shape or ()) for each in weights if each] == [[6, 2, 3, 3], [6, 1, 3, 3], [5, 6, 3, 3]]


def test_what_comes_before_the_masks_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once an example, whatever the lesion; and what crosses comes without the lost channels."""
    monkeypatch.setattr(shared, "NODE_WORK", 0)
    monkeypatch.setattr(shared, "WEIGHT_WORK", 0)
    network = opened(dense(beside=False))
    assert network.multiply({"x": INPUTS[:8]})
    met: list[int] = []
    compute = prefix.computed

    def seen(*asked: Any) -> Any:
        met.extend(asked[-1].tolist())
        return compute(*asked)

    monkeypatch.setattr(prefix, "computed", seen)
    ours = Shared(network)
    for chunk in drawn(network, separate=False):
        ours.outputs({"x": INPUTS}, chunk.examples, chunk.lesions, chunk.masks)
    assert sorted(met) == list(range(EXAMPLES))

    kept = prefix.of(network, {"x": INPUTS})
    assert kept is not None
    assert kept.work == 24 * 10 + 10 * 5
    model = kept.behind
    masks = [np.arange(site.units) % 3 == 0 for site in network.sites]
    columns = pruned.prune(model, network.scope, masks, kept.names)
    [given] = model.graph.inputs
    assert given.shape is not None
    assert given.shape[1] == 8
    [(name, left)] = columns.items()
    assert (name, left.axis, left.kept.tolist()) == (given.name, 1, list(range(0, 24, 3)))
    weights = [each.inputs[1] for each in model.graph if each.op_type == "MatMul"]
    assert [list(each.shape or ()) for each in weights if each] == [[8, 4], [4, 5]]


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_a_product_behind_a_site_is_summed_along_an_ordering(
    nested: bool, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each unit is multiplied once for all lesions that keep it; lesions that are not nested go the other way."""
    network = opened(dense(beside))
    network.multiply({"x": INPUTS[:8]})
    met: list[int] = []
    plain = sessions.run

    def seen(session: Any, feed: Any) -> Any:
        if "a" in feed:
            met.append(feed["a"].shape[1])
        return plain(session, feed)

    monkeypatch.setattr(sessions, "run", seen)
    for site, units in enumerate((24,) if beside else (24, 10)):  # beside it, an addition reads the second site
        met.clear()
        places = np.random.default_rng(site).permutation(units)
        lost = np.array([units, 1, 5, 3])
        masks = [np.ones((len(lost), each.units), np.bool_) for each in network.scope]
        masks[site] = places >= lost[:, None]
        if not nested:
            masks[site][2] = places < 5
        examples = np.tile(np.arange(EXAMPLES), len(lost))
        lesions = np.repeat(np.arange(len(lost)), EXAMPLES)
        found = Shared(network).outputs({"x": INPUTS}, examples, lesions, masks)
        expected = network.outputs({"x": INPUTS}, examples, lesions, masks)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)
        runs = -(-EXAMPLES // network.batch({"x": INPUTS}))
        assert sum(met) == (runs * (units - 1) if nested else 0)


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("separate", [False, True])
def test_the_intact_network_answers_once(room: bool, separate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all orderings together, if there is room for what it answers; the same bytes as when it answers again."""
    network = opened(chain())
    network.multiply({"x": INPUTS[:8]})
    if not room:
        monkeypatch.setattr(unhurt, "KEPT_BYTES", 5 * 4 * EXAMPLES - 1)
    ours, met = Shared(network), list[bool]()
    chunks = [drawn(network, separate)[0], drawn(network, separate)[-1]]  # of the first ordering, and of the second
    rows = [np.isin(chunk.lesions, np.flatnonzero(chunk.fractions == 0)) for chunk in chunks]
    assert all(each.any() for each in rows)
    expected = [Shared(network).outputs({"x": INPUTS}, each.examples, each.lesions, each.masks) for each in chunks]
    plain = network.outputs

    def seen(*asked: Any) -> Any:
        met.append(all(mask[asked[2]].all() for mask in asked[3]))
        return plain(*asked)

    monkeypatch.setattr(network, "outputs", seen)
    for chunk, wanted in zip(chunks, expected, strict=True):
        found = ours.outputs({"x": INPUTS}, chunk.examples, chunk.lesions, chunk.masks)
        assert found.tobytes() == wanted.tobytes()
    assert sum(met) == (1 if room else 2)


@pytest.mark.parametrize("least", ["LEAST_SHARE", "LEAST_WORK", "KEPT_BYTES"])
def test_what_comes_before_the_masks_is_kept_where_it_pays(least: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """128 x 24 of 3,362 multiply-adds, 128 of them for each number that crosses, and 24 numbers of each example."""
    network = opened(dense(beside=False))
    network.multiply({"x": INPUTS[:8]})
    enough = {"LEAST_SHARE": 0.913, "LEAST_WORK": 128, "KEPT_BYTES": 24 * 4 * EXAMPLES}[least]
    monkeypatch.setattr(prefix, least, enough)
    assert prefix.of(network, {"x": INPUTS}) is not None
    monkeypatch.setattr(prefix, least, enough - 1 if least == "KEPT_BYTES" else enough * 1.01)
    assert prefix.of(network, {"x": INPUTS}) is None


@pytest.mark.parametrize("lost", [0, 1])
def test_a_site_that_is_lost_whole(lost: int) -> None:
    """No layer is left without a channel; the site is zero all the same."""
    network = opened(chain())
    assert network.multiply({"x": INPUTS[:8]})
    masks = [np.full((1, site.units), index != lost) for index, site in enumerate(network.sites)]
    masks[-1][0, 0] = False  # two sites lose something, so that it goes into the weights
    rows = np.arange(EXAMPLES)
    asked = ({"x": INPUTS}, rows, np.zeros(EXAMPLES, np.int64), masks)
    ours = Shared(network)._pruned({"x": INPUTS}, rows, [mask[0] for mask in masks])
    np.testing.assert_allclose(ours, network.outputs(*asked), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["chain", "residual"])
@pytest.mark.parametrize("clamp", ["zero", "mean"])
def test_a_unit_alone_is_held_against_its_own_way(name: str, clamp: str) -> None:
    """Where nothing reads a unit, the pair is equal to the last bit; else both are what the whole network gives."""
    network = opened(NETS[name](), clamp)
    network.multiply({"x": INPUTS[:8]})
    units = tuple(site.units for site in network.sites)
    every = np.arange(sum(units))
    examples = np.arange(EXAMPLES)[::-3].copy()
    places = np.tile(np.arange(len(examples)), len(every))
    lesions = np.repeat(every, len(examples))
    masks = alone.masks(units, every)
    ablated, intact = Shared(network).alone({"x": INPUTS}, examples, places, lesions, masks)
    plain = network.outputs({"x": INPUTS}, examples[places], lesions, masks)
    nothing = [np.ones((1, size), np.bool_) for size in units]
    unhurt = network.outputs({"x": INPUTS}, examples[places], np.zeros(len(places), np.int64), nothing)
    np.testing.assert_allclose(ablated, plain, atol=1e-5, rtol=0)
    np.testing.assert_allclose(intact, unhurt, atol=1e-5, rtol=0)
    np.testing.assert_array_equal((ablated == intact).all(1), (plain == unhurt).all(1))
    assert (ablated == intact).all(1).any() == (name == "chain")  # where some units never fire
    assert not (ablated == intact).all()


def test_what_overflows_is_chosen_not_multiplied() -> None:
    """An infinite activation times zero would be NaN."""
    model = two_convs([node("Relu", "c", "a")])
    network = Network(*nets.checked(model))
    network.mask([site.name for site in network.sites], "zero")
    shape = tuple(size if isinstance(size, int) else 1 for size in network.inputs["x"].shape or ())[1:]
    assert network.multiply({"x": np.ones((2, *shape), np.float32)})
    network.mask([site.name for site in network.sites], "zero")
    assert not network.multiply({"x": np.full((2, *shape), 3e38, np.float32)})
    assert network.grafted().graph.inputs[-1].dtype == ir.DataType.BOOL


def test_a_model_that_runs_its_examples_alone_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it cut: the plain way answers."""
    network = Network(*nets.checked(nets.mixing()))
    network.mask([site.name for site in network.sites], "zero")
    network.alone = True
    monkeypatch.setattr(Shared, "_ways", None)
    inputs = {"x": noise(3, 4, *[size for size in (network.inputs["x"].shape or ()) if isinstance(size, int)])}
    masks: list[NDArray[np.bool_]] = [np.ones((1, site.units), np.bool_) for site in network.sites]
    rows = np.arange(4)
    found = Shared(network).outputs(inputs, rows, rows * 0, masks)
    np.testing.assert_array_equal(found, network.outputs(inputs, rows, rows * 0, masks))
