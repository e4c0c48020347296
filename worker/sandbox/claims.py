"""What a child claims to have found in a file, checked before anybody builds on it: a hostile file may be speaking."""

import json
from collections.abc import Sequence
from math import prod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.sandbox.frames import Array

Word = Annotated[str, Field(max_length=10_000)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Number = Count | Annotated[float, Field(allow_inf_nan=False)] | Annotated[int, Field(gt=-(2**53), lt=0)]
Size = Annotated[int, Field(ge=1, lt=2**40)]
Axis = Count | Word
DType = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"
]
Label = Word | Count | Annotated[int, Field(gt=-(2**63), lt=0)]
AXES = 32
ENTRIES = 100_000  # of a list of words
TAIL_LIMIT = 2**26  # numbers in the output for one example
FREE_LIMIT = 64 * 1024  # bytes of JSON whose form is not laid down


class _Claim(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Input(_Claim):
    name: Word
    dtype: DType
    shape: list[Axis] = Field(max_length=AXES)


class _Candidate(_Claim):
    """An array or column that could be an input: of numbers, or of pictures."""

    name: Word
    dtype: Word
    shape: list[Axis] = Field(max_length=AXES)


class _AnyOutput(_Claim):
    name: Word
    dtype: Word
    shape: list[Axis] | None = Field(max_length=AXES)


class _Output(_Claim):
    name: Word
    classes: int = Field(ge=2, lt=2**24)
    shape: list[Axis] = Field(max_length=AXES)
    kind: Literal["classes", "binary", "tokens"]
    probabilities: bool
    labels: list[Label] | None = Field(max_length=2**24)


class _Site(_Claim):
    site: Word
    op: Word
    units: int = Field(ge=2, lt=2**24)
    convolutional: bool
    exits: int = Field(ge=1, lt=2**10)
    means: int = Field(ge=2, lt=2**26)


class _Cost(_Claim):
    multiply_adds: Count | None
    milliseconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


class _Model(_Claim):
    format: Word
    producer: Word
    opset: Count
    parameters: Count
    inputs: list[_Input] = Field(min_length=1, max_length=1000)
    outputs: list[_AnyOutput] = Field(max_length=ENTRIES)
    output: _Output
    batch: Size | None
    sites: list[_Site] = Field(min_length=1, max_length=ENTRIES)
    cost: _Cost
    warnings: list[Word] = Field(max_length=1000)
    versions: dict[Word, Word] = Field(max_length=100)


class _Labels(_Claim):
    min: Number | None
    max: Number | None
    distinct: Count | None = None
    most_frequent: Count | None = None
    names: list[Label] | None = Field(None, max_length=2**24)


class _Dataset(_Claim):
    format: Word
    examples: Size
    inputs: list[_Candidate] = Field(min_length=1, max_length=ENTRIES)
    labels: _Labels | None
    columns: list[Word] = Field([], max_length=ENTRIES)
    splits: dict[Word, Count] | None = Field(None, max_length=1000)
    preprocessing: dict[Word, Any] | None = None
    warnings: list[Word] = Field(max_length=1000)


class _Written(_Claim):
    inputs: list[_Input] = Field(max_length=1000)


class _Loaded(_Claim):
    tail: list[Size] = Field(max_length=AXES)
    warnings: list[Word] = Field(max_length=1000)


def is_model(found: dict[str, Any]) -> bool:
    """Has a claim about a model the form that is expected?"""
    return _fits(_Model, found)


def is_dataset(found: dict[str, Any], *, written: bool) -> bool:
    """Has a claim about a dataset the form that is expected?

    written: the inputs were, so all their axes have a size, and the first axis is for the examples; a scalar has none.
    """
    if not _fits(_Dataset, found) or len(json.dumps(found.get("preprocessing"))) > FREE_LIMIT:
        return False
    if not written:
        return True
    shapes = [each["shape"] for each in found["inputs"]]
    sized = all(isinstance(size, int) for shape in shapes for size in shape)
    return sized and all(shape[:1] in ([], [found["examples"]]) for shape in shapes) and _fits(_Written, found)


def is_loaded(loaded: dict[str, Any]) -> bool:
    """Has a claim about a network on its inputs the form that is expected, and an output of a bearable size?"""
    return _fits(_Loaded, loaded) and prod(loaded["tail"]) <= TAIL_LIMIT


def are_columns(names: Any, arrays: Sequence[Array], examples: int) -> bool:
    """Are these arrays labels, weights, both or neither, of their types and with one entry an example?"""
    if names not in ([], ["labels"], ["weights"], ["labels", "weights"]) or len(names) != len(arrays):
        return False
    for name, array in zip(names, arrays, strict=True):
        forms = {("<f8", 1)} if name == "weights" else {("<i8", 1), ("<i8", 2), ("<f8", 1), ("<f8", 2)}
        if (array.dtype.str, array.ndim) not in forms or len(array) != examples:
            return False
    return True


def _fits(form: type[_Claim], found: dict[str, Any]) -> bool:
    """Has a claim a form, and is all else that it holds what a database takes too?"""
    try:
        form.model_validate(found)
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValidationError, ValueError, RecursionError):
        return False
    return "\\u0000" not in text
