"""The result is a function of the ordered prefix of chunks, in whatever order they became known."""

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service import pairing, schemas, scoring
from service.schemas import Config
from worker import first
from worker.ablation import trials
from worker.course import FIRST, Course, Subject

EXAMPLES = 500


def subject(**config: Any) -> Subject:
    """A model of two sites on a dataset of which a third has the same label."""
    sites = [
        {"site": name, "op": "Gemm", "units": units, "convolutional": False} for name, units in (("a", 16), ("b", 8))
    ]
    asked = Config.model_validate(config)
    return Subject(
        model="sha256:" + "a" * 64,
        dataset="sha256:" + "b" * 64,
        config=asked,
        examples=EXAMPLES,
        measured=schemas.Measured(name=asked.metric or "accuracy"),
        sites=pairing.scoped(sites, asked),
        warnings=["a warning of the model"],
        versions={"numpy": "2"},
        device="cpu",
    )


def chunk(course: Course, index: int, right: int = EXAMPLES) -> str:
    """What a worker stores: a network that is right as long as no more than half of its units are lost."""
    if index < FIRST:
        means = [np.arange(units, dtype=np.float32) for units in course.design.units]
        needed = means if course.subject.config.clamp == "mean" else None
        return schemas.canonical(
            first.payload(scoring.Intact.counted(right, EXAMPLES), EXAMPLES // 3 / EXAMPLES, True, needed, None)
        )
    drawn = trials.draw(course.design, index - FIRST)
    return schemas.canonical(scoring.count(drawn.cells, drawn.fractions[drawn.lesions] < 0.5))


def decide(arrivals: Any, **config: Any) -> Course:
    """Let chunks arrive in some order until they decide."""
    course = Course(subject(**config))
    for index in arrivals:
        if course.decided:
            break
        course.take({index: chunk(course, index)})
    assert course.decided
    return course


def shuffled() -> Any:
    """Chunks in blocks of five, each backwards."""
    return (block * 5 + 4 - place for block in itertools.count() for place in range(5))


@pytest.mark.parametrize(
    "config",
    [
        {"precision": 0.02},
        {"estimator": "grid", "orderings": 4, "fractions": 5},
        {"scope": "layer", "precision": 0.03},
        {"scope": "layer", "site": "b", "precision": 0.03},
    ],
)
def test_order_of_arrival_does_not_matter(config: dict[str, Any]) -> None:
    """Chunks that arrive out of order wait for those before them; the result has the same bytes."""
    in_order, out_of_order = decide(itertools.count(), **config), decide(shuffled(), **config)
    assert in_order.result() == out_of_order.result()
    assert in_order.next == out_of_order.next


def test_result_tells_what_was_measured() -> None:
    """Score, intact accuracy, chance and cost come from the chunks; a rerun's seconds are left out."""
    result = decide(itertools.count(), precision=0.02).result()
    assert result.score is not None
    assert result.auc is not None
    chance = round((EXAMPLES // 3) / EXAMPLES, 6)
    # Right up to half: the area under the curve is about one half.
    assert abs(result.auc.value - 0.5) < 0.01
    assert abs(result.score.value - (0.5 - chance) / (1 - chance)) < 0.015
    assert (result.intact.value, result.chance) == (1.0, chance)
    assert result.cost.passes % 512 == 0
    assert result.cost.seconds is None
    assert result.warnings == ["a warning of the model"]


def test_layers_are_told_only_in_layer_scope() -> None:
    """Scope `layer` gives each site its own score; other scopes give none."""
    layers = decide(itertools.count(), scope="layer", precision=0.03).result().layers
    assert [(layer.site, layer.units) for layer in layers] == [("a", 16), ("b", 8)]
    assert decide(itertools.count(), precision=0.03).result().layers == []


def test_nothing_to_lose_ends_after_the_intact_pass() -> None:
    """If the intact network is hardly better than chance, no trial is drawn, and the result says why."""
    course = Course(subject())
    course.take({0: chunk(course, 0, right=EXAMPLES // 3 + 1)})
    assert course.decided
    result = course.result()
    assert (result.score, result.auc, result.curve, result.cost.passes) == (None, None, [], 0)
    assert "nothing to lose" in str(result.score_refused)


def test_budget_ends_an_evaluation_that_is_not_precise_enough() -> None:
    """`limits.trials` is kept, and the result warns that the interval is wider than asked."""
    result = decide(itertools.count(), precision=0.0005, limits={"trials": 2048}).result()
    assert result.cost.passes <= 2048
    assert "limits.trials" in result.warnings[-1]


def test_means_come_before_any_masked_chunk() -> None:
    """With the clamp `mean` only chunk 0 may be held until it is there; it brings the means, bit for bit."""
    course = Course(subject(clamp="mean"))
    assert course.end == FIRST
    course.take({0: chunk(course, 0)})
    assert course.end is None
    assert course.means is not None
    assert [mean.tolist() for mean in course.means] == [list(range(16)), list(range(8))]


def test_answers_come_before_any_trial_of_agreement() -> None:
    """With `agreement` every chunk waits for the intact answers, which chunk 0 brings, to all workers the same."""
    course = Course(subject(metric="agreement"))
    assert course.end == FIRST
    assert not course.may_compute(FIRST)
    picked = np.array([[3], [-1], [70_000]])
    stored = first.payload(scoring.Intact(EXAMPLES, EXAMPLES, None), 0.4, True, None, picked)
    course.take({0: schemas.canonical(stored)})
    assert course.may_compute(FIRST)
    assert course.answers is not None
    assert course.answers.tolist() == picked.tolist()
    assert course.progress().intact == 1.0


def test_a_cost_is_told_as_what_it_is() -> None:
    """Cross-entropy: a rising curve, its unit, and a score of about a half for costs that rise halfway."""
    course = Course(subject(metric="cross_entropy", precision=0.02))
    intact = scoring.Intact(0.2 * EXAMPLES, EXAMPLES, EXAMPLES, 0.01)
    course.take({0: schemas.canonical(first.payload(intact, 2.2, False, None, None))})
    for index in itertools.count(FIRST):
        drawn = trials.draw(course.design, index - FIRST)
        costs = 0.2 + 2.0 * (drawn.fractions[drawn.lesions] >= 0.5)
        course.take({index: schemas.canonical(scoring.count(drawn.cells, costs))})
        if course.decided:
            break
    result = course.result()
    assert result.score is not None
    assert abs(result.score.value - 0.5) < 0.02
    assert (result.metric, result.intact.value, result.chance) == ("cross_entropy", 0.2, 2.2)
    assert result.measured is not None
    assert result.curve[-1].value == 2.2
    assert "score" in json.loads(schemas.canonical(result.model_dump(mode="json")))


@pytest.mark.parametrize(("right", "told"), [(0.5, True), (0.9, False)])
def test_pictures_that_the_model_does_not_know_are_told_of(right: float, told: bool) -> None:
    """A model of pictures that is right less often than halfway from chance to 1 gets a hint on preprocessing."""
    course = Course(replace(subject(precision=0.05), pictures="check the layout."))
    for index in itertools.count():
        course.take({index: chunk(course, index, right=int(right * EXAMPLES))})
        if course.decided:
            break
    assert ("Intact accuracy is 0.500: check the layout." in course.result().warnings) == told


def test_progress_grows_and_shows_the_interval() -> None:
    """Progress counts trials, shows a live interval once there is one, and ends at 1."""
    course = Course(subject(precision=0.02))
    shares = []
    for index in itertools.count():
        course.take({index: chunk(course, index)})
        shares.append(course.progress().share)
        if course.decided:
            break
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)
    assert course.progress().score is not None
