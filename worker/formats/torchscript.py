"""A TorchScript archive looked at from outside, before torch loads it: what it is, and what it was traced with."""

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from worker.formats import zips
from worker.formats.refusals import Refused

LARGEST = 2 * 1024**3 - 1  # bytes of all members; ONNX ends there too
CODE_LIMIT = 64 * 1024**2  # bytes of its source
SHAPES_LIMIT = 1024**2  # bytes of the note of the inputs it was traced with
RANK_LIMIT = 8
REACHING_OUT = re.compile(rb"\b(?:from_file|torch\.save|torch\.load|__setstate__\(.*open)\b")
STORAGES = {
    "torch FloatStorage": "float32",
    "torch HalfStorage": "float16",
    "torch DoubleStorage": "float64",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ByteStorage": "uint8",
    "torch CharStorage": "int8",
    "torch BoolStorage": "bool",
}
EXPORT = (
    "Export the model to ONNX where its class is known:\n"
    "model.eval()\n"
    "example = torch.randn(1, 3, 224, 224)  # of your input's shape\n"
    "torch.onnx.export(model, (example,), 'model.onnx', dynamo=True, dynamic_shapes=({0: 'batch'},))"
)


@dataclass(frozen=True)
class Traced:
    """An input of the trace: its dtype, and its shape with the batch it had."""

    dtype: str
    shape: tuple[int, ...]


def inspected(file: IO[bytes]) -> list[Traced]:
    """The inputs that the archive says it was traced with, in order; empty for a scripted one, or if it doesn't say.

    Executes nothing. Raises `Refused` if the file is no TorchScript, too large, or reaches for files.
    """
    with zips.refusing(_damaged), zipfile.ZipFile(file) as archive:
        members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        _check(members)
        _check_code(archive, members)
        note = members.get("traced_inputs.pkl")
        if note is None or note.file_size > SHAPES_LIMIT:
            return []
        with archive.open(note) as opened:
            return _shapes(opened.read(SHAPES_LIMIT))


def _damaged(why: str) -> Refused:
    return Refused("model-malformed", f"The TorchScript file is no sound zip archive: {why}.")


def _check(members: dict[str, zipfile.ZipInfo]) -> None:
    if sum(info.file_size for info in members.values()) > LARGEST:
        raise Refused("model-too-large", f"The TorchScript file unpacks to more than {LARGEST:,} bytes.")
    if "constants.pkl" not in members or not any(name.startswith("code/") for name in members):
        raise Refused(
            "unsupported-format",
            "The file is no TorchScript: it holds no code, as a state dict or a pickled module doesn't. " + EXPORT,
        )


def _check_code(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
    """No wall, a kindness: the sandbox would stop it later, and say less."""
    sources = [info for name, info in members.items() if name.startswith("code/") and name.endswith(".py")]
    if sum(info.file_size for info in sources) > CODE_LIMIT:
        raise Refused("model-too-large", f"The TorchScript's code has more than {CODE_LIMIT:,} bytes.")
    for info in sources:
        with archive.open(info) as opened:
            if found := REACHING_OUT.search(opened.read(info.file_size)):
                what = found[0].decode("ascii", "replace")
                detail = f"The TorchScript's {info.filename[:200]} calls {what!r}, which reaches for files. {EXPORT}"
                raise Refused("operator-not-allowed", detail)


def _shapes(note: bytes) -> list[Traced]:
    try:
        return list(_tensors(note))
    except (ValueError, IndexError, StopIteration):
        return []  # a note of another kind


def _tensors(note: bytes) -> Iterator[Traced]:
    """Read the note's opcodes, in which a tensor is: its storage's type ... BINPERSID, offset, sizes, strides."""
    memo: dict[int, str] = {}
    last = dtype = ""
    sizes: list[int] | None = None
    for opcode, argument, _ in pickletools.genops(io.BytesIO(note)):
        number = argument if isinstance(argument, int) else 0
        match opcode.name:
            case "GLOBAL":
                last = str(argument)
                dtype = STORAGES.get(last, dtype)
            case "BINPUT" | "LONG_BINPUT":
                memo[number] = last
                continue
            case "BINGET" | "LONG_BINGET":
                dtype = STORAGES.get(memo.get(number, ""), dtype)
            case "BINPERSID":
                sizes = []
            case "BININT" | "BININT1" | "BININT2" | "LONG1" if sizes is not None:
                sizes.append(number)
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" | "EMPTY_TUPLE" if sizes is not None:
                if dtype and len(sizes) <= RANK_LIMIT:
                    yield Traced(dtype, tuple(sizes[1:]))  # the offset comes first
                sizes = None
        last = last if opcode.name == "GLOBAL" else ""
