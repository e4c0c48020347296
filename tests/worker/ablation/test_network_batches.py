"""How many examples a network is given at a time, and that those beside an example change nothing."""

import numpy as np
import pytest

from tests.nets import f32, noise
from tests.worker.ablation.grafting import run
from tests.worker.ablation.unusual import MLP, masked, mixing, quantised, token_tags, tokens, written_in
from worker.ablation import batches, trial_run
from worker.ablation.network import Inputs, Network, NetworkError


def shuffled(network: Network, inputs: Inputs, trials: int) -> None:
    """Trials in another order, and in parts, give the same bits."""
    generator = np.random.default_rng(5)
    examples, order = generator.integers(0, len(next(iter(inputs.values()))), trials), generator.permutation(trials)
    masks = [generator.random((trials, site.units)) < 0.6 for site in network.sites]
    every = np.arange(trials)
    whole = network.outputs(inputs, examples, every, masks)
    np.testing.assert_array_equal(network.outputs(inputs, examples[order], order, masks), whole[order])
    for part in (slice(0, 1), slice(3, 8), slice(8, trials)):
        np.testing.assert_array_equal(network.outputs(inputs, examples[part], every[part], masks), whole[part])


def test_long_texts_make_small_batches() -> None:
    """Where the model leaves an axis open, the dataset's own size decides what fits; never the trials beside."""
    network = masked(token_tags(width=1024))
    short, long = ({"ids": np.zeros((40, length), np.int64)} for length in (7, 5000))
    assert network.batch(short) == 128
    # Embeddings of 4, two activations of 1024 and an output of 3, 4 bytes each, for each of 5,000 tokens.
    assert network.batch(long) == 4
    assert 4 * 5000 * (4 + 2048 + 3) * 4 <= batches.BATCH_BYTES < 4 * 5000 * (4 + 2048 + 3) * 8
    assert network.batch({"ids": long["ids"][:1]}) == 4
    shuffled(network, {"ids": np.random.default_rng(1).integers(0, 10, (9, 40))}, 70)


def test_a_batch_of_three_is_filled() -> None:
    """A model exported for three at a time gets three, whatever is left over."""
    inputs = {"x": noise(1, 10, 4)}
    network = masked(mixing(3))
    assert network.batch(inputs) == 3
    [expected] = run(mixing(3), {"x": inputs["x"][[9, 9, 9]]})
    np.testing.assert_allclose(network.intact(inputs, 9, 10), expected[:1], atol=1e-6)


@pytest.mark.parametrize("batch", ["batch", 3])
def test_what_quantises_at_run_time_runs_alone(batch: int | str) -> None:
    """Each example's scale is its own: what a batch of itself gives, in every company, ablated or not."""
    network = masked(quantised(batch))
    inputs = {"x": noise(1, 10, 4) * np.float32(10.0) ** np.arange(-5, 5, dtype=np.float32)[:, None]}
    assert network.alone
    assert network.batch(inputs) == (1 if batch == "batch" else batch)
    own = np.stack([run(quantised(), {"x": row[None]})[0][0] for row in inputs["x"]])
    np.testing.assert_allclose(network.intact(inputs, 0, 10), own, rtol=1e-5, atol=1e-6)
    shuffled(network, inputs, 20)
    [warning] = trial_run.run(network, inputs, "cpu").warnings
    assert "one scale for all examples" in warning
    assert "'q'" in warning
    alone = [network.means({"x": row[None]})[0] for row in inputs["x"]]
    np.testing.assert_allclose(network.means(inputs)[0], np.mean(alone, axis=0), rtol=1e-5)


@pytest.mark.parametrize("batch", ["batch", 3])
def test_what_mixes_is_found_out(batch: int | str) -> None:
    """A network that subtracts the mean of its batch is seen to, whatever it does it with, and runs alone from then."""
    inputs = {"x": noise(1, 10, 4)}
    network = masked(mixing(batch))
    assert not network.alone
    before = network.intact(inputs, 0, 10)
    [warning] = trial_run.run(network, inputs, "cpu").warnings
    assert "depends on which others" in warning
    assert ("by itself" if batch == "batch" else "a batch of 3 copies") in warning
    assert network.alone
    after = network.intact(inputs, 0, 10)
    assert not np.allclose(before, after)
    # Alone, an example's mean is itself, and x - x + x is x.
    np.testing.assert_allclose(after, np.maximum(inputs["x"] @ MLP["w"], 0) @ MLP["v"], rtol=1e-4, atol=1e-5)
    shuffled(network, inputs, 20)
    assert trial_run.run(network, inputs, "cpu").warnings == []


def test_what_keeps_examples_apart_is_not_suspected() -> None:
    """Several inputs, other lengths: no warning, and the largest batch stays."""
    ids = np.random.default_rng(1).integers(0, 10, (9, 40))
    inputs = {"ids": ids, "mask": ids > 3, "t": f32(1)}
    network = masked(tokens())
    trial = trial_run.run(network, inputs, "cpu")
    assert (trial.warnings, trial.tail, trial.broken) == ([], (3,), False)
    assert (network.alone, network.batch(inputs)) == (False, 128)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_batch_that_only_a_reshape_tells_of_is_found(size: int) -> None:
    """The file leaves the batch open and runs at one size: the answers there are those of a free batch."""
    inputs = {"x": noise(1, 11, 2, 2)}
    network = masked(written_in(size))
    trial = trial_run.run(network, inputs, "cpu")
    assert network.fixed_batch == network.batch(inputs) == size
    [warning] = trial.warnings
    assert f"runs with {size} at a time only" in warning
    np.testing.assert_allclose(network.intact(inputs, 0, 11), masked(written_in(-1)).intact(inputs, 0, 11), atol=1e-6)
    shuffled(network, inputs, 20)


def test_what_runs_at_no_size_is_an_error() -> None:
    """The first reason is given, and the network is as it was."""
    network = masked(written_in(3, last=6))
    with pytest.raises(NetworkError, match="reshape"):
        trial_run.run(network, {"x": noise(1, 11, 2, 3)}, "cpu")
    assert network.fixed_batch is None
