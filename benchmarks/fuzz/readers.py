"""The real readers: the worker's own parent of the walled child, asked as an inspection and an evaluation ask it.

The same as in production: the parent, its checks of what a child claims, the walls, the child and all that it reads
with. Other than there: one child answers for many files, until it dies or has read `LIFE` of them; its limit of memory
is lower; and it has its threads set to one.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.seeds import Seed
from worker.sandbox import conversion, inputs_file
from worker.sandbox.conversion import Converter
from worker.sandbox.parent import Child
from worker.sandbox.process import Process

GIB = 1024**3
MEMORY = 2 * GIB  # bytes of a child; four with torch in it
WALL = 60.0  # seconds after which a child is killed: many times what it may compute, since machines are busy
EXAMPLES = 4
OTHER_AXES = 8  # size of an input's axis that the model leaves open
INPUTS_LIMIT = 64 * 1024**2  # bytes of made-up inputs
WRITTEN_LIMIT = 256 * 1024**2  # bytes of inputs that a dataset may unpack to here


class Reader(ABC):
    """Puts one file after another to a reader. A context manager; `folder` is its own."""

    LIFE = 2000  # files that one child reads

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = 0
        self.children: dict[str, Process] = {}

    @abstractmethod
    def read(self, case: Seed) -> str:
        """How far a sound enough file came. Raises `Refused`, `Crashed` or `TimedOut`; anything else is a fault."""

    def renew(self) -> None:
        """End all children: the next file gets fresh ones."""
        for child in self.children.values():
            child.close()
        self.children.clear()
        self._read = 0

    def count(self) -> None:
        """One more was read."""
        self._read += 1
        if self._read >= self.LIFE:
            self.renew()

    def _child(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.children:
            self.children[name] = make()
        return self.children[name]

    def _file(self, data: bytes, name: str = "file") -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def _model_child(self) -> Child:
        child: Child = self._child("model", lambda: Child(memory_bytes=MEMORY, seconds=WALL, threads=1))
        return child


class Models(Reader):
    """ONNX and bundles: found out what it is, opened and tried, then run with masks on zeros as an evaluation would."""

    def read(self, case: Seed) -> str:
        return self._opened(self._file(case.data))

    def _opened(self, path: Path) -> str:
        conversion.kind_of(path)
        child = self._model_child()
        found = child.open_model(path)
        inputs = [_closed(each) for each in found["inputs"]]
        _, end = inputs_file.starts(inputs)
        if end > INPUTS_LIMIT:
            return "opened"
        zeros = self.folder / "inputs"
        with zeros.open("wb") as file:
            file.truncate(end + -end % inputs_file.ALIGNMENT)
        sites = found["sites"][:64]
        child.load(zeros, inputs, [site["site"] for site in sites], "zero")
        rows = np.arange(EXAMPLES) % max(inputs[0]["shape"][0] if inputs[0]["shape"] else 1, 1)
        masks = [np.arange(site["units"])[None] % 2 == 0 for site in sites]
        child.outputs(rows, np.zeros(EXAMPLES, np.int64), masks)
        return "ran"


def _closed(described: dict[str, Any]) -> dict[str, Any]:
    shape = [
        size if isinstance(size, int) else EXAMPLES if not place else OTHER_AXES
        for place, size in enumerate(described["shape"])
    ]
    return {**described, "shape": shape}


class Programs(Models):
    """`.pt2` and TorchScript: converted by a child with torch, and the ONNX opened by another."""

    LIFE = 250

    def read(self, case: Seed) -> str:
        path, onnx = self._file(case.data), self.folder / "converted.onnx"
        kind = conversion.kind_of(path)
        if kind is None:
            return self._opened(path)
        converter = self._child(
            "converter", lambda: Converter(memory_bytes=2 * MEMORY, seconds=4 * WALL, scratch=self.folder)
        )
        converter.convert(path, kind, onnx)
        return f"converted, {self._opened(onnx)}"


class Datasets(Reader):
    """Datasets: looked at as an inspection does, then read for a model as an evaluation does."""

    def read(self, case: Seed) -> str:
        path, out = self._file(case.data), self.folder / "out"
        child = self._child(
            "dataset", lambda: Child(memory_bytes=MEMORY, seconds=WALL, threads=1, file_bytes=WRITTEN_LIMIT)
        )
        child.read_dataset(path, inputs_out=Path(os.devnull), reading=None)
        child.read_dataset(path, inputs_out=out, reading=case.asked)
        return "written"
