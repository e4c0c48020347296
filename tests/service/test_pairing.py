"""What is refused before an evaluation is accepted: whatever two descriptions and a config can decide."""

from typing import Any

import pytest

from service import pairing, problems
from service.schemas import Config

SITES = [
    {"site": name, "op": op, "units": 8, "convolutional": op == "Conv"}
    for name, op in (
        ("conv1", "Conv"),
        ("conv2", "Conv"),
        ("layer.0/conv", "Conv"),
        ("conv[3]", "Conv"),
        ("fc1", "Gemm"),
    )
]


def model(**changed: Any) -> dict[str, Any]:
    """A model of pictures, as found."""
    output = {"name": "logits", "shape": ["batch", 10], "classes": 10, "kind": "classes", "probabilities": False}
    found = {
        "inputs": [{"name": "image", "dtype": "float32", "shape": ["batch", 3, 32, 32]}],
        "outputs": [output, {"name": "boxes", "dtype": "float32", "shape": ["batch", 4]}],
        "output": output,
        "sites": SITES,
    }
    return found | changed


def dataset(**changed: Any) -> dict[str, Any]:
    """A dataset that fits it, as found at upload."""
    found: dict[str, Any] = {
        "format": "npz",
        "examples": 100,
        "inputs": [{"name": "x", "dtype": "float32", "shape": [100, 3, 32, 32]}],
        "labels": {"min": 0, "max": 9, "distinct": 10, "most_frequent": 12, "names": None},
        "columns": ["x", "y", "importance"],
        "splits": None,
        "warnings": [],
    }
    return found | changed


def shaped(*shape: int | str) -> dict[str, Any]:
    return dataset(inputs=[{"name": "x", "dtype": "uint8", "shape": [100, *shape]}])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"metric": "top_k", "k": 9},
        {"metric": "agreement"},
        {"sites": ["conv*"], "scope": "paper"},
        {"weights": "importance", "labels": "y", "inputs": {"image": "x"}},
        {"output": "logits", "split": "test"},
        {"output": "boxes", "sites": ["unseen"], "metric": "r2"},
    ],
)
def test_what_goes_together_is_accepted(config: dict[str, Any]) -> None:
    """Nothing is refused that the worker could compute; another output's sites are the worker's business."""
    pairing.check(model(), dataset(), Config(**config))


@pytest.mark.parametrize(
    ("config", "given", "kind", "told"),
    [
        ({"sites": ["conv*", "layre*"]}, dataset(), problems.Invalid, "no site 'layre*'"),
        ({"sites": ["conv4"]}, dataset(), problems.Invalid, "conv1, conv2, conv[3], and 2 more."),
        ({"scope": "layer", "site": "fc"}, dataset(), problems.Invalid, "It has: fc1, and 4 more."),
        ({"scope": "layer", "site": "conv*"}, dataset(), problems.Invalid, "no site 'conv*'"),
        ({"scope": "paper", "sites": ["fc1"]}, dataset(), problems.ModelUnsupported, "convolutions"),
        ({"output": "logit"}, dataset(), problems.Invalid, "It has: logits, and 1 more."),
        ({"metric": "top_k", "k": 10}, dataset(), problems.Invalid, "every answer would count as right"),
        ({"inputs": {"img": "x"}}, dataset(), problems.Invalid, "It has: image."),
        ({"inputs": {"image": "z"}}, dataset(), problems.DatasetMismatch, "`inputs.image` is 'z'"),
        ({"weights": "import"}, dataset(), problems.DatasetMismatch, "It has: importance, and 2 more."),
        ({"labels": "label"}, dataset(), problems.DatasetMismatch, "`labels` is 'label'"),
        ({"split": "val"}, dataset(splits={"train": 5, "validation": 3}), problems.DatasetMismatch, "validation"),
        ({"metric": "accuracy"}, dataset(labels=None), problems.DatasetMismatch, "`agreement`"),
        ({}, dataset(labels={"min": 1, "max": 10, "distinct": 10}), problems.DatasetMismatch, "label 10"),
        ({}, shaped(784), problems.DatasetMismatch, "[3, 32, 32] for each example, but x holds [784]"),
        ({}, shaped(3, 28, 28), problems.DatasetMismatch, "[3, 28, 28]"),
    ],
)
def test_what_cannot_go_together_is_refused(
    config: dict[str, Any], given: dict[str, Any], kind: type[problems.Problem], told: str
) -> None:
    """Each refusal has its type, and names what was asked for and what there is instead."""
    with pytest.raises(kind) as refused:
        pairing.check(model(), given, Config(**config))
    assert told in refused.value.detail


@pytest.mark.parametrize(
    ("given", "config"),
    [
        (shaped(32, 32, 3), {}),  # channels last: the reader moves them
        (shaped("height", "width", 3), {}),  # pictures of any size
        (shaped(3, 28, 28), {"preprocessing": {"resize": 32}}),
        (dataset(labels=None), {}),  # agreement
        (dataset(labels={"min": 0, "max": 99, "distinct": 100}, splits={"a": 1, "b": 2}), {}),
        (dataset(labels={"min": 0, "max": 99, "distinct": 100, "names": ["cat"]}), {}),
        (dataset(labels={"min": -3.5, "max": 99.5, "distinct": 100}), {"metric": "r2"}),
    ],
)
def test_what_needs_the_bytes_is_left_to_the_worker(given: dict[str, Any], config: dict[str, Any]) -> None:
    """Layouts, resizing, splits and names of labels are the reader's, who has the bytes."""
    pairing.check(model(), given, Config(**config))


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"sites": ["conv[3]"]}, ["conv[3]"]),  # a name is itself, whatever a pattern would make of it
        ({"sites": ["fc1", "conv?"]}, ["conv1", "conv2", "fc1"]),  # in network order
        ({"sites": ["*conv*"], "scope": "layer"}, ["conv1", "conv2", "layer.0/conv", "conv[3]"]),
        ({"sites": ["conv?", "fc1"], "scope": "paper"}, ["conv1", "conv2"]),
        ({"scope": "paper"}, ["conv2", "layer.0/conv", "conv[3]"]),
        ({"scope": "layer", "site": "fc1"}, ["fc1"]),
    ],
)
def test_sites_are_chosen_by_name_or_pattern(config: dict[str, Any], names: list[str]) -> None:
    """Any scope takes names and patterns, and keeps the network's order."""
    assert [site["site"] for site in pairing.scoped(SITES, Config(**config))] == names


READ = {"name": "image", "dtype": "float32", "shape": [100, 3, 32, 32]}


@pytest.mark.parametrize(
    ("read", "told"),
    [
        ({"name": "x"}, "got nothing"),
        ({"dtype": "float64"}, "is float32, but the dataset gives float64"),
        ({"shape": [100, 32, 32, 3]}, "[32, 32, 3]"),
        ({"shape": [99, 3, 32, 32]}, "99 examples of 100"),
        ({"shape": []}, "[]"),
    ],
)
def test_what_was_read_is_held_against_the_model(read: dict[str, Any], told: str) -> None:
    """The dataset's process may claim what it likes: inputs are loaded only if they are the model's own."""
    pairing.written(model(), dataset(inputs=[READ]))
    with pytest.raises(problems.DatasetMismatch) as refused:
        pairing.written(model(), dataset(inputs=[READ | read]))
    assert told in refused.value.detail
