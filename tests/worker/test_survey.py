"""Which chunks analyses take: planned from the config and the prefix alone, before those of trials; for any network."""

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from service import schemas, scoring
from service.schemas import Config
from tests.worker.test_course import EXAMPLES, chunk, subject
from worker.course import FIRST, Course
from worker.survey import LEAST_EXAMPLES, PASSES, Job, Survey, packed, unpacked

CLASSES = 3


def analysed(survey: Survey, job: Job) -> dict[str, Any]:
    """What a worker would store: unit u adds u / 5 nats on average, one with a higher number more."""
    if job.kind == "selectivity":
        low, high = int(job.units[0]), int(job.units[-1]) + 1
        columns = {each.name: packed(np.linspace(0, 1, high - low)) for each in fields(scoring.Columns)}
        done = {"units": [low, high], "columns": columns, "passes": 0, "intact_passes": survey.examples}
        return {"analysis": "selectivity", **done}
    generator = np.random.default_rng(job.start)
    if job.ranked is not None:
        count = job.stop - job.start
        given = generator.random((len(job.ranked), scoring.STEPS, count)) < 0.5
        random = generator.random((count, scoring.REPEATS, scoring.STEPS)) < 0.5
        labels = np.arange(job.start, job.stop) % CLASSES
        curves = scoring.count_orders(np.ones(count, np.bool_), given, random, labels, CLASSES)
        return {"analysis": job.kind, **curves, "passes": given.size + random.size, "intact_passes": count}
    places, which = (each.ravel() for each in np.mgrid[: len(job.units), : job.stop - job.start])
    added = 0.2 * job.units[places] + generator.standard_normal(len(places))
    right = np.ones(len(places), np.bool_)
    pairs = scoring.Pairs(places, which, right, generator.random(len(places)) > 0.1, added)
    counted = scoring.count_pairs(job.units, np.arange(job.start, job.stop) % CLASSES, CLASSES, pairs)
    return {"analysis": "importance", **counted, "passes": len(places), "intact_passes": job.stop - job.start}


def stored(course: Course, index: int) -> str:
    job = course.job(index) if index >= FIRST else None
    if job is None:
        return chunk(course, index if index < FIRST else index - course.trials_from + FIRST)
    assert course.survey is not None
    return schemas.canonical(analysed(course.survey, job))


def decide(backwards: bool, **config: Any) -> Course:
    """Let up to five chunks at a time arrive, as far as they may be held, in order or backwards."""
    course = Course(replace(subject(**config), classes=CLASSES))
    while not course.decided:
        end = min(course.next + 5, course.end if course.end is not None else course.next + 5)
        indices = list(range(course.next, end))
        assert all(course.may_compute(index) for index in indices)
        payloads = {index: stored(course, index) for index in indices}
        for index in indices[::-1] if backwards else indices:
            course.take({index: payloads[index]})
    return course


@pytest.mark.parametrize(
    "config",
    [
        {"analyses": ["relation"]},
        {"analyses": ["importance"], "top": 3},
        {"analyses": ["importance"], "passes": 4_000},
        {"analyses": ["targeted", "classes"], "top": 3, "passes": 50_000},
        {"analyses": ["classes"]},
        {"analyses": ["noise"], "passes": 20_000},
        {"analyses": ["relation"], "clamp": "mean", "top": 2},
        {"analyses": ["selectivity"], "estimator": "grid", "orderings": 3, "fractions": 4},
        {"analyses": ["relation"], "scope": "layer"},
    ],
    ids=str,
)
def test_order_of_arrival_does_not_matter(config: dict[str, Any]) -> None:
    """The table and the result have the same bytes; the score is the one without analyses."""
    given = {} if "estimator" in config else {"precision": 0.05}
    in_order, backwards = decide(False, **given, **config), decide(True, **given, **config)
    found = []
    for course in (in_order, backwards):
        findings = course.findings()
        assert findings is not None
        lines = findings.lines()
        found.append((lines, course.result(findings.summary(lines))))
    assert found[0] == found[1]
    rest = {name: value for name, value in config.items() if name not in ("analyses", "top", "passes")}
    plain = decide(False, **given, **rest)
    assert plain.findings() is None
    assert found[0][1].score == plain.result().score
    assert found[0][1].curve == plain.result().curve


def test_top_leaves_out_what_is_certain() -> None:
    """Clear losers meet the first round alone; the winners' places are certain before the dataset is used up."""
    course = decide(False, precision=0.05, analyses=["importance"], top=3)
    assert course.survey is not None
    findings = course.findings()
    assert findings is not None
    told = findings.summary(findings.lines()).importance
    assert told is not None
    assert told.certain
    assert [unit.unit for unit in told.top] == [7, 6, 5]  # the last ones of the second site
    assert course.survey.passes < course.survey.total * EXAMPLES / 2


def test_analyses_are_made_where_there_is_no_score() -> None:
    """If there is nothing to lose, the units are looked at all the same; then no trial is drawn."""
    course = Course(replace(subject(analyses=["relation"]), classes=CLASSES))
    course.take({0: chunk(course, 0, right=EXAMPLES // 3 + 1)})
    assert not course.decided
    while not course.decided:
        assert course.progress().share < 0.5
        course.take({course.next: stored(course, course.next)})
    assert course.progress().share == 1
    assert course.result().score is None
    assert course.next == course.trials_from


NETWORKS = [((7,), 100, 2), ((20_000, 30_000), 5_000, 10), ((3000,), 90, 1000)]


@pytest.mark.parametrize(("units", "examples", "classes"), NETWORKS)
def test_every_unit_is_planned_once_and_no_chunk_is_too_large(
    units: tuple[int, ...], examples: int, classes: int
) -> None:
    """For tens of thousands of units too: masks, sums and pairs of a chunk stay bounded, and so do all passes."""
    survey = Survey(Config.model_validate({"analyses": ["relation"]}), examples, units, classes)
    total, met = sum(units), np.zeros(sum(units), np.int64)
    tuned = np.zeros(total, np.int64)
    for job in survey.jobs:
        if job.kind == "selectivity":
            tuned[job.units] += 1
            assert len(job.units) * classes * (scoring.bins(examples, classes) + 1) <= 2**23
            continue
        met[job.units] += job.stop - job.start
        assert len(job.units) * total <= 2**24
        assert len(job.units) * (job.stop - job.start) <= 16_384
    assert (tuned == 1).all()
    assert (met == met[0]).all()
    assert met[0] == min(examples, max(PASSES // total, LEAST_EXAMPLES))


def test_what_is_packed_comes_back_to_the_last_bit() -> None:
    """Through JSON, NaN included."""
    column = np.array([0.1, np.nan, -0.0, 1e-300])
    again = unpacked(json.loads(json.dumps(packed(column))))
    assert again.tobytes() == column.tobytes()
