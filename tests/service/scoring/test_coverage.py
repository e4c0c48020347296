"""The score's promises by simulation: unbiased, 95 % intervals cover. benchmarks/coverage.py is the long form."""

import numpy as np
import pytest

from service.scoring import Estimate
from tests.service.scoring import simulation, valued
from worker.ablation.trials import Design

RUNS = 400
SHAPES = simulation.shapes()
VALUED = valued.shapes()
LAYERS = "three layers, each alone"
QUICK = [(name, 0.1 if name == "weak" else 0.05) for name in SHAPES if name != LAYERS]
QUICK += [("like a CNN", 0.01), ("fragile", 0.02)]


def share(found: list[Estimate], truth: float) -> float:
    """The share of intervals that cover the truth."""
    return float(np.mean([each.low <= truth <= each.high for each in found]))


@pytest.mark.parametrize(("name", "precision"), QUICK)
def test_intervals_cover_and_values_are_unbiased(name, precision):
    """Of 400 runs, stop rule included, at least 94 % of the intervals cover the exhaustive score; the mean hits it."""
    network = SHAPES[name]
    known = simulation.truth(network)
    found = []
    for seed in range(RUNS):
        plan = simulation.design(network, seed)
        tally, _ = simulation.evaluate(network, known, plan, precision)
        found.append(simulation.score(tally, known, plan))
    assert max(each.high - each.low for each in found) <= 2 * precision + 1e-5
    assert share(found, known.score) >= 0.94
    values = np.array([each.value for each in found])
    assert abs(values.mean() - known.score) < 3.5 * values.std(ddof=1) / np.sqrt(RUNS)


@pytest.mark.parametrize("name", VALUED)
def test_every_metric_covers(name):
    """Skewed costs, weights, rare classes, tokens, heavy tails: 94 % of the intervals or more cover all the same."""
    network = VALUED[name]
    known = simulation.truth(network)
    assert known.reference.scored
    found, halves = [], []
    for seed in range(100):
        plan = simulation.design(network, seed)
        summary = simulation.published(simulation.evaluate(network, known, plan, 0.1)[0], known, plan)
        assert summary.score is not None
        found.append(summary.score)
        halves += [summary.half_life] if summary.half_life is not None else []
    assert max(each.high - each.low for each in found) <= 2 * 0.1 + 1e-5
    assert share(found, known.score) >= 0.94
    values = np.array([each.value for each in found])
    assert abs(values.mean() - known.score) < 3.5 * values.std(ddof=1) / np.sqrt(len(found))
    assert known.half_life is None or share(halves, known.half_life) >= 0.94


@pytest.mark.parametrize("name", ["cross-entropy", "balanced, 2 % and weights", "tokens", "R2, heavy tails"])
def test_the_grid_measures_the_same_by_every_metric(name):
    """A grid weighs what `adaptive` draws more often: its interval holds the same exhaustive score."""
    network = VALUED[name]
    known = simulation.truth(network)
    found = []
    for seed in range(20):
        plan = Design(seed, network.examples, network.units, "grid", separate=False, orderings=5, fractions=11)
        found.append(simulation.score(simulation.evaluate(network, known, plan)[0], known, plan))
    assert share(found, known.score) >= 0.9


@pytest.mark.parametrize("name", ["like a CNN", "linear", "fragile", "one vital unit", "2 units", "no order"])
def test_half_life_intervals_cover(name):
    """The half-life's interval covers the true one, on slopes, cliffs and staircases."""
    network = SHAPES[name]
    known = simulation.truth(network)
    assert known.half_life is not None
    found = []
    for seed in range(60):
        plan = simulation.design(network, seed)
        half = simulation.published(simulation.evaluate(network, known, plan, 0.02)[0], known, plan).half_life
        assert half is not None
        assert 0 <= half.low <= half.value <= half.high <= 1
        found.append(half)
    assert share(found, known.half_life) >= 0.94


@pytest.mark.parametrize("name", ["like a CNN", "memorised", "3 and 2 units", "8 units, 50 examples", "no order"])
def test_the_grid_covers_as_well(name):
    """The interval of a small grid holds the exhaustive auc in at least 94 % of runs, on staircases too."""
    network = SHAPES[name]
    known = simulation.truth(network)
    found = []
    for seed in range(40):
        plan = Design(seed, network.examples, network.units, "grid", network.separate, orderings=5, fractions=11)
        found.append(simulation.score(simulation.evaluate(network, known, plan)[0], known, plan))
    assert share(found, known.score) >= 0.94


@pytest.mark.parametrize("name", ["like a CNN", LAYERS, "8 units, 50 examples"])
def test_grid_and_adaptive_agree(name):
    """The paper's protocol and the cheap estimator give the same score: their intervals overlap."""
    network = SHAPES[name]
    known = simulation.truth(network)
    found = []
    for estimator in ("adaptive", "grid"):
        plan = simulation.design(network, 5, estimator)
        tally, _ = simulation.evaluate(network, known, plan)
        found.append(simulation.score(tally, known, plan))
    cheap, paper = found
    assert cheap.low <= paper.high
    assert paper.low <= cheap.high


def test_each_layer_gets_an_interval_that_covers():
    """With each layer ablated alone, every layer's own interval covers its value, and the overall one their mean."""
    network = SHAPES[LAYERS]
    known = simulation.truth(network)
    whole: list[Estimate] = []
    found: list[list[Estimate]] = [[], [], []]
    for seed in range(RUNS):
        plan = simulation.design(network, seed)
        tally, _ = simulation.evaluate(network, known, plan, 0.05)
        whole.append(simulation.score(tally, known, plan))
        for group, estimates in enumerate(found):
            estimates.append(simulation.score(tally.group(group), known, plan))
    assert share(whole, known.score) >= 0.94
    for estimates, area in zip(found, known.aucs, strict=True):
        assert share(estimates, known.scaled(area)) >= 0.94


def test_a_typical_network_is_cheap():
    """A curve like a CNN's takes at most 6,000 trials for +- 0.01 at 95 %."""
    network = SHAPES["like a CNN"]
    known = simulation.truth(network)
    for seed in range(20):
        tally, _ = simulation.evaluate(network, known, simulation.design(network, seed))
        assert tally.trials.sum() <= 6000


@pytest.mark.parametrize("estimator", ["adaptive", "grid"])
def test_the_order_of_chunks_does_not_matter(estimator):
    """The same chunks in another order are published byte for byte the same."""
    network = SHAPES["like a CNN"]
    known = simulation.truth(network)
    plan = Design(3, network.examples, network.units, estimator, separate=False, orderings=2, fractions=5)
    payloads = simulation.payloads(network, plan, 2)
    assert len(payloads) > 1
    one, other = (
        simulation.published(simulation.total(plan, each), known, plan) for each in (payloads, payloads[::-1])
    )
    assert repr(one) == repr(other)


def test_the_truth_itself_is_right():
    """The closed form of the simulated networks equals counting every set of lost units one by one."""
    network = simulation.needs("small", [(5, 3, 1, 3), (3, 2, 1, 2)], examples=40, chance=0.2, wrong=0.05)
    assert simulation.truth(network).auc == pytest.approx(simulation.counted(network), abs=1e-12)
