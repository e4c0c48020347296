"""What a masked network answers, for any batch, neighbour and number of threads."""

import math

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests import nets
from tests.nets import RELU_MAX, checked, f32, noise
from worker.ablation import batches
from worker.ablation.graft import Clamp
from worker.ablation.network import Network, NetworkError


def opened(model: bytes, clamp: Clamp = "zero", threads: int = 1) -> Network:
    """A network with masks at all of its sites."""
    network = Network(*checked(model), threads)
    network.mask([site.name for site in network.sites], clamp)
    return network


def kept(network: Network, rows: int = 1) -> list[NDArray[np.bool_]]:
    return [np.ones((rows, site.units), np.bool_) for site in network.sites]


def test_each_example_loses_its_own_unit() -> None:
    """Every trial has its own mask: example j is answered right if and only if unit j is kept, so A(f) = 1 - f."""
    units = 40
    network = opened(nets.one_each(units))
    orderings = np.random.default_rng(3).permuted(np.tile(np.arange(units), (units + 1, 1)), axis=1)
    lost = np.arange(units + 1)
    masks = [orderings >= lost[:, None]]
    lesions, examples = (each.ravel() for each in np.mgrid[: units + 1, :units])
    right = network.outputs({"x": f32(np.eye(units))}, examples, lesions, masks).argmax(axis=1) == 1
    np.testing.assert_array_equal(right, masks[0][lesions, examples])
    np.testing.assert_array_equal(right.reshape(units + 1, units).sum(axis=1), units - lost)


def test_votes_are_counted() -> None:
    """Over all ways to lose three of seven units, a majority is right as often as the hypergeometric law says."""
    network = opened(nets.votes(4, 3))
    masks = [np.array([[(i >> unit) & 1 for unit in range(7)] for i in range(128) if i.bit_count() == 4], np.bool_)]
    every = np.arange(len(masks[0]))
    right = network.outputs({"x": f32([[1]])}, 0 * every, every, masks).argmax(axis=1) == 1
    ways = sum(math.comb(4, r) * math.comb(3, 4 - r) for r in range(5) if r > 4 - r)
    assert (len(every), right.sum()) == (math.comb(7, 4), ways)


def test_a_unit_that_never_fires_changes_nothing() -> None:
    """Exactly nothing, though its weights ahead are enormous."""
    network = opened(nets.dead_unit())
    inputs, every = {"x": noise(1, 50, 3)}, np.arange(50)
    masks = [np.array([[True, True, False, True]])]
    without = network.outputs(inputs, every, 0 * every, masks)
    np.testing.assert_array_equal(without, network.intact(inputs, 0, 50))
    without_another = network.outputs(inputs, every, 0 * every, [np.array([[False, True, True, True]])])
    assert not np.array_equal(without_another, without)


@pytest.mark.parametrize("clamp", ["zero", "mean"])
def test_company_does_not_matter(clamp: Clamp) -> None:
    """The same trial gives the same bits in any order and chunk, in a full batch or a last one, on 1 or 2 threads."""
    inputs, trials = {"x": noise(2, 30, 2, 8, 8)}, 101
    generator = np.random.default_rng(4)
    model = nets.residual()
    network = opened(model)
    masks = [generator.random((trials, site.units)) < 0.6 for site in network.sites]
    examples, every = generator.integers(0, 30, trials), np.arange(trials)
    means = network.means(inputs)
    network.mask([site.name for site in network.sites], clamp, means)
    whole = network.outputs(inputs, examples, every, masks)
    shuffled = generator.permutation(trials)
    np.testing.assert_array_equal(network.outputs(inputs, examples[shuffled], shuffled, masks), whole[shuffled])
    for start, stop in [(0, 1), (7, 9), (31, 33), (50, 101)]:
        part = network.outputs(inputs, examples[start:stop], every[start:stop], masks)
        np.testing.assert_array_equal(part, whole[start:stop])
    two = Network(*checked(model), threads=2)
    two.mask([site.name for site in two.sites], clamp, means)
    np.testing.assert_array_equal(two.outputs(inputs, examples, every, masks), whole)


@pytest.mark.parametrize("size", [1, 3])
def test_a_fixed_batch_is_kept_to(size: int) -> None:
    """A model exported for so many examples at a time answers as one that takes any number."""
    fixed, free = opened(nets.fixed_batch(size)), opened(nets.two_convs([nets.node("Relu", "c", "a")]))
    inputs = {"x": noise(5, 7, 2, 8, 8)}
    assert (fixed.batch(inputs), free.batch(inputs)) == (size, 128)
    masks = [np.random.default_rng(6).random((7, site.units)) < 0.5 for site in fixed.sites]
    every = np.arange(7)
    ours, others = (each.outputs(inputs, every, every, masks) for each in (fixed, free))
    np.testing.assert_allclose(ours, others, atol=1e-6)
    np.testing.assert_allclose(fixed.intact(inputs, 2, 7), free.intact(inputs, 2, 7), atol=1e-6)
    for mine, theirs in zip(fixed.means(inputs), free.means(inputs), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_means_are_means() -> None:
    """The mean clamp's means are those of the whole dataset, over space too, with no padding among them."""
    inputs = {"x": f32([[0], [1], [5]])}
    [mean] = opened(nets.votes(2, 1)).means(inputs)
    np.testing.assert_array_equal(mean, f32([2, 2, 2]))
    images = {"x": noise(7, 37, 2, 8, 8)}
    model = nets.two_convs([nets.node("Relu", "c", "a")])
    means = opened(model).means(images)
    first = onnxruntime.InferenceSession(nets.first_activation(), providers=["CPUExecutionProvider"])
    expected = np.asarray(first.run(None, images)[0]).astype(np.float64).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(means[0], expected, rtol=1e-6)


def test_some_sites_are_masked_and_others_not() -> None:
    """Masks come in the order they were asked for; an unmasked site keeps all of its units."""
    network = Network(*checked(nets.residual()))
    inputs, every = {"x": noise(8, 4, 2, 8, 8)}, np.arange(4)
    masks = [np.random.default_rng(9).random((4, site.units)) < 0.5 for site in network.sites]
    everything = kept(network, 4)
    names = [site.name for site in network.sites]
    network.mask([names[2], names[0]], "zero")
    some = network.outputs(inputs, every, every, [masks[2], masks[0]])
    network.mask(names, "zero")
    all_ = network.outputs(inputs, every, every, [masks[0], everything[1], masks[2]])
    np.testing.assert_allclose(some, all_, atol=1e-6)
    with pytest.raises(KeyError):
        network.mask(["nowhere"], "zero")


def test_a_mask_behind_a_pool_is_a_mask() -> None:
    """Losing all units of a layer whose masks wait behind a pool leaves what its bias alone would give."""
    network = opened(nets.two_convs(RELU_MAX))
    inputs = {"x": noise(10, 2, 2, 8, 8)}
    lost = [np.zeros((1, 4), np.bool_), np.ones((1, 4), np.bool_)]
    outputs = network.outputs(inputs, np.arange(2), np.zeros(2, np.int64), lost)
    np.testing.assert_array_equal(outputs, np.zeros((2, 3)))


def test_the_batch_depends_on_the_model_alone() -> None:
    """A larger network gets a smaller batch, so that its activations fit; a power of two, for any machine the same."""
    small = opened(nets.two_convs([nets.node("Relu", "c", "a")]))
    assert small.batch({"x": noise(1, 3, 2, 8, 8)}) == batches.OF_SMALL
    wide = Network(*checked(nets.wide(2**21)))
    assert wide.batch({"x": noise(1, 100, 1)}) == batches.BATCH_BYTES // (4 * 2**21 * 2) // 2


def test_what_cannot_run_is_said_so() -> None:
    """A graph that no runtime takes raises one error, with the library's reason."""
    with pytest.raises(NetworkError):
        Network(b"not a model", "y")
    network = opened(nets.one_each(3))
    with pytest.raises(NetworkError):
        network.intact({"x": noise(1, 4, 5)}, 0, 4)
