"""Datasets: .npz files, read without trusting a byte. No pickle; no allocation on a header's word."""

import io
import math
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from worker.formats.arrays import Arrays, Described, Held
from worker.formats.tables import COLUMNS_LIMIT, NAME_LIMIT, RANK_LIMIT, Array, Piece, malformed

HEADER_LIMIT = 64 * 1024  # bytes of a .npy header; real ones have 118
LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}  # how each version of .npy writes its header's length
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HOW = "Save the dataset with numpy.savez_compressed(path, x=x, y=y)."
Member = tuple[zipfile.ZipInfo, "Header"]


@dataclass(frozen=True)
class Header:
    """What a .npy file says of itself, and how many bytes it took to say it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    size: int

    @property
    def bytes(self) -> int:
        """Bytes of the array, in integers that cannot overflow."""
        return math.prod(self.shape) * self.dtype.itemsize


class _Members:
    """The arrays of an open .npz file."""

    def __init__(self, archive: zipfile.ZipFile, members: dict[str, Member]) -> None:
        self._archive, self._members = archive, members

    def rows(self, names: Sequence[str], step: int, examples: int) -> Iterator[Piece]:
        """So many examples at a time of these arrays."""
        with ExitStack() as stack:
            files = {name: stack.enter_context(self._archive.open(self._members[name][0])) for name in names}
            for name, file in files.items():
                file.read(self._members[name][1].size)
            for start in range(0, examples, step):
                count = min(step, examples - start)
                yield {name: self._some(name, file, start, count) for name, file in files.items()}

    def _some(self, name: str, file: IO[bytes], start: int, count: int) -> Array:
        header = self._members[name][1]
        each = header.bytes // header.shape[0]
        data = file.read(each * count)
        if len(data) < each * count:  # the directory may promise more than the compressed bytes hold
            done = start * each + len(data)
            raise malformed(f"{name} ends after {done:,} of its {header.bytes:,} bytes. The file is damaged. {HOW}")
        return np.frombuffer(data, header.dtype).reshape(count, *header.shape[1:])

    def whole(self, name: str) -> Array:
        """An array without an axis."""
        info, header = self._members[name]
        with self._archive.open(info) as file:
            file.read(header.size)
            return np.frombuffer(file.read(header.bytes), header.dtype).reshape(())


def read(archive: zipfile.ZipFile) -> Arrays:
    """The arrays of an .npz file. All headers are checked, and no array is read."""
    members: dict[str, Member] = {}
    unread: dict[str, str] = {}
    infos = archive.infolist()
    if len(infos) > COLUMNS_LIMIT:
        raise malformed(f"The .npz file holds {len(infos):,} arrays; {COLUMNS_LIMIT:,} are the limit.")
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name in members or name in unread:
            raise malformed(f"The .npz file holds {name[:NAME_LIMIT]!r} twice. {HOW}")
        if info.flag_bits & 1 or info.compress_type not in METHODS:
            raise malformed(f"{name[:NAME_LIMIT]!r} is encrypted, or packed by a method other than deflate. {HOW}")
        with archive.open(info) as member:
            header = _header(name[:NAME_LIMIT], member)
        why = _unreadable(name[:NAME_LIMIT], header)
        if why:
            unread[name] = why
            continue
        _check(name[:NAME_LIMIT], header, info)
        members[name] = (info, header)
    held = _Members(archive, members)
    described = {name: Described(header.dtype, header.shape) for name, (_, header) in members.items()}
    return Arrays(Held("npz", described, unread, held.rows, held.whole))


def _header(name: str, file: IO[bytes]) -> Header:
    """Read a .npy header, before anything is allocated for its array."""
    magic = file.read(8)
    if len(magic) < 8 or magic[:6] != b"\x93NUMPY" or (magic[6], magic[7]) not in LENGTHS:
        raise malformed(f"{name} is no .npy array. {HOW}")
    form = LENGTHS[magic[6], magic[7]]
    prefix = file.read(struct.calcsize(form))
    if len(prefix) < struct.calcsize(form):
        raise malformed(f"{name} ends in its header. The file is damaged. {HOW}")
    (length,) = struct.unpack(form, prefix)
    if length > HEADER_LIMIT:
        raise malformed(f"{name} has a header of {length:,} bytes; real ones have 118. {HOW}")
    text = file.read(length)
    try:
        # Only the bytes that were just bounded; numpy reads version 3.0 as it reads 2.0.
        reader = np.lib.format.read_array_header_1_0 if form == "<H" else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(io.BytesIO(prefix + text), max_header_size=HEADER_LIMIT)
    except Exception as error:  # a literal is parsed there: SyntaxError, tokenize.TokenError, RecursionError...
        raise malformed(f"{name} has a header that cannot be read. {HOW}") from error
    return Header(dtype, shape, fortran, len(magic) + len(prefix) + len(text))


def _unreadable(name: str, header: Header) -> str | None:
    """Why an array is of no use, if it is sound; None for numbers and text."""
    if header.dtype.hasobject:
        return f"{name} holds Python objects, which are never read. Convert it to numbers first. {HOW}"
    if header.dtype.kind not in "biufUS":
        return f"{name} is {str(header.dtype)[:100]}; numbers and text are read. {HOW}"
    if header.dtype.kind == "f" and header.dtype.itemsize > 8:
        return f"{name} is {header.dtype}, which no model takes; save it as float32."
    return None


def _check(name: str, header: Header, info: zipfile.ZipInfo) -> None:
    """Its array must fill the member to the byte."""
    if any(size < 0 for size in header.shape) or header.bytes != info.file_size - header.size:
        raise malformed(
            f"{name} says that it is {str(header.dtype)[:100]}{list(header.shape)[:RANK_LIMIT]}, {header.bytes:,} "
            f"bytes, but {info.file_size - header.size:,} bytes follow. The file is damaged. {HOW}"
        )
    if len(header.shape) > RANK_LIMIT:
        raise malformed(f"{name} has {len(header.shape)} axes; at most {RANK_LIMIT} are read.")
    if header.fortran and len(header.shape) > 1:
        raise malformed(f"{name} is in Fortran order; save numpy.ascontiguousarray({name}).")
