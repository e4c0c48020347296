"""A TorchScript archive looked at from outside, and put together again with nothing but what torch needs of it.

No torch here. What torch gets to see are the members that were looked at, in an archive of our own.
"""

import io
import re
import zipfile
from dataclasses import dataclass
from typing import IO

import numpy as np

from worker.formats import pickles, zips
from worker.formats.refusals import Refused

LARGEST = 2 * 1024**3 - 1  # bytes of all members; ONNX ends there too
CODE_LIMIT = 64 * 1024**2  # bytes of its source
PICKLE_LIMIT = 8 * 1024**2  # bytes of what says which attributes it has; their numbers lie elsewhere
SHAPES_LIMIT = 1024**2  # bytes of the note of the inputs it was traced with
RANK_LIMIT = 8
REACHING_OUT = re.compile(rb"\b(?:from_file|torch\.save|torch\.load|__setstate__\(.*open)\b")
PICKLES = {"data.pkl": "data", "constants.pkl": "constants"}  # each with the folder its tensors' storages lie in
# What torch runs. Left out are, among others, notes of where code came from (.debug_pkl): torch 2.13 reads them when it
# has a fault to tell, and ends the process if they are damaged.
NEEDED = re.compile(r"(?:data|constants)(?:\.pkl|/[^/]+)|code/.+\.py|version|\.data/version|byteorder", re.DOTALL)
STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "BoolStorage": "bool",
}
BYTES = {name: np.dtype(dtype).itemsize for name, dtype in STORAGES.items()} | {
    "BFloat16Storage": 2,
    "ShortStorage": 2,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
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
        members = _members(archive)
        _check(members)
        _check_code(archive, members)
        for name in PICKLES:
            _check_storages(archive, members, name)
        note = members.get("traced_inputs.pkl")
        if note is None or note.file_size > SHAPES_LIMIT:
            return []
        with archive.open(note) as opened:
            return _shapes(opened.read(SHAPES_LIMIT))


def rebuilt(file: IO[bytes]) -> bytes:
    """An archive of our own with the members that torch needs. Raises `Refused` if one cannot be read."""
    out = io.BytesIO()
    with zips.refusing(_damaged), zipfile.ZipFile(file) as archive, zipfile.ZipFile(out, "w") as copy:
        for name, member in _members(archive).items():
            if NEEDED.fullmatch(name):
                copy.writestr(f"model/{name}", archive.read(member))
    return out.getvalue()


def _damaged(why: str) -> Refused:
    return Refused("model-malformed", f"The TorchScript file is no sound zip archive: {why}.")


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by name, without the folder that the first lies in: torch knows no others."""
    members: dict[str, zipfile.ZipInfo] = {}
    folder = ""
    for info in archive.infolist():
        first, _, name = info.filename.partition("/")
        folder = folder or first
        if first == folder and name in members:
            raise _damaged(f"it holds {name[:100]!r} twice")
        if first == folder:
            members[name] = info
    return members


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


def _check_storages(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> None:
    """Each storage is as large as the pickle says: torch (2.13) trusts that, reads on in memory, and crashes."""
    if name not in members:
        return  # torch says so
    if members[name].file_size > PICKLE_LIMIT:
        raise Refused("model-too-large", f"The TorchScript's {name} has more than {PICKLE_LIMIT:,} bytes.")
    try:
        storages = pickles.storages(archive.read(members[name]))
    except ValueError as error:
        raise Refused("model-malformed", f"The TorchScript's {name} is damaged: {error}.") from error
    for storage in storages:
        member = f"{PICKLES[name]}/{storage.key}"
        wanted = storage.elements * BYTES.get(storage.kind, 1)
        if member in members and members[member].file_size < wanted:
            has = members[member].file_size
            detail = f"The TorchScript's {member[:100]!r} has {has:,} bytes, and a tensor in it needs {wanted:,}."
            raise Refused("model-malformed", detail)


def _shapes(note: bytes) -> list[Traced]:
    try:
        found = pickles.tensors(note)
    except ValueError:
        return []  # a note of another kind
    return [
        Traced(STORAGES[tensor.storage.kind], tensor.shape)
        for tensor in found
        if tensor.storage.kind in STORAGES and len(tensor.shape) <= RANK_LIMIT
    ]
