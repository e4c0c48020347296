"""Accuracies without Lesion: plain onnxruntime or torch over all examples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
BATCH = 100


def accuracy_of_onnx(model: Path, inputs: Arrays, labels: NDArray[np.int64], batch: int = BATCH) -> float:
    """Share of right answers of an ONNX file's first output (or first with an axis of classes), in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    right = 0
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        results = session.run(None, {name: values[part] for name, values in inputs.items()})
        right += int((_picked(results, batch) == labels[part]).sum())
    return right / len(labels)


def _picked(results: list[Any], batch: int) -> NDArray[np.int64]:
    for each in results:
        if isinstance(each, list):  # ZipMap's: a dictionary of probabilities for each example
            each = np.array([list(row.values()) for row in each])
        if each.ndim == 2:
            return np.asarray(each.argmax(axis=1))
    raise AssertionError("no output has an axis of classes")


def accuracy_of_torch(model: Any, inputs: Arrays, labels: NDArray[np.int64], batch: int = BATCH) -> float:
    """Share of right answers of anything that torch can call."""
    right = 0
    with torch.inference_mode():
        for start in range(0, len(labels), batch):
            part = slice(start, start + batch)
            outputs = model(*(torch.from_numpy(values[part]) for values in inputs.values()))
            right += int((outputs.argmax(1).numpy() == labels[part]).sum())
    return right / len(labels)
