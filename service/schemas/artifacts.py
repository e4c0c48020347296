"""Uploaded models and datasets, as the API shows them."""

from typing import Literal

from pydantic import BaseModel, Field

from service.schemas.evaluation import ProblemBody
from service.schemas.found import DatasetFound, ModelFound
from service.schemas.words import Digest


class Artifact(BaseModel):
    """An upload, named by the sha256 of its bytes; several files are named by those of the zip they became."""

    id: Digest
    size: int = Field(description="Bytes.")
    state: Literal["received", "ready", "refused"] = Field(description="`received`: not inspected yet.")
    created_at: str
    problem: ProblemBody | None = Field(None, description="Why it was refused.")


class Model(Artifact):
    """An uploaded model."""

    kind: Literal["model"] = "model"
    found: ModelFound | None = Field(description="What was found in it; null until a worker has looked.")


class Dataset(Artifact):
    """An uploaded dataset."""

    kind: Literal["dataset"] = "dataset"
    found: DatasetFound | None = Field(description="What was found in it; null until a worker has looked.")


class Models(BaseModel):
    """A page of models, newest first."""

    data: list[Model]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class Datasets(BaseModel):
    """A page of datasets, newest first."""

    data: list[Dataset]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")
