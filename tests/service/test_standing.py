"""Where a score stands: counted against networks of its kind alone, and refused with reasons for every other."""

import json
from typing import Any

import pytest

from service.schemas import Estimate, ModelFound, Result, Site
from service.standing import populations, standing
from tests.service import answers
from tests.service.api.conftest import MODEL_FOUND


def fitting(**changes: Any) -> Result:
    """A result like those of the shipped MLPs."""
    shipped = populations()[0]
    sites = [Site(site="0", op="Gemm", units=shipped.units[0], convolutional=False)]
    score = Estimate(value=0.6, low=0.59, high=0.61)
    intact = Estimate(value=0.99, low=0.98, high=0.999)
    return answers.result(**({"score": score, "split": shipped.split, "sites": sites, "intact": intact} | changes))


def model(**changes: Any) -> ModelFound:
    """What was found in such a model."""
    shipped = populations()[0]
    inputs = [{"name": "x", "dtype": "float32", "shape": ["batch", *shipped.inputs]}]
    output = MODEL_FOUND["output"] | {"classes": shipped.classes}
    return ModelFound.model_validate(MODEL_FOUND | {"inputs": inputs, "output": output} | changes)


def test_a_score_is_counted_among_its_kind() -> None:
    """The share is that of the shipped scores below it, its interval that of the score."""
    told = standing(fitting(), model())
    scores = populations()[0].scores
    assert told.reasons == []
    assert told.networks == len(scores) >= 96
    assert told.higher_than is not None
    for share, at in ((told.higher_than.value, 0.6), (told.higher_than.low, 0.59), (told.higher_than.high, 0.61)):
        assert share == sum(score < at for score in scores) / len(scores)
    assert told.sentence.startswith(f"Higher than {told.higher_than.value:.0%} (")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"metric": "top_k"}, "metric"),
        ({"scope": "layer"}, "sites"),
        ({"clamp": "mean"}, "clamp"),
        ({"estimator": "grid"}, "estimator"),
        ({"score": Estimate(value=0.6, low=0.5, high=0.7)}, "interval"),
        ({"split": None}, "split"),
        ({"intact": Estimate(value=0.9, low=0.89, high=0.91)}, "90%"),
        ({"sites": [Site(site="0", op="MatMul", units=100, convolutional=False)]}, "hidden layers"),
        ({"sites": [Site(site="0", op="Gemm", units=100_000, convolutional=False)]}, "100,000 units"),
    ],
)
def test_other_kinds_are_not_compared(changes: dict[str, Any], word: str) -> None:
    """One thing that is different is enough, and it is named."""
    told = standing(fitting(**changes), model())
    assert (told.higher_than, told.population) == (None, None)
    assert len(told.reasons) == 1
    assert word in told.reasons[0]
    assert word in told.sentence


@pytest.mark.parametrize(
    "found",
    [
        None,
        model(inputs=[{"name": "x", "dtype": "float32", "shape": ["batch", 3, 32, 32]}]),
        model(output=MODEL_FOUND["output"] | {"classes": 100}),
    ],
)
def test_other_tasks_and_inputs_are_not_compared(found: ModelFound | None) -> None:
    """Nor is a model of which nothing is known any more."""
    told = standing(fitting(), found)
    assert (told.higher_than, len(told.reasons)) == (None, 1)


def test_without_a_score_nothing_stands() -> None:
    """A refused score is held against nobody."""
    assert standing(answers.refused(), model()).higher_than is None


def test_the_shipped_populations_are_sound() -> None:
    """At least 96 networks in all, scores in order, none of them out of reach."""
    for each in populations():
        assert list(each.scores) == sorted(each.scores)
        assert -0.2 < each.scores[0] < each.scores[-1] < 1
    assert sum(len(each.scores) for each in populations()) >= 96


def test_results_hold_no_standing() -> None:
    """Populations may change: a stored, signed result says nothing of them."""
    assert "standing" not in json.dumps(Result.model_json_schema())
