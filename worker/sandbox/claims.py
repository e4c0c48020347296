"""What a child claims to have found in a file, checked before anybody builds on it: a hostile file may be speaking."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Word = Annotated[str, Field(max_length=10_000)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Axis = Count | Word


class _Claim(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Input(_Claim):
    name: Word
    dtype: Word
    shape: list[Axis] = Field(min_length=1, max_length=64)


class _Output(_Claim):
    name: Word
    classes: int = Field(ge=2, lt=2**24)


class _Site(_Claim):
    site: Word
    op: Word
    units: int = Field(ge=2, lt=2**24)
    convolutional: bool
    exits: int = Field(ge=1, lt=2**10)


class _Model(_Claim):
    format: Word
    producer: Word
    opset: Count
    parameters: Count
    inputs: list[_Input] = Field(min_length=1, max_length=1)
    output: _Output
    sites: list[_Site] = Field(min_length=1)
    warnings: list[Word]
    versions: dict[Word, Word]


class _Labels(_Claim):
    min: Count
    max: Count
    distinct: Count
    most_frequent: Count


class _Dataset(_Claim):
    format: Word
    examples: int = Field(ge=1, lt=2**40)
    inputs: list[_Input] = Field(min_length=1, max_length=1)
    labels: _Labels
    warnings: list[Word]


def is_model(found: dict[str, Any]) -> bool:
    """Has a claim about a model the form that is expected?"""
    return _fits(_Model, found)


def is_dataset(found: dict[str, Any]) -> bool:
    """Has a claim about a dataset the form that is expected, and all its axes a size?"""
    return _fits(_Dataset, found) and all(isinstance(size, int) for size in found["inputs"][0]["shape"])


def _fits(form: type[_Claim], found: dict[str, Any]) -> bool:
    try:
        form.model_validate(found)
    except (ValidationError, RecursionError):
        return False
    return True
