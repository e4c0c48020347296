"""What inspection finds in an upload. Fields may be added, so callers take what they know; none is renamed."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.result import Site

Axes = list[int | str]  # sizes; an axis that the file leaves open has a name, such as batch, or ?


class Array(BaseModel):
    """A named array: an input or output of a model, or what a dataset holds for one."""

    model_config = ConfigDict(extra="allow")
    name: str
    dtype: str = Field(description="As numpy has it, such as float32.")
    shape: Axes | None = Field(
        description="Sizes; an open axis has a name, and null is unknown altogether. The first axis counts examples."
    )


class Output(BaseModel):
    """The output that is taken for the model's answer; `output` in a config names another."""

    model_config = ConfigDict(extra="allow")
    name: str
    shape: Axes = []
    classes: int
    kind: str = Field(
        "classes",
        description="`classes`: a number for each class; `binary`: one number an example; `tokens`: classes for each "
        "token; `values`: for the metric `r2` only.",
    )
    probabilities: bool = Field(False, description="The numbers are probabilities; else logits.")
    labels: list[int | str] | None = Field(None, description="What the file calls its classes, in their order.")


class ModelCost(BaseModel):
    """What one example costs, intact."""

    model_config = ConfigDict(extra="allow")
    multiply_adds: int | None = Field(None, description="By arithmetic, from the shapes; null if they are open.")
    milliseconds: float | None = Field(None, description="As measured once on the worker that looked.")


class ModelFound(BaseModel):
    """What was found in a model. Sites come in network order: nearest the input first."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "format": "onnx",
                    "producer": "pytorch 2.13.0",
                    "opset": 18,
                    "parameters": 421_642,
                    "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 1, 28, 28]}],
                    "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 10]}],
                    "output": {
                        "name": "logits",
                        "shape": ["batch", 10],
                        "classes": 10,
                        "kind": "classes",
                        "probabilities": False,
                        "labels": None,
                    },
                    "batch": None,
                    "sites": [
                        {"site": "conv1", "op": "Conv", "units": 32, "convolutional": True},
                        {"site": "conv2", "op": "Conv", "units": 64, "convolutional": True},
                        {"site": "fc1", "op": "Gemm", "units": 128, "convolutional": False},
                    ],
                    "cost": {"multiply_adds": 4_241_152, "milliseconds": 0.043},
                    "warnings": [],
                    "converted": None,
                    "versions": {"onnx": "1.23.2", "onnxruntime": "1.32.0"},
                }
            ]
        },
    )
    format: str = "onnx"
    producer: str | None = Field(None, description="What wrote the file, as it says itself.")
    opset: int | None = None
    parameters: int | None = Field(None, description="Numbers in its weights.")
    inputs: list[Array]
    outputs: list[Array] = Field([], description="All that the file has.")
    output: Output
    batch: int | None = Field(None, description="The batch it was exported for; null: any.")
    sites: list[Site] = []
    cost: ModelCost | None = None
    warnings: list[str] = []
    converted: dict[str, Any] | None = Field(
        None, description="Of a .pt2 or TorchScript file: how it became ONNX, and how faithfully."
    )
    versions: dict[str, str] = {}


class Labels(BaseModel):
    """The labels of a dataset."""

    model_config = ConfigDict(extra="allow")
    min: int | float | None = None
    max: int | float | None = None
    distinct: int | None = None
    most_frequent: int | None = Field(None, description="How many examples have the most frequent label.")
    names: list[int | str] | None = Field(
        None, description="Of labels that are words or folders, in order: the first is 0."
    )


class DatasetFound(BaseModel):
    """What was found in a dataset."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "format": "npz",
                    "examples": 10_000,
                    "inputs": [{"name": "x", "dtype": "float32", "shape": [10_000, 1, 28, 28]}],
                    "labels": {"min": 0, "max": 9, "distinct": 10, "most_frequent": 1135, "names": None},
                    "columns": ["x", "y"],
                    "splits": None,
                    "warnings": [],
                }
            ]
        },
    )
    format: Literal["npz", "parquet", "images", "safetensors", "csv"] | str = "npz"
    examples: int
    inputs: list[Array] = Field(description="What may be given to a model; a picture's open sizes are named.")
    labels: Labels | None = Field(
        None, description="What was taken for the labels; `labels` in a config names another."
    )
    columns: list[str] = Field([], description="All arrays or columns.")
    splits: dict[str, int] | None = Field(None, description="Named parts, and the examples of each.")
    warnings: list[str] = []
