"""What the parent believes of what a child says about a file."""

import copy
from typing import Any

import pytest

from worker.sandbox import claims

MODEL: dict[str, Any] = {
    "format": "onnx",
    "producer": "pytorch 2.13.0",
    "opset": 18,
    "parameters": 1000,
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 1, 28, 28]}],
    "output": {"name": "y", "classes": 10},
    "sites": [{"site": "conv", "op": "Conv", "units": 4, "convolutional": True, "exits": 1}],
    "warnings": [],
    "versions": {"onnxruntime": "1.32.0"},
}
DATASET: dict[str, Any] = {
    "format": "npz",
    "examples": 3,
    "inputs": [{"name": "x", "dtype": "float32", "shape": [3, 4]}],
    "labels": {"min": 0, "max": 1, "distinct": 2, "most_frequent": 2},
    "warnings": [],
}


def test_honest_claims_are_believed() -> None:
    """Claims of the expected form are, with whatever else they hold."""
    assert claims.is_model({**MODEL, "more": 1})
    assert claims.is_dataset(DATASET)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("output", "classes"), "10"),
        (("output", "classes"), 2**40),
        (("output", "classes"), True),
        (("output",), None),
        (("sites",), []),
        (("sites", 0, "units"), -4),
        (("sites", 0, "exits"), 10**12),
        (("sites", 0, "site"), "x" * 10**6),
        (("inputs",), []),
        (("inputs", 0, "shape"), [[1]]),
        (("versions",), {"onnxruntime": {}}),
        (("warnings",), "<script>"),
    ],
)
def test_a_claim_of_another_form_is_not(path: tuple[Any, ...], value: Any) -> None:
    """Other types, sizes that would be allocated, or what is missing: none of it goes further."""
    model = copy.deepcopy(MODEL)
    place: Any = model
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not claims.is_model(model)
    del place[path[-1]]
    assert not claims.is_model(model)


def test_a_dataset_has_numbers_for_axes() -> None:
    """An open axis is a model's right, not a dataset's."""
    assert not claims.is_dataset({**DATASET, "inputs": [{"name": "x", "dtype": "float32", "shape": ["n", 4]}]})
    assert not claims.is_dataset({**DATASET, "examples": 0})
    assert not claims.is_dataset(MODEL)
