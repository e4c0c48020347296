"""Verdicts read at several looks are seldom wrong, by simulation; and what an interval says of a line."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from service.scoring import Arm, Estimate, Tally, difference, gate
from service.scoring.gate import Check
from tests.service.scoring import simulation
from worker.ablation.trials import cells, draw

RUNS = 200
BUDGET = 16  # chunks
SHAPES = simulation.shapes()


def read(network, known, line, seed):
    """A whole evaluation with `min_score`: the verdict, the interval it read, the published one, and the chunks."""
    plan = simulation.design(network, seed)
    tally, planned = Tally.empty(cells(plan)), gate.looks(2, BUDGET)
    level = gate.level(0.95, len(planned), 1)
    for count in range(1, BUDGET + 1):
        tally = tally.add(network.count(draw(plan, count - 1), plan, count - 1))
        if count in planned:
            check = Check("min_score", line, simulation.score(tally, known, plan, level), narrows=True)
            if gate.settled([check]):
                break
    return check.verdict, check.measured, simulation.score(tally, known, plan), count


@pytest.mark.parametrize("offset", [0.001, -0.001, 0.015, -0.03])
def test_a_verdict_is_seldom_wrong(offset):
    """Of 200 evaluations with the line just above or below the true score, at most 5 % say pass or fail wrongly.

    The intervals that were read cover as often as they say, and so do the published ones, though they stopped early.
    """
    network = SHAPES["like a CNN"]
    known = simulation.truth(network)
    line = known.score + offset
    wrong = "pass" if offset > 0 else "fail"
    found = [read(network, known, line, seed) for seed in range(RUNS)]
    assert sum(verdict == wrong for verdict, *_ in found) <= 0.05 * RUNS
    for place, least in ((1, 0.97), (2, 0.94)):
        assert np.mean([each[place].low <= known.score <= each[place].high for each in found]) >= least
    if abs(offset) > 0.02:
        assert all(verdict != "inconclusive" for verdict, *_ in found)
        assert np.mean([chunks for *_, chunks in found]) < BUDGET / 2


def test_reading_after_every_chunk_would_be_wrong():
    """What the looks are for: the plain 95 % interval, read after each chunk, gives wrong verdicts far oftener."""
    network = SHAPES["like a CNN"]
    known = simulation.truth(network)
    wrong = {"planned": 0, "always": 0}
    planned = gate.looks(2, BUDGET)
    for seed in range(100):
        plan, tally = simulation.design(network, seed), Tally.empty(cells(simulation.design(network, seed)))
        misses = dict.fromkeys(wrong, False)
        for count in range(1, BUDGET + 1):
            tally = tally.add(network.count(draw(plan, count - 1), plan, count - 1))
            for how, level, reads in (
                ("planned", gate.level(0.95, len(planned), 1), count in planned),
                ("always", 0.95, count >= 2),
            ):
                each = simulation.score(tally, known, plan, level)
                misses[how] |= reads and not each.low <= known.score <= each.high
        for how, missed in misses.items():
            wrong[how] += missed
    assert wrong["planned"] <= 5 < wrong["always"]


def test_a_drop_is_seldom_judged_wrongly():
    """The paired difference at the same looks, at the true line: it is on the wrong side in at most 5 % of 100 runs."""
    one, other = SHAPES["like a CNN"], simulation.needs("a little less", [(16, 12, 3, 6), (24, 16, 4, 7)])
    known = [simulation.truth(network) for network in (one, other)]
    true = known[1].score - known[0].score
    planned = gate.looks(2, BUDGET)
    level = gate.level(0.95, len(planned), 1)
    wrong = 0
    for seed in range(100):
        arms: list[list[Tally]] = [[], []]
        for count, (chunks, network) in product(range(1, BUDGET + 1), zip(arms, (one, other), strict=True)):
            plan = simulation.design(network, seed)
            chunks.append(Tally.empty(cells(plan)).add(network.count(draw(plan, count - 1), plan, count - 1)))
            if network is other and count in planned:
                sides = [Arm(each.reference, arm) for each, arm in zip(known, arms, strict=True)]
                found = difference(sides[1], sides[0], estimator="adaptive", confidence=level, same_draws=True)
                assert found is not None
                if not found.estimate.low <= true <= found.estimate.high:
                    wrong += 1
                    break
    assert wrong <= 5


@pytest.mark.parametrize(
    ("rule", "line", "low", "high", "expected"),
    [
        ("min_score", 0.5, 0.5, 0.6, "pass"),
        ("min_score", 0.5, 0.4, 0.5, "inconclusive"),
        ("min_score", 0.5, 0.4, 0.49, "fail"),
        ("min_accuracy", 0.9, 0.91, 0.95, "pass"),
        ("min_layer_score", 0.9, 0.1, 0.2, "fail"),
        ("max_drop", 0.02, -0.02, 0.1, "pass"),
        ("max_drop", 0.02, -0.03, 0.1, "inconclusive"),
        ("max_drop", 0.02, -0.3, -0.03, "fail"),
        ("max_gap", 0.1, -0.1, 0.1, "pass"),
        ("max_gap", 0.1, -0.2, 0.0, "inconclusive"),
        ("max_gap", 0.1, 0.2, 0.3, "fail"),
        ("max_gap", 0.1, -0.3, -0.2, "fail"),
    ],
)
def test_what_an_interval_says_of_a_line(rule, line, low, high, expected):
    """Pass or fail only when all of the interval lies on one side; the line itself passes."""
    assert gate.judged(rule, line, Estimate((low + high) / 2, low, high)) == expected


def test_nothing_known_is_no_pass():
    """Without a check, or with one that nothing was measured for, there is no pass; one that fails is enough."""
    passed = Check("min_score", 0.5, Estimate(0.6, 0.55, 0.65))
    unknown = Check("min_score", 0.5, None)
    failed = Check("min_score", 0.7, Estimate(0.6, 0.55, 0.65))
    assert gate.verdict([]) == "inconclusive"
    assert gate.verdict([passed, unknown]) == "inconclusive"
    assert gate.verdict([passed, unknown, failed]) == "fail"
    assert gate.verdict([passed]) == "pass"


@given(some.integers(0, 8), some.integers(0, 200_000))
def test_looks_double_and_end_at_the_budget(first, most):
    """They rise, at least doubling but for the last, which is the budget; there is always one."""
    planned = gate.looks(first, most)
    assert planned[-1] == max(most, 1)
    assert planned == sorted(set(planned))
    assert len(planned) <= 19
