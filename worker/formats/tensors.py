"""Datasets: .safetensors files, whose header is JSON and whose tensors lie raw behind it."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from worker.formats.arrays import Arrays, Described, Held
from worker.formats.tables import COLUMNS_LIMIT, NAME_LIMIT, RANK_LIMIT, Array, Piece, malformed

HEADER_LIMIT = 16 * 1024**2  # bytes
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
HOW = "Save it with safetensors.numpy.save_file({'x': x, 'y': y}, path)."
Count = Annotated[int, Field(ge=0, lt=2**53)]


class _Tensor(BaseModel):
    model_config = ConfigDict(strict=True)

    dtype: str
    shape: Annotated[list[Count], Field(max_length=RANK_LIMIT)]
    data_offsets: Annotated[list[Count], Field(min_length=2, max_length=2)]


class _Tensors:
    """The tensors of an open .safetensors file, whose bytes begin at `start`."""

    def __init__(self, file: IO[bytes], tensors: dict[str, _Tensor], start: int) -> None:
        self._file, self._tensors, self._start = file, tensors, start

    def rows(self, names: Sequence[str], step: int, examples: int) -> Iterator[Piece]:
        """So many examples at a time of these tensors."""
        for start in range(0, examples, step):
            count = min(step, examples - start)
            yield {name: self._some(name, start, count) for name in names}

    def _some(self, name: str, start: int, count: int) -> Array:
        tensor = self._tensors[name]
        dtype = np.dtype(DTYPES[tensor.dtype])
        each = dtype.itemsize * math.prod(tensor.shape[1:])
        self._file.seek(self._start + tensor.data_offsets[0] + start * each)
        return np.frombuffer(self._file.read(each * count), dtype).reshape(count, *tensor.shape[1:])

    def whole(self, name: str) -> Array:
        """A tensor without an axis."""
        return self._some(name, 0, 1).reshape(())


def read(file: IO[bytes]) -> Arrays:
    """The tensors of a .safetensors file. Each must lie in it, and have the size that its shape says."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > min(HEADER_LIMIT, size - 8):
        raise malformed(f"The header says that it has {length:,} bytes. The file is damaged. {HOW}")
    tensors = _parsed(file.read(length))
    unread = {name: _unreadable(name[:NAME_LIMIT], each) for name, each in tensors.items() if each.dtype not in DTYPES}
    tensors = {name: each for name, each in tensors.items() if name not in unread}
    for name, tensor in tensors.items():
        _check(name[:NAME_LIMIT], tensor, size - 8 - length)
    held = _Tensors(file, tensors, 8 + length)
    described = {n: Described(np.dtype(DTYPES[each.dtype]), tuple(each.shape)) for n, each in tensors.items()}
    return Arrays(Held("safetensors", described, unread, held.rows, held.whole))


def _parsed(text: bytes) -> dict[str, _Tensor]:
    try:
        pairs = json.loads(text, object_pairs_hook=_once)
        pairs.pop("__metadata__", None)
        tensors = TypeAdapter(dict[str, _Tensor]).validate_python(pairs)
    except (ValueError, ValidationError, AttributeError, TypeError, RecursionError) as error:
        raise malformed(f"The header cannot be read. The file is damaged. {HOW}") from error
    if len(tensors) > COLUMNS_LIMIT:
        raise malformed(f"The file holds {len(tensors):,} tensors; {COLUMNS_LIMIT:,} are the limit.")
    return tensors


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise malformed(f"The header names {twice[:NAME_LIMIT]!r} twice. {HOW}")
    return found


def _unreadable(name: str, tensor: _Tensor) -> str:
    return f"{name} is {tensor.dtype[:20]}, which no model takes; save it as float32."


def _check(name: str, tensor: _Tensor, size: int) -> None:
    start, end = tensor.data_offsets
    wanted = np.dtype(DTYPES[tensor.dtype]).itemsize * math.prod(tensor.shape)
    if not start <= end <= size or end - start != wanted:
        raise malformed(
            f"{name} is {tensor.dtype}{tensor.shape}, {wanted:,} bytes, and bytes {start:,} to {end:,} of {size:,} are "
            f"said to be it. The file is damaged. {HOW}"
        )
