"""The converting child: one program, one socket, no secret; it converts, and compares what came out.

`python -P -m worker.sandbox.converter FD PARENT MEMORY_BYTES FILE_BYTES DEVICE FOLDER`

As worker.sandbox.child, but with torch, and apart from it: what a program did to this process stays here.
"""

import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from worker.formats.refusals import Refused
from worker.formats.torchscript import EXPORT
from worker.sandbox import frames, inputs_file, walls
from worker.sandbox.frames import Array, BrokenFrameError
from worker.sandbox.inputs_file import Description

QUESTIONS = ("convert", "compare")


class Conversion:
    """The program this child has converted, and a method for each question."""

    def __init__(self) -> None:
        self._converted: Any = None

    def convert(self, asked: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Convert the first file into the second; the report."""
        try:
            from worker.formats.convert import convert
        except ModuleNotFoundError as missing:
            detail = (
                f"This worker cannot convert .pt2 and TorchScript: it has no {missing.name}. Install Lesion's extra "
                f"`convert` beside it. Or: {EXPORT}"
            )
            raise Refused("unsupported-format", detail) from missing
        with os.fdopen(files[0], "rb") as file, os.fdopen(files[1], "wb") as out:
            self._converted = convert(file, asked["kind"], asked["inputs"])
            out.write(self._converted.onnx)
        report: dict[str, Any] = self._converted.report
        return report

    def compare(self, asked: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Compare original and conversion on the first examples of an inputs file; the report."""
        report: dict[str, Any] = self._converted.compare(_first(files[0], asked["inputs"], asked["examples"]))
        return report


def _first(file: int, inputs: Sequence[Description], examples: int) -> list[Array]:
    """The first examples of each array in an inputs file, without reading the rest; scalars whole."""
    with os.fdopen(file, "rb") as opened:
        mapped = inputs_file.mapped(opened, inputs)
        return [np.array(array[:examples] if array.ndim else array) for array in mapped.values()]


def _answer(conversion: Conversion, asked: dict[str, Any], files: list[int]) -> dict[str, Any]:
    assert asked["do"] in QUESTIONS
    try:
        return {"found": getattr(conversion, asked["do"])(asked, files)}
    except Refused as refused:
        return {"refused": [refused.kind, refused.detail]}
    except MemoryError:
        detail = "The conversion needs more memory than a compute process may use. Export the model to ONNX yourself."
        return {"refused": ["resource-exhausted", detail]}


def main() -> None:
    """Answer until the parent hangs up."""
    socket_number, parent, memory_bytes, file_bytes, device, folder = sys.argv[1:]
    walls.die_with_parent(int(parent))
    walls.raise_walls(int(memory_bytes), int(file_bytes), device, folder)
    conversion = Conversion()
    with socket.socket(fileno=int(socket_number)) as to_parent:
        while True:
            try:
                asked, _arrays, files = frames.receive(to_parent, 0, frames.FILES)
            except BrokenFrameError:
                return
            no_arrays: list[Array] = []
            frames.send(to_parent, _answer(conversion, asked, files), no_arrays)


if __name__ == "__main__":
    main()
