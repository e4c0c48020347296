"""A config says what it means: contradictions are refused, defaults written out, and identities kept."""

from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from service.schemas import Config, Preprocessing

WRONG: list[dict[str, Any]] = [
    {"k": 3},
    {"metric": "accuracy", "k": 3},
    {"metric": "agreement", "labels": "y"},
    {"scope": "layer", "site": "a", "sites": ["b"]},
    {"sites": []},
    {"metric": "loss"},
    {"preprocessing": {"std": 0}},
    {"preprocessing": {"std": [0.2, 0.0, 0.2]}},
    {"preprocessing": {"scale": -1}},
    {"preprocessing": {"resize": [224]}},
    {"preprocessing": {"crop": 0}},
    {"preprocessing": {"channels": "CMYK"}},
    {"preprocessing": {"normalize": True}},
    {"gate": {}},
    {"gate": {"min_score": None}},
    {"gate": {"policy": "No Name"}},
    {"baseline": "none"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_contradictions_are_refused_by_the_schema_too(wrong: dict[str, Any]) -> None:
    """What the service refuses, its published JSON schema refuses as well, so callers' tools know it beforehand."""
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, Config.model_json_schema())


@pytest.mark.parametrize(
    "wrong", [{"mean": [0.5, 0.5], "std": [0.5] * 3}, {"channels": "L", "mean": [0.5] * 3}, {"mean": []}]
)
def test_preprocessing_has_one_number_a_channel(wrong: dict[str, Any]) -> None:
    """Mean, std and channels that tell of different numbers of channels are refused in words."""
    with pytest.raises(ValidationError, match="equally many channels"):
        Preprocessing.model_validate(wrong)


def test_top_k_has_a_default() -> None:
    """`top_k` alone is top 5, written out, so that the identity of both spellings is the same."""
    assert Config(metric="top_k").identity() == Config(metric="top_k", k=5).identity()


def test_fields_that_came_later_leave_old_identities_alone() -> None:
    """A field left out is left out of the identity, unless it was there from the beginning."""
    told = Config().identity()
    assert not {"k", "output", "sites", "labels", "weights", "inputs", "preprocessing"} & set(told)
    asked = Config(output="logits", sites=["conv*"], preprocessing=Preprocessing(scale=0.5))
    assert {"output", "sites", "preprocessing"} <= set(asked.identity())


@pytest.mark.parametrize(
    "wrong",
    [
        {"gate": {"min_accuracy": 0.9}, "metric": "r2"},
        {"gate": {"min_layer_score": 0.1}},
        {"gate": {"min_layer_score": 0.1}, "scope": "layer", "site": "fc1"},
        {"gate": {"max_drop": 0.1}},
        {"gate": {"max_drop": 0.1}, "baseline": None},
        {"gate": {"max_gap": 0.1}, "baseline": "ev_1"},
        {"gate": {"min_score": False}},
        {"gate": {"min_score": "0.5"}},
    ],
)
def test_a_rule_has_a_line_and_something_to_be_held_against(wrong: dict[str, Any]) -> None:
    """`false` is no 0, and a drop or a gap is one from something."""
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)


def test_a_gate_is_part_of_the_identity() -> None:
    """Other rules are another question; a rule that is left out is as if there were none of its kind."""
    one, other = (Config.model_validate({"gate": {"min_score": line}}).identity() for line in (0.5, 0.6))
    assert one["gate"] == {"min_score": 0.5}
    assert one != other
    assert (Config().precision, Config.model_validate({"gate": {"min_score": 0.5}}).precision) == (0.01, None)


def test_a_config_survives_its_own_json() -> None:
    """What is stored is read back as the same config."""
    asked = Config.model_validate(
        {"metric": "top_k", "preprocessing": {"mean": [1, 2, 3], "resize": 256, "crop": [1, 2]}}
    )
    assert Config.model_validate_json(asked.model_dump_json()) == asked
