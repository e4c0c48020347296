"""Differences of scores: unbiased and covered by simulation, narrower where pairing helps, 0 where nothing differs."""

from dataclasses import replace

import numpy as np
import pytest

from service.scoring import Arm, Difference, Tally, difference
from tests.service.scoring import simulation
from worker.ablation.trials import Design, cells, chunks, draw

RUNS = 200
ONE = simulation.needs("one", [(16, 12, 3, 5), (24, 16, 4, 7)])
PAIRS = {
    "same units, a little more fragile": simulation.needs("slightly", [(16, 12, 4, 6), (24, 16, 4, 7)]),
    "other units": simulation.needs("wider", [(32, 20, 2, 6), (12, 8, 1, 3), (8, 4, 1, 2)]),
    "much more fragile": simulation.needs("fragile", [(16, 12, 9, 12), (24, 16, 8, 12)]),
    "less accurate": simulation.needs("wrong", [(16, 12, 3, 5), (24, 16, 4, 7)], wrong=0.1),
}


TRUTHS = {network.name: simulation.truth(network) for network in (ONE, *PAIRS.values())}


def arm(network: simulation.Network, plan: Design, count: int) -> Arm:
    """The first chunks of an evaluation of the network."""
    shape = cells(plan)
    found = [Tally.empty(shape).add(network.count(draw(plan, index), plan, index)) for index in range(count)]
    return Arm(TRUTHS[network.name].reference, found)


def plan_of(network: simulation.Network, seed: int) -> Design:
    """Small chunks, so that many of them are cheap to draw."""
    return replace(simulation.design(network, seed), trials_per_chunk=256)


def compared(one: Arm, other: Arm, *, same_draws: bool = True, estimator="adaptive") -> Difference:
    found = difference(one, other, estimator=estimator, confidence=0.95, same_draws=same_draws)
    assert found is not None
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_paired_intervals_cover_and_values_are_unbiased(name):
    """Of 200 comparisons, at least 94 % of the intervals cover the true difference, and the mean hits it."""
    other = PAIRS[name]
    true = TRUTHS[ONE.name].score - TRUTHS[other.name].score
    found = [
        compared(arm(ONE, plan_of(ONE, seed), 6), arm(other, plan_of(other, seed), 4)).estimate for seed in range(RUNS)
    ]
    assert np.mean([each.low <= true <= each.high for each in found]) >= 0.94
    values = np.array([each.value for each in found])
    assert abs(values.mean() - true) < 3.5 * values.std(ddof=1) / np.sqrt(RUNS)


def test_unpaired_intervals_cover():
    """Two evaluations of different seeds share no draw; their difference is covered all the same."""
    other = PAIRS["other units"]
    true = TRUTHS[ONE.name].score - TRUTHS[other.name].score
    found = [
        compared(arm(ONE, plan_of(ONE, seed), 4), arm(other, plan_of(other, seed + 10_000), 4), same_draws=False)
        for seed in range(200)
    ]
    assert not any(each.paired for each in found)
    assert np.mean([each.estimate.low <= true <= each.estimate.high for each in found]) >= 0.94


def test_pairing_narrows_the_interval():
    """Where both networks find the same examples hard, the same draws give a narrower interval than other draws."""
    other = PAIRS["same units, a little more fragile"]

    def width(same_draws: bool) -> float:
        pairs = [(arm(ONE, plan_of(ONE, s), 6), arm(other, plan_of(other, s), 6)) for s in range(5)]
        found = [compared(*pair, same_draws=same_draws).estimate for pair in pairs]
        return float(np.mean([each.high - each.low for each in found]))

    assert width(same_draws=True) < 0.8 * width(same_draws=False)


def test_the_same_network_differs_by_nothing():
    """The same answers to the same draws differ by exactly 0; the interval is no point all the same."""
    side = arm(ONE, plan_of(ONE, 3), 4)
    found = compared(side, side).estimate
    assert found.value == 0
    assert -0.01 < found.low < 0 < found.high < 0.01


def test_grids_are_compared_ordering_by_ordering():
    """The difference of two grids covers the true one, whether or not both sides have the same units."""
    for other in (PAIRS["same units, a little more fragile"], PAIRS["other units"]):
        true = TRUTHS[ONE.name].score - TRUTHS[other.name].score
        found = []
        for seed in range(40):
            sides = []
            for network in (ONE, other):
                plan = Design(seed, network.examples, network.units, "grid", separate=False, orderings=5, fractions=11)
                sides.append(arm(network, plan, chunks(plan) or 0))
            found.append(compared(sides[0], sides[1], estimator="grid").estimate)
        assert np.mean([each.low <= true <= each.high for each in found]) >= 0.94


def test_too_little_is_no_difference():
    """One chunk has no scatter, and a side without a score has nothing to differ in."""
    side, short = arm(ONE, plan_of(ONE, 3), 3), arm(ONE, plan_of(ONE, 3), 1)
    assert difference(side, short, estimator="adaptive", confidence=0.95, same_draws=True) is None
    refused = Arm(replace(side.reference, chance=side.reference.first - 0.01), side.chunks)
    assert difference(side, refused, estimator="adaptive", confidence=0.95, same_draws=True) is None
