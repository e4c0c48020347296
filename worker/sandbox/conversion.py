"""The parent's side of a conversion: `.pt2` and TorchScript are made into ONNX by a child of their own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.sandbox.inputs_file import Description
from worker.sandbox.process import Process

Kind = Literal["pt2", "torchscript"]

MODEL_LIMIT = 2 * 1024**3 - 1  # bytes of an ONNX file
TAIL = 16 * 1024**2  # bytes at a file's end that are searched for its table of contents
ENTRY = b"PK\x01\x02"  # begins each entry of that table
EXAMPLES = 32  # of a dataset, on which original and conversion are compared


def kind_of(path: Path) -> Kind | None:
    """What an upload is, by the names in its zip's table of contents; None for what is not to be converted.

    A first look only: whoever fools it is found out by the child.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return None
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TAIL, 0))
        names = _names(file.read(TAIL))
    if any(name in names for name in (b"archive_format", b"models/model.json", b"serialized_exported_program.json")):
        return "pt2"
    return "torchscript" if b"constants.pkl" in names and b"code" in names else None


def _names(tail: bytes) -> set[bytes]:
    """Names in a zip's table of contents, below its one folder, and the names of the folders there."""
    names: set[bytes] = set()
    at = tail.find(ENTRY)
    while at >= 0:
        length = int.from_bytes(tail[at + 28 : at + 30], "little")
        name = tail[at + 46 : at + 46 + length]
        below = name.partition(b"/")[2] or name
        names |= {below, below.partition(b"/")[0]}
        at = tail.find(ENTRY, at + 4)
    return names


class _Report(BaseModel):
    """What a conversion may say of itself."""

    model_config = ConfigDict(strict=True, extra="forbid")

    of: Kind = Field(alias="from")
    torch: Annotated[str, Field(max_length=100)]
    exporter: Literal["dynamo", "torchscript"]
    opset: Annotated[int, Field(ge=1, le=1000)]
    inputs: Literal["random", "dataset"]
    examples: Annotated[int, Field(ge=1, lt=2**40)]
    max_difference: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    agreement: Annotated[float, Field(ge=0, le=1)]


class Converter(Process):
    """A fresh interpreter for one program. Every method raises `Refused`, `Crashed` or `TimedOut`.

    memory_bytes: heap and anonymous maps it may have. seconds: wall clock of one question and its answer. scratch:
    where to make the folder that torch wants for files of its own.
    """

    MODULE = "worker.sandbox.converter"

    def __init__(self, *, memory_bytes: int, seconds: float, scratch: Path) -> None:
        super().__init__(memory_bytes=memory_bytes, seconds=seconds, file_bytes=MODEL_LIMIT, scratch=scratch)

    def convert(self, path: Path, kind: Kind, out: Path, inputs: Sequence[Description] | None = None) -> dict[str, Any]:
        """Make ONNX of a program, written to `out`, which answers as the program does on random inputs. The report:

        {"from": kind, "torch": version, "exporter", "opset", "inputs": "random" | "dataset", "examples": compared on,
        "max_difference": of any output, "agreement": share of examples with the same answer}

        inputs: [{"name", "dtype", "shape"}] as a dataset has them, first axis for examples: shapes to try on a
        TorchScript that does not tell its own.
        """
        asked = {"do": "convert", "kind": kind, "inputs": [dict(each) for each in inputs or []]}
        with out.open("wb") as opened:
            report, _ = self._ask(asked, files=[path], out=opened.fileno())
        return self._believed(report)

    def compare(self, inputs_path: Path, inputs: Sequence[Description], examples: int = EXAMPLES) -> dict[str, Any]:
        """Compare the two again, on the first examples of a dataset's inputs file. The report, as above.

        inputs: [{"name", "dtype", "shape"}] of the arrays in the file, in order, each at a multiple of 64 bytes.
        """
        asked = {"do": "compare", "inputs": [dict(each) for each in inputs], "examples": examples}
        report, _ = self._ask(asked, files=[inputs_path])
        return self._believed(report)

    def _believed(self, report: dict[str, Any]) -> dict[str, Any]:
        try:
            believed = _Report.model_validate(report)
        except ValidationError:
            self._believe(False)
            raise
        return believed.model_dump(by_alias=True)


def converted(
    path: Path,
    kind: Kind,
    out: Path,
    *,
    inputs: Sequence[Description] | None = None,
    memory_bytes: int,
    seconds: float,
) -> dict[str, Any]:
    """Make ONNX of a program in a child of its own, and end that. As `Converter.convert`."""
    with Converter(memory_bytes=memory_bytes, seconds=seconds, scratch=out.parent) as converter:
        return converter.convert(path, kind, out, inputs)
