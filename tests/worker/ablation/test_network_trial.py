"""A network tried before anybody gave it an example: invented ones, sites that cannot matter, what it costs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.nets import f32, node, noise
from tests.worker.ablation.unusual import (
    BOOL,
    BYTE,
    FLOAT,
    INT64,
    MLP,
    masked,
    mlp,
    model,
    tokens,
    with_idle_site,
    written_in,
)
from worker.ablation import idle, invented, trial_run
from worker.ablation.network import Network, NetworkError


def tried(network: Network) -> trial_run.Trial:
    attempts = partial(invented.attempts, network.inputs, network.written_sizes())
    return trial_run.first_that_runs(network, attempts, "cpu")


def described(inputs: Mapping[str, tuple[ir.DataType, Any]]) -> dict[str, ir.Value]:
    return {
        name: ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        for name, (dtype, shape) in inputs.items()
    }


def test_invented_examples_suit_their_types() -> None:
    """Ids and marks are 0 and 1, no row without a mark; pictures are bytes or noise; axes of one name have one size."""
    inputs = described(
        {
            "ids": (ir.DataType.INT64, ["batch", "length"]),
            "mask": (ir.DataType.BOOL, ["batch", "length"]),
            "picture": (ir.DataType.UINT8, ["batch", "height", "width", 3]),
            "sound": (ir.DataType.FLOAT16, [1, 40]),
            "rate": (ir.DataType.INT64, []),
        }
    )
    first, *others = [{name: array.shape for name, array in each.items()} for each in invented.attempts(inputs)]
    made = next(iter(invented.attempts(inputs)))
    assert first == {"ids": (8, 8), "mask": (8, 8), "picture": (8, 64, 64, 3), "sound": (8, 40), "rate": ()}
    assert all(each["ids"] == each["mask"] for each in others)
    assert len({each["ids"] for each in others}) > 3
    assert set(np.unique(made["ids"])) == {0, 1}
    assert made["mask"][:, 0].all()
    assert made["picture"].max() == 255
    assert [each.dtype.name for each in made.values()] == ["int64", "bool", "uint8", "float16", "int64"]
    assert [array.tobytes() for array in made.values()] == [
        array.tobytes() for array in next(iter(invented.attempts(inputs))).values()
    ]


def test_a_network_of_tokens_runs_on_what_is_invented() -> None:
    """Ids, a mask and a scalar, at a length that nobody told."""
    network = masked(tokens())
    trial = tried(network)
    assert (trial.tail, trial.broken, trial.warnings) == ((3,), False, [])
    assert trial_run.milliseconds(network, trial.inputs) > 0
    assert network.multiply_adds() is None
    assert network.multiply_adds({"ids": (3,), "mask": (3,)}) == 4 * 6 + 6 * 3


def test_a_length_that_the_file_writes_is_tried() -> None:
    """An open axis that a Reshape nails down gets that size."""
    nodes = mlp([node("Reshape", "x target", "a")])
    network = masked(model(nodes, {**MLP, "target": np.array([-1, 4])}, {"x": (FLOAT, ["batch", "n", 1, 1])}))
    trial = tried(network)
    assert trial.inputs["x"].shape == (8, 4, 1, 1)


def test_a_batch_is_searched_for_only_if_nothing_else_runs() -> None:
    """A size for a batch that is written in is found with invented examples too."""
    network = masked(written_in(2))
    assert "runs with 2 at a time only" in tried(network).warnings[0]


def test_what_answers_nan_is_broken() -> None:
    """A network that divides nothing by nothing whatever comes in runs, and is called broken."""
    after = [node("Sub", "z z", "n"), node("Div", "n n", "y")]
    assert tried(masked(model(mlp([node("Identity", "x", "a")], after), MLP, {"x": (FLOAT, ["batch", 4])}))).broken


def test_another_attempt_may_do() -> None:
    """Noise gives NaN under a root, ones do not."""
    before = [node("Sqrt", "x", "a")]
    trial = tried(masked(model(mlp(before), MLP, {"x": (FLOAT, ["batch", 4])})))
    assert not trial.broken
    np.testing.assert_array_equal(trial.inputs["x"], 1)


def test_what_runs_on_nothing_says_why() -> None:
    """Ids that no table holds: the error is that of the first attempt."""
    nodes = mlp([node("Add", "ids far", "i"), node("Gather", "table i", "a")])
    weights = {**MLP, "far": np.array(1000), "table": noise(1, 10, 4)}
    with pytest.raises(NetworkError, match="indices"):
        tried(masked(model(nodes, weights, {"ids": (INT64, ["batch"])})))


def test_a_site_that_cannot_matter_is_named() -> None:
    """One that is multiplied by zero is found among others; the others are not suspected."""
    network = masked(with_idle_site())
    trial = tried(network)
    assert [site.name for site in network.sites] == ["h", "side"]
    assert idle.sites(network, trial.inputs) == ["side"]
    [warning] = idle.warnings(network, trial.inputs)
    assert warning.startswith("Site side cannot matter: ablating all of it changes nothing")


def test_idle_sites_are_found_alone_and_in_fixed_batches_too() -> None:
    """However it has to be run, the same site is found."""
    for alone, batch in ((True, None), (False, 3), (True, 3)):
        network = masked(with_idle_site())
        network.alone, network.fixed_batch = alone, batch
        assert idle.sites(network, {"x": noise(1, 8, 4)}) == ["side"]


def test_examples_that_show_nothing_accuse_nobody() -> None:
    """Zeros all through, or NaN: no site can be told from another by them."""
    network = masked(with_idle_site())
    assert idle.sites(network, {"x": f32(np.zeros((8, 4)))}) == []
    assert idle.sites(network, {"x": f32(np.full((8, 4), np.nan))}) == []


def test_a_dear_network_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is bounded by arithmetic, so that every machine finds the same."""
    network = masked(with_idle_site())
    monkeypatch.setattr(idle, "WORK_LIMIT", network.work({"x": noise(1, 8, 4)}) * 31)
    assert idle.sites(network, {"x": noise(1, 8, 4)}) == []


def test_types_are_those_of_the_file() -> None:
    """A picture of bytes and a flag go in as such."""
    before = [
        node("Cast", "picture", "f", to=FLOAT),
        node("ReduceMean", "f area", "a", keepdims=0),
        node("Cast", "flag", "g", to=FLOAT),
    ]
    inputs: dict[str, tuple[int, Any]] = {"picture": (BYTE, ["batch", "h", "w", 4]), "flag": (BOOL, ["batch", 1])}
    network = masked(model(mlp(before, [node("Mul", "z g", "y")]), {**MLP, "area": np.array([1, 2])}, inputs))
    assert not tried(network).broken
