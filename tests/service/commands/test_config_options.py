"""Options of the command line as a config: what is parsed, what wins, and how a fault is told."""

from pathlib import Path
from typing import Any

import pytest

from service.commands import config_options as options
from service.schemas import Config, Gate, Preprocessing


def test_every_field_of_the_config_has_an_option() -> None:
    """What the API can do, the command can: by an option, or by --config alone."""
    named = {"".join(part.capitalize() for part in name.split("_")) for name in Config.model_fields}
    named |= {"".join(part.capitalize() for part in name.split("_")) for name in Preprocessing.model_fields}
    named |= {"".join(part.capitalize() for part in name.split("_")) for name in Gate.model_fields}
    by_file = {"Limits", "Preprocessing", "Gate"}
    renamed = {"Metric": "Measure", "Inputs": "Input"}
    missing = [name for name in named - by_file if not hasattr(options, renamed.get(name, name))]
    assert missing == []


def test_texts_become_what_the_config_has() -> None:
    """Fractions, lists, sides and pairs, as people write them at a prompt."""
    config = options.config(
        {
            "scale": "1/255",
            "mean": "0.485, .456,-4e-1",
            "std": "2",
            "resize": "256",
            "crop": "224x192",
            "pad": "48,320",
            "input": ["ids=tokens", "a=b=c"],
            "sites": ("conv*",),
            "seed": None,
            "labels": None,
            "server": "ignored: no field of the config",
        }
    )
    assert config.preprocessing == Preprocessing(
        scale=1 / 255, mean=[0.485, 0.456, -0.4], std=2, resize=256, crop=[224, 192], pad=[48, 320]
    )
    assert config.inputs == {"ids": "tokens", "a=b": "c"}
    assert config.sites == ["conv*"]
    assert config.model_fields_set == {"preprocessing", "inputs", "sites"}


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """Step by step within preprocessing, too."""
    file = tmp_path / "config.json"
    file.write_text('{"seed": 1, "limits": {"trials": 1024}, "preprocessing": {"scale": 2, "resize": 32}}')
    config = options.config({"seed": 2, "scale": "0.5"}, file)
    assert (config.seed, config.limits.trials) == (2, 1024)
    assert config.preprocessing == Preprocessing(scale=0.5, resize=32)


def test_rules_are_options_too(tmp_path: Path) -> None:
    """They win over the file's, rule by rule, and so does the budget."""
    file = tmp_path / "config.json"
    file.write_text('{"gate": {"min_score": 0.1, "min_accuracy": 0.9}, "limits": {"trials": 1024, "workers": 2}}')
    config = options.config({"min_score": 0.5, "trials": 4096, "policy": None}, file)
    assert config.gate == Gate(min_score=0.5, min_accuracy=0.9)
    assert (config.limits.trials, config.limits.workers) == (4096, 2)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"scale": "1/0"}, "--scale: '1/0' is not a number"),
        ({"scale": "nan"}, "--scale"),
        ({"mean": "0.1,x"}, "--mean: 'x' is not a number"),
        ({"resize": "0"}, "--resize"),
        ({"crop": "1.5"}, "--crop: '1.5'"),
        ({"pad": "48"}, "--pad"),
        ({"input": ["ids"]}, "MODELINPUT=COLUMN"),
        ({"precision": 7.0}, "--precision"),
        ({"mean": "1,2,3", "std": "1,2"}, "equally many channels"),
        ({"pad_value": float("inf")}, "--pad-value"),
    ],
)
def test_a_fault_names_its_option(given: dict[str, Any], says: str) -> None:
    """Who mistypes one of thirty options learns which."""
    with pytest.raises(options.UsageError) as error:
        options.config(given)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"sede": 1}', "/sede"),
        ('{"preprocessing": {"scale": -1}}', "/preprocessing/scale"),
        ("[]", "JSON object"),
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        ("[" * 50_000, "not JSON"),
        ('{"a": "' + "x" * 70_000 + '"}', "at most 65,536 bytes"),
    ],
)
def test_a_fault_in_the_file_names_its_place(tmp_path: Path, text: str, says: str) -> None:
    """The file's name, and where in it."""
    file = tmp_path / "config.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(options.UsageError) as error:
        options.config({}, file)
    assert says in str(error.value)
    assert "config.json" in str(error.value)
