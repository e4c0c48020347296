"""What the parent believes of what a child says about a file."""

import copy
from typing import Any

import numpy as np
import pytest

from worker.sandbox import claims

MODEL: dict[str, Any] = {
    "format": "onnx",
    "producer": "pytorch 2.13.0",
    "opset": 18,
    "parameters": 1000,
    "inputs": [
        {"name": "x", "dtype": "float32", "shape": ["batch", 1, 28, 28]},
        {"name": "rate", "dtype": "int64", "shape": []},
    ],
    "outputs": [{"name": "y", "dtype": "float32", "shape": ["batch", 10]}],
    "output": {
        "name": "y",
        "shape": ["batch", 10],
        "classes": 10,
        "kind": "classes",
        "probabilities": False,
        "labels": ["cat", 3, -1, *range(7)],
    },
    "batch": 3,
    "sites": [{"site": "conv", "op": "Conv", "units": 4, "convolutional": True, "exits": 1, "means": 4}],
    "cost": {"multiply_adds": 4_000_000, "milliseconds": 0.25},
    "warnings": [],
    "versions": {"onnxruntime": "1.32.0"},
}
DATASET: dict[str, Any] = {
    "format": "npz",
    "examples": 3,
    "inputs": [{"name": "x", "dtype": "float32", "shape": [3, 4]}, {"name": "t", "dtype": "int64", "shape": []}],
    "labels": {"min": 0, "max": 1, "distinct": 2, "most_frequent": 2, "names": ["no", "yes"]},
    "columns": ["x", "t", "y"],
    "splits": {"train": 2, "test": 1},
    "preprocessing": {"mean": [0.5]},
    "warnings": [],
}
OPEN = {"name": "x", "dtype": "image", "shape": [3, "height", "width", 3]}


def test_honest_claims_are_believed() -> None:
    """Claims of the expected form are, with whatever else they hold."""
    assert claims.is_model({**MODEL, "more": 1})
    assert claims.is_model({**MODEL, "batch": None, "cost": {"multiply_adds": 0, "milliseconds": None}})
    assert claims.is_dataset(DATASET, written=True)
    assert claims.is_dataset({**DATASET, "labels": None, "splits": None, "preprocessing": None}, written=True)
    assert claims.is_dataset({**DATASET, "labels": {"min": -1.5, "max": 2.5}}, written=True)
    assert claims.is_loaded({"tail": [7, 3], "warnings": ["careful"]})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("output", "classes"), "10"),
        (("output", "classes"), 2**40),
        (("output", "classes"), True),
        (("output", "kind"), "regression"),
        (("output", "labels"), [[1]]),
        (("output", "labels"), [1.5]),
        (("output", "probabilities"), "no"),
        (("output", "shape"), [1] * 100),
        (("output",), None),
        (("batch",), 0),
        (("sites",), []),
        (("sites", 0, "units"), -4),
        (("sites", 0, "exits"), 10**12),
        (("sites", 0, "means"), 10**12),
        (("sites", 0, "site"), "x" * 10**6),
        (("cost", "milliseconds"), float("nan")),
        (("cost", "milliseconds"), -1.0),
        (("cost", "multiply_adds"), 1e99),
        (("inputs",), []),
        (("inputs", 0, "shape"), [[1]]),
        (("inputs", 0, "dtype"), "object"),
        (("versions",), {"onnxruntime": {}}),
        (("warnings",), "<script>"),
        (("warnings",), [""] * 10_000),
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


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": [{**OPEN, "shape": ["n", 4]}]},
        {"inputs": [OPEN]},
        {"inputs": [{**OPEN, "shape": [3, 8, 8, 3]}]},
        {"inputs": [{"name": "x", "dtype": "float32", "shape": [4, 3]}]},
        {"inputs": [{"name": "x", "dtype": "|O", "shape": [3]}]},
    ],
)
def test_what_was_written_has_numbers_for_axes(change: dict[str, Any]) -> None:
    """An open axis is a model's right, and a folder of pictures'; what was written has sizes, the examples first."""
    assert not claims.is_dataset({**DATASET, **change}, written=True)


@pytest.mark.parametrize(
    "change",
    [
        {"examples": 0},
        {"examples": 2**50},
        {"labels": {"min": 0, "max": float("inf")}},
        {"labels": {"min": 0, "max": 1, "names": {"a": 1}}},
        {"splits": {"train": -1}},
        {"splits": ["train"]},
        {"columns": "x"},
        {"preprocessing": {"mean": [0.5] * 100_000}},
        {"preprocessing": {"mean": float("inf")}},
        {"more": float("nan")},
        {"more": ["a\0b"]},
        {"more": {"\ud800": 1}},
        {"inputs": []},
    ],
)
def test_a_dataset_of_another_form_is_not_believed(change: dict[str, Any]) -> None:
    """Nor when it was only looked at."""
    assert claims.is_dataset({**DATASET, "inputs": [OPEN]}, written=False)
    assert not claims.is_dataset({**DATASET, **change}, written=False)
    assert not claims.is_dataset(MODEL, written=False)


@pytest.mark.parametrize(
    "loaded",
    [
        {},
        {"tail": [0], "warnings": []},
        {"tail": [-3], "warnings": []},
        {"tail": [2**30, 2**30], "warnings": []},
        {"tail": 3},
    ],
)
def test_a_tail_that_cannot_be_held_is_not_believed(loaded: dict[str, Any]) -> None:
    """What outputs are allocated by is bounded."""
    assert not claims.is_loaded(loaded)


LABELS, WEIGHTS = np.zeros(3, np.int64), np.ones(3)


@pytest.mark.parametrize(
    ("names", "arrays", "believed"),
    [
        ([], [], True),
        (["labels"], [LABELS], True),
        (["labels"], [np.zeros((3, 5), np.int64)], True),
        (["labels"], [np.zeros((3, 2))], True),
        (["labels", "weights"], [LABELS, WEIGHTS], True),
        (["weights"], [WEIGHTS], True),
        (["weights", "labels"], [WEIGHTS, LABELS], False),
        (["labels", "labels"], [LABELS, LABELS], False),
        (["labels"], [], False),
        ([], [LABELS], False),
        (["inputs"], [LABELS], False),
        (None, [LABELS], False),
        ("labels", [LABELS], False),
        (["labels"], [LABELS[:2]], False),
        (["labels"], [np.zeros((3, 1, 1), np.int64)], False),
        (["labels"], [np.zeros(3, np.uint8)], False),
        (["labels"], [np.zeros((), np.int64)], False),
        (["weights"], [LABELS], False),
        (["weights"], [np.ones((3, 1))], False),
    ],
)
def test_arrays_are_what_they_are_called(names: Any, arrays: list[np.ndarray[Any, Any]], believed: bool) -> None:
    """Labels and weights, in this order, one entry an example, of the types that the parent computes with."""
    assert claims.are_columns(names, arrays, 3) is believed
