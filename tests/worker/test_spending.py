"""Importance without `top`: passes go where the ranking is undecided, within the budget, and intervals stay honest."""

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from service import schemas, scoring
from service.schemas import Config
from service.scoring import ranking
from worker.survey import FIRST_ROUND, Survey

CLASSES = 2
UNITS, EXAMPLES, SHARE, DEAD = 60, 2000, 400, 12
RUNS = 40
Floats = NDArray[np.float64]

# A few units matter much, most hardly, as in trained networks (docs/analyses.md); what matters more varies more.
TRUE = np.concatenate([0.3 / np.arange(1, UNITS - DEAD + 1), np.zeros(DEAD)])
SPREAD = 0.5 * TRUE**0.7


def drawn(seed: int) -> Floats:
    """Nats that each unit adds on each example: float64[UNITS, EXAMPLES], skewed as they are in networks."""
    noise = np.random.default_rng(seed).exponential(size=(UNITS, EXAMPLES)) - 1
    return TRUE[:, None] + SPREAD[:, None] * noise


def surveyed(added: Floats, passes: int) -> Survey:
    """A survey that workers have computed on such units. Its order of the examples is that of the columns."""
    config = Config.model_validate({"analyses": ["importance"], "passes": passes})
    survey = Survey(config, added.shape[1], [len(added)], CLASSES)
    labels = np.zeros(added.shape[1], np.int64)
    while not survey.done:
        job = survey.jobs[survey.taken]
        places, which = (each.ravel() for each in np.mgrid[: len(job.units), : job.stop - job.start])
        right = np.ones(len(places), np.bool_)
        own = added[job.units[places], job.start + which]
        counted = scoring.count_pairs(
            job.units, labels[job.start : job.stop], CLASSES, scoring.Pairs(places, which, right, right, own)
        )
        survey.take({"analysis": "importance", **counted, "passes": len(places), "intact_passes": 0})
    return survey


@lru_cache(maxsize=1)
def runs() -> list[tuple[Floats, Survey]]:
    """So many datasets, each with a survey that may spend SHARE examples a unit."""
    return [(added, surveyed(added, UNITS * SHARE)) for added in map(drawn, range(RUNS))]


def wrong(means: Floats, truth: Floats) -> float:
    """Share of pairs of living units that stand in the wrong order."""
    alive = slice(0, UNITS - DEAD)
    order = np.sign(means[alive, None] - means[alive]) * np.sign(truth[alive, None] - truth[alive])
    return float(np.mean(order[np.triu_indices(UNITS - DEAD, 1)] < 0))


def test_the_ranking_is_better_for_the_same_passes() -> None:
    """Pairs in the wrong order are as few as by spending a fifth more on all units alike; no pass too many is spent."""
    told, even, more = [], [], []
    for added, survey in runs():
        truth = added.mean(axis=1)
        told.append(wrong(survey.importance.total / survey.importance.examples, truth))
        even.append(wrong(added[:, :SHARE].mean(axis=1), truth))
        more.append(wrong(added[:, : SHARE * 6 // 5].mean(axis=1), truth))
        assert survey.passes <= UNITS * SHARE
        assert survey.passes > 0.9 * UNITS * SHARE
    assert np.mean(told) < np.mean(more) < np.mean(even)


def test_what_is_decided_meets_no_more_examples() -> None:
    """Units that never fire leave after a round or two, and so does the one that matters most."""
    met = np.mean([survey.importance.examples for _, survey in runs()], axis=0)
    assert met[-DEAD:].max() <= 2 * FIRST_ROUND
    assert met[10 : UNITS - DEAD].mean() > 1.2 * SHARE
    assert all(survey.importance.examples.min() >= FIRST_ROUND for _, survey in runs())


def test_intervals_cover_what_they_say() -> None:
    """Though more examples are met where little was seen: the mean of a whole population, in 93 % of 95 % intervals."""
    inside = []
    for _, survey in runs():
        changes = survey.importance.changes(0.95)
        intervals = [each.cross_entropy_added for each in changes[: UNITS - DEAD]]
        inside.append([e.low <= true <= e.high for e, true in zip(intervals, TRUE, strict=False)])
    assert np.mean(inside) >= 0.93


@pytest.mark.parametrize("passes", [UNITS * EXAMPLES, 10**9])
def test_where_passes_are_enough_every_example_is_met(passes: int) -> None:
    """Then each unit's value is that of the whole dataset, in one round."""
    added = drawn(0)
    survey = surveyed(added, passes)
    assert (survey.importance.examples == EXAMPLES).all()
    assert np.allclose(survey.importance.total / EXAMPLES, added.mean(axis=1), atol=1e-12)


@pytest.mark.parametrize("share", [20, 100, 127])
def test_where_passes_are_few_all_units_are_alike(share: int) -> None:
    """From a few examples nobody can tell which units need more."""
    assert set(surveyed(drawn(0), UNITS * share).importance.examples.tolist()) == {share}


def test_a_large_network_is_held_against_a_part_of_itself() -> None:
    """More units than each is held against: the same choice, about, as against all of them."""
    generator = np.random.default_rng(1)
    found = scoring.Importance(3000, CLASSES)
    places, which = (each.ravel() for each in np.mgrid[:3000, :8])
    right = np.ones(len(places), np.bool_)
    added = (generator.exponential(0.1, 3000)[:, None] + 0.05 * generator.normal(size=(3000, 8))).ravel()
    pairs = scoring.Pairs(places, which, right, right, added)
    found.add(scoring.count_pairs(np.arange(3000), np.zeros(8, np.int64), CLASSES, pairs))
    more = np.full(3000, 8)
    some = scoring.mended(found, more, 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "OTHERS", 10**6)
        every = scoring.mended(found, more, 1000)
    assert np.corrcoef(some, every)[0, 1] > 0.99
    assert some.sum() == pytest.approx(every.sum(), rel=0.02)
    assert (scoring.mended(found, 0 * more, 1000) == 0).all()


def test_the_plan_follows_from_what_was_taken() -> None:
    """The same chunks give the same plan, chunk by chunk, with nothing left to chance."""
    one, other = (surveyed(drawn(3), UNITS * SHARE) for _ in range(2))
    assert [(j.start, j.stop, j.units.tolist()) for j in one.jobs] == [
        (j.start, j.stop, j.units.tolist()) for j in other.jobs
    ]
    assert len({schemas.canonical(j.units.tolist()) for j in one.jobs}) > 3
