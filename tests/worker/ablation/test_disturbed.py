"""Draws of noise: of each unit's own size, one direction at growing strength, the same wherever they are drawn."""

import numpy as np

from worker.ablation import disturbed

SITES = (3, 2)
DEVIATIONS = np.array([1.0, 0.0, 2.0, 0.5, 3.0])
STRENGTHS = np.array([0.5, 1.0, 2.0])


def test_noise_has_the_deviations_that_were_asked_for() -> None:
    """Means of 0, independent, each unit's own deviation at strength 1, and multiples of one draw at the others."""
    parts = disturbed.noise(1, 0, 4000, DEVIATIONS, SITES, STRENGTHS)
    assert [part.shape for part in parts] == [(12_000, 3), (12_000, 2)]
    drawn = np.concatenate(parts, axis=1).reshape(4000, 3, 5)
    np.testing.assert_allclose(drawn[:, 1].std(axis=0), DEVIATIONS, rtol=0.05)
    assert (np.abs(drawn[:, 1].mean(axis=0)) <= 4 * DEVIATIONS / np.sqrt(4000)).all()
    np.testing.assert_allclose(drawn[:, 2], 4 * drawn[:, 0], rtol=1e-5)
    own = drawn[:, 1, DEVIATIONS > 0]
    assert np.abs(np.corrcoef(own.T) - np.eye(4)).max() < 0.06


def test_a_row_does_not_depend_on_its_block() -> None:
    """Rows from 7 on are those of the whole."""
    whole = disturbed.noise(2, 0, 20, DEVIATIONS, SITES, STRENGTHS)
    part = disturbed.noise(2, 7, 5, DEVIATIONS, SITES, STRENGTHS)
    for one, other in zip(part, whole, strict=True):
        np.testing.assert_array_equal(one, other[7 * 3 : 12 * 3])
