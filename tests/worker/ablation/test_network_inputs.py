"""What a network is fed and what it gives: several inputs, scalars, types, and outputs of any shape."""

from typing import Any

import numpy as np
import pytest

from tests.nets import f32, node, noise
from tests.worker.ablation.grafting import run
from tests.worker.ablation.unusual import (
    BYTE,
    DOUBLE,
    FLOAT,
    HALF,
    INT64,
    MLP,
    masked,
    mlp,
    model,
    token_tags,
    tokens,
)
from worker.ablation.network import NetworkError

IDS = np.random.default_rng(0).integers(0, 10, (50, 7))
SENTENCES = {"ids": IDS, "mask": IDS > 2, "t": np.array(2.5, np.float32)}


def test_several_inputs_and_a_scalar_are_fed() -> None:
    """Rows of every array go in together, a scalar into every run; the answers are onnxruntime's own."""
    network = masked(tokens())
    [expected] = run(tokens(), SENTENCES)
    np.testing.assert_allclose(network.intact(SENTENCES, 0, 50), expected, atol=1e-6)
    every = np.arange(50)
    np.testing.assert_allclose(network.intact(SENTENCES, 7, 45), expected[7:45], atol=1e-6)
    masks = [np.ones((2, site.units), np.bool_) for site in network.sites]
    masks[0][1] = False
    ablated = network.outputs(SENTENCES, every, every % 2, masks)
    np.testing.assert_array_equal(ablated[1::2], 0)
    np.testing.assert_allclose(ablated[::2], expected[::2], atol=1e-6)


def test_means_are_over_examples_whatever_the_inputs() -> None:
    """With several inputs too, each example counts once, and the scalar is no example."""
    network = masked(tokens())
    [mean] = network.means(SENTENCES)
    each = np.stack(
        [network.means({**SENTENCES, "ids": IDS[i : i + 1], "mask": IDS[i : i + 1] > 2})[0] for i in range(50)]
    )
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-5)


def test_a_scalar_may_stand_in_every_row() -> None:
    """A dataset has one entry for each example; if they are all the same, they are the scalar."""
    network = masked(tokens())
    rows = {**SENTENCES, "t": np.full(50, 2.5, np.float32)}
    np.testing.assert_array_equal(network.intact(rows, 0, 50), network.intact(SENTENCES, 0, 50))
    with pytest.raises(NetworkError, match="'t' is one number for all examples"):
        network.intact({**SENTENCES, "t": np.arange(50, dtype=np.float32)}, 0, 50)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float32])
def test_what_loses_nothing_is_cast(dtype: Any) -> None:
    """Ids of another type are the same ids."""
    network = masked(tokens())
    cast = {**SENTENCES, "ids": IDS.astype(dtype), "mask": (IDS > 2).astype(dtype)}
    np.testing.assert_array_equal(network.intact(cast, 0, 50), network.intact(SENTENCES, 0, 50))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ids": IDS + 0.5}, "'ids' is int64"),
        ({"ids": np.full((50, 7), np.nan)}, "'ids' is int64"),
        ({"mask": IDS}, "'mask' is bool"),
        ({"t": np.array(1e300)}, "'t' is float32"),
        ({"mask": None}, "no array is given for its input 'mask'"),
        ({"ids": IDS + 10}, "indices"),
    ],
)
def test_what_would_lose_something_is_not_fed(change: dict[str, Any], told: str) -> None:
    """An array that its input cannot hold, or one that is missing, is named."""
    inputs = {name: array for name, array in {**SENTENCES, **change}.items() if array is not None}
    with pytest.raises(NetworkError, match=told):
        masked(tokens()).intact(inputs, 0, 50)


@pytest.mark.parametrize(("kind", "dtype"), [(HALF, np.float16), (DOUBLE, np.float64), (BYTE, np.uint8)])
def test_other_types_go_in_and_float32_comes_out(kind: int, dtype: Any) -> None:
    """A network of another type takes and gives its own; what the parent sees is float32."""
    before, after = [node("Cast", "x", "a", to=FLOAT)], [node("Cast", "z", "y", to=kind)]
    network = masked(model(mlp(before, after), MLP, {"x": (kind, ["batch", 4])}, (kind, ["batch", 3])))
    inputs = {"x": np.random.default_rng(1).integers(0, 3, (5, 4)).astype(dtype)}
    outputs = network.intact(inputs, 0, 5)
    assert outputs.dtype == np.float32
    if dtype is not np.uint8:
        expected = np.maximum(inputs["x"].astype(np.float32) @ MLP["w"], 0) @ MLP["v"]
        np.testing.assert_allclose(outputs, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("tail", [(3,), (3, 1, 1), (1, 3)])
def test_outputs_keep_their_shape(tail: tuple[int, ...]) -> None:
    """Classes on one axis or with others behind them: the parent gets what the network gives."""
    target = np.array([-1, *tail])
    nodes = mlp([node("Identity", "x", "a")], [node("Reshape", "z target", "y")])
    network = masked(model(nodes, {**MLP, "target": target}, {"x": (FLOAT, ["batch", 4])}, (FLOAT, ["batch", *tail])))
    assert network.intact({"x": noise(1, 40, 4)}, 0, 40).shape == (40, *tail)


def test_a_number_an_example_and_a_number_a_token() -> None:
    """[N] has no tail, [N, T, C] has that of the dataset's tokens."""
    nodes = mlp([node("Identity", "x", "a")], [node("ReduceMax", "z last", "y", keepdims=0)])
    single = masked(model(nodes, {**MLP, "last": np.array([1])}, {"x": (FLOAT, ["batch", 4])}, (FLOAT, ["batch"])))
    assert single.intact({"x": noise(1, 5, 4)}, 0, 5).shape == (5,)
    assert masked(token_tags()).intact({"ids": IDS}, 3, 50).shape == (47, 7, 3)


def test_an_output_without_the_examples_is_an_error() -> None:
    """One row for a whole batch is no answer to each of its examples."""
    nodes = mlp([node("Identity", "x", "a")], [node("ReduceMean", "z first", "y", keepdims=1)])
    network = masked(model(nodes, {**MLP, "first": np.array([0])}, {"x": (FLOAT, ["batch", 4])}, (FLOAT, [1, 3])))
    with pytest.raises(NetworkError, match=r"for 128 examples its output 'y' has the shape \[1, 3\]"):
        network.intact({"x": noise(1, 5, 4)}, 0, 5)


def test_initializers_among_the_inputs_are_none() -> None:
    """Files of IR 3 list weights as inputs; nobody has to feed them."""
    inputs: dict[str, tuple[int, Any]] = {"x": (INT64, ["batch", 4]), "w": (FLOAT, [4, 6])}
    network = masked(model(mlp([node("Cast", "x", "a", to=FLOAT)]), MLP, inputs))
    assert list(network.inputs) == ["x"]
    np.testing.assert_array_equal(network.intact({"x": np.zeros((2, 4), np.int64)}, 0, 2), f32(np.zeros((2, 3))))
