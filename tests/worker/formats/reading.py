"""A dataset read as a model wants it, or looked at, and what is refused."""

import io
from typing import Any

import numpy as np
import pytest

from worker.formats.datasets import read
from worker.formats.refusals import KINDS, Refused
from worker.sandbox import inputs_file


def wanted(name: str, *axes: int | str, dtype: str = "float32") -> dict[str, Any]:
    """An input of a model, as a model's reader finds it."""
    return {"name": name, "dtype": dtype, "shape": ["batch", *axes]}


def reading(*inputs: dict[str, Any], **asked: Any) -> dict[str, Any]:
    """What a model and a config ask of a dataset."""
    left_out = ("columns", "labels", "weights", "split", "preprocessing", "label_names")
    return {"inputs": list(inputs), "targets": "classes", **dict.fromkeys(left_out), **asked}


def looked_at(data: bytes) -> dict[str, Any]:
    """What is found in a dataset at upload."""
    found, _ = read(io.BytesIO(data), None, None)
    return found


def taken(data: bytes, *inputs: dict[str, Any], **asked: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was found, and all arrays: the inputs by name, labels and weights."""
    out = io.BytesIO()
    found, arrays = read(io.BytesIO(data), out, reading(*inputs, **asked))
    raw = out.getvalue()
    starts, end = inputs_file.starts(found["inputs"])
    assert len(raw) == end, "the file ends with the last input"
    made: dict[str, Any] = dict(arrays)
    for start, each in zip(starts, found["inputs"], strict=True):
        dtype, count = np.dtype(each["dtype"]).newbyteorder("<"), int(np.prod(each["shape"], dtype=np.int64))
        made[each["name"]] = np.frombuffer(raw, dtype, count, start).reshape(each["shape"])
    return found, made


def refused(kind: str, data: bytes, *inputs: dict[str, Any], **asked: Any) -> str:
    """The detail of the refusal of a dataset: read if inputs are given, else looked at."""
    with pytest.raises(Refused) as caught:
        taken(data, *inputs, **asked) if inputs else looked_at(data)
    assert caught.value.kind == kind, caught.value.detail
    assert kind in KINDS
    assert len(caught.value.detail) < 1200
    return caught.value.detail
