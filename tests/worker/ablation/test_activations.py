"""What units do on each example, against means over the dataset, and that a size of zero means nothing but zeros."""

import numpy as np
import pytest

from tests import nets
from tests.nets import checked, f32, noise
from worker.ablation import alone
from worker.ablation.network import Network


def opened(model: bytes) -> Network:
    network = Network(*checked(model))
    network.mask([site.name for site in network.sites], "zero")
    return network


def test_their_mean_is_the_mean_that_clamps_use() -> None:
    """Example by example, in any order and number, they average to the dataset's means."""
    network, inputs = opened(nets.residual()), {"x": noise(1, 40, 2, 8, 8)}
    means, sizes = network.activations(inputs, np.arange(40))
    np.testing.assert_allclose(means.mean(axis=0), np.concatenate(network.means(inputs)), atol=1e-6)
    order = np.random.default_rng(0).permutation(40)[:33]
    again, _ = network.activations(inputs, order)
    np.testing.assert_array_equal(again, means[order])
    stem = slice(0, 4)  # rectified; the branch behind it is not
    np.testing.assert_array_equal(means[:, stem], sizes[:, stem])
    assert (means < sizes).any()


def test_a_size_of_zero_is_nothing_but_zeros() -> None:
    """Of values that cancel, the mean is zero and the size is not; of none, both are."""
    layers = [nets.node("Gemm", "x w", "h"), nets.node("Tanh", "h", "t"), nets.node("Gemm", "t v", "y")]
    model = nets.net(layers, {"w": f32(np.eye(3)), "v": noise(1, 3, 2)}, ["batch", 3], ["batch", 2])
    means, sizes = opened(model).activations({"x": f32([[1, 0, -1], [-2, 0, 0]])}, np.arange(2))
    np.testing.assert_allclose(means, np.tanh([[1, 0, -1], [-2, 0, 0]]), atol=1e-6)
    np.testing.assert_array_equal(sizes, np.abs(means))
    maps = nets.conv_net([nets.node("Tanh", "c", "last")])
    network = opened(maps)
    means, sizes = network.activations({"x": noise(2, 5, 2, 8, 8)}, np.arange(5))
    assert (sizes > np.abs(means)).all()


@pytest.mark.parametrize("sites", [(3,), (2, 4, 1)])
def test_each_row_of_the_masks_loses_one_unit(sites: tuple[int, ...]) -> None:
    """Counted through all sites, in any selection."""
    total = sum(sites)
    for units in (np.arange(total), np.array([total - 1]), np.arange(0, total, 2)):
        masks = np.concatenate(alone.masks(sites, units), axis=1)
        assert masks.shape == (len(units), total)
        assert np.nonzero(~masks)[1].tolist() == units.tolist()


def test_examples_come_in_one_random_order() -> None:
    """All of them, the same for the same seed."""
    order = alone.order(3, 1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != sorted(order.tolist())
    assert alone.order(3, 1000).tolist() == order.tolist() != alone.order(4, 1000).tolist()
