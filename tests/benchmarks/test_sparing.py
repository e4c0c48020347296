"""What ways of drawing and reading trials save: on made-up trials; looks as published tables have them."""

from statistics import NormalDist

import numpy as np
import pytest

from benchmarks.sparing import looks
from benchmarks.sparing.sample import Sample, shipped
from benchmarks.sparing.savings import WAYS, savings

TRIALS = 8000
KINDS = ("twin", "again", "elsewhere", "reversed", "complement", "reversed, apart", "complement, apart")


def made(right: dict[str, np.ndarray], margin: np.ndarray, labels: np.ndarray) -> Sample:
    fractions = (np.random.default_rng(1).permutation(TRIALS) + 0.5) / TRIALS
    return Sample("made up", 1.0, 0.1, labels, margin, fractions, right)


def tossed(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {kind: random.random(TRIALS) < 0.5 for kind in ("plain", *KINDS)}


def test_nothing_saves_where_trials_are_tosses_of_a_coin() -> None:
    """Answers that depend on nothing: every way saves nothing, within its interval or nearly so."""
    random = np.random.default_rng(2)
    found = savings(made(tossed(3), random.normal(size=TRIALS), random.integers(0, 10, TRIALS)))
    assert list(found) == list(WAYS)
    assert all(each.low <= each.value <= each.high for each in found.values())
    assert max(abs(each.value) for name, each in found.items() if "class and" not in name) < 0.05


def test_what_saves_is_told() -> None:
    """Answers that follow the margin are saved by the control, those of the other units' pairs by pairing."""
    random = np.random.default_rng(2)
    right, margin = tossed(4), random.normal(size=TRIALS)
    right["plain"] = np.where(random.random(TRIALS) < 0.8, margin > 0, right["plain"])
    right["complement"] = ~right["plain"]
    found = savings(made(right, margin, np.zeros(TRIALS, np.int64)))
    assert found["control: right or wrong intact"].value == pytest.approx(0.64, abs=0.05)
    assert found["control: intact margin, 8 bins"].value == pytest.approx(0.64, abs=0.05)
    assert found["the same example, the other units"].value > 0.9
    assert abs(found["stratified by class"].value) < 0.02


def test_looks_are_those_of_the_published_table() -> None:
    """Pocock's constants for equally spaced looks (Biometrika 64, 1977); with looks that double, 7 % are saved."""
    for count, quantile in ((1, 1.960), (2, 2.178), (3, 2.289), (5, 2.413), (10, 2.555)):
        level = looks.level(0.95, tuple(range(1, count + 1)), 1)
        assert NormalDist().inv_cdf((1 + level) / 2) == pytest.approx(quantile, abs=1e-3)
    assert 0.05 < looks.saved(390) < 0.09


def test_a_shipped_network_in_short() -> None:
    """On a few trials of the shipped networks, which make no error: knowing what is right intact saves nothing."""
    for sample in shipped(2000, 0):
        assert sample.accuracy > 0.99
        found = savings(sample)
        assert abs(found["control: right or wrong intact"].value) < 0.03
        assert found["an example's own curve known"].value > found["control: right or wrong intact"].value
