"""Models that are programs (`.pt2`, TorchScript): made into ONNX once a claim, and held against the original."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from worker.children import Children
from worker.sandbox import conversion
from worker.sandbox.conversion import Converter

Shapes = Sequence[dict[str, Any]]


class Program:
    """The model's file, converted if it has to be. Methods raise `Refused`, `Crashed` or `TimedOut`."""

    def __init__(self, children: Children, folder: Path) -> None:
        self._children, self._onnx = children, folder / "converted.onnx"
        self._converter: Converter | None = None
        self._digest: str | None = None
        self.report: dict[str, Any] | None = None

    def onnx(self, file: Path, shapes: Callable[[], Shapes | None]) -> Path:
        """The file itself, or the ONNX made of it. shapes: asks for those of the dataset's inputs, where needed."""
        kind = conversion.kind_of(file)
        if kind is None:
            return file
        if self._digest is None:
            self._converter = self._children.converter(self._onnx.parent)
            hint = shapes() if kind == "torchscript" else None
            report = self._converter.convert(file, kind, self._onnx, hint)
            with self._onnx.open("rb") as made:
                self._digest = "sha256:" + hashlib.file_digest(made, "sha256").hexdigest()
            self.report = {"model": self._digest, **report}
        return self._onnx

    def compare(self, inputs: Path, shapes: Shapes) -> None:
        """Hold the conversion against the original on the dataset's first examples, and end the original's process."""
        if self._converter is None:
            return
        self.report = {"model": self._digest, **self._converter.compare(inputs, shapes)}
        self._children.end(self._converter)
        self._converter = None

    def forget(self) -> None:
        """Its process is gone: what was not compared has to be converted again."""
        if self._converter is not None:
            self._converter = self._digest = self.report = None
