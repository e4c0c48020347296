"""Datasets: .npz files with x and y, read without trusting a byte. No pickle; no allocation on a header's word."""

import errno
import io
import math
import struct
import zipfile
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from worker.formats.refusals import Refused

PIECE = 1024**2  # bytes of x unpacked at a time
HEADER_LIMIT = 64 * 1024  # bytes of a .npy header; real ones have 118
UNPACKED_LIMIT = 64 * 1024**3  # bytes that x may unpack to
EXAMPLES_LIMIT = 50_000_000
RANK_LIMIT = 16  # axes of x; images have four
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of our own disk, which is no fault of the file
LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}  # how each version of .npy writes its header's length
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HOW = "Save the dataset with numpy.savez_compressed(path, x=x, y=y)."

Labels = NDArray[np.int64]


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


def read_npz(file: IO[bytes], out: IO[bytes] | None) -> tuple[dict[str, Any], Labels]:
    """Check a dataset, and unpack its inputs to `out` (raw float32, C order, little-endian) piece by piece.

    Returns what was found, JSON-able, and the labels, int64[N]. Memory stays flat whatever the size of x.
    Raises `Refused`: `unsupported-format`, `dataset-malformed` or `dataset-too-large`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            labels = _read_labels(archive, members["y.npy"])
            inputs = _read_inputs(archive, members["x.npy"], out)
            ignored = sorted(set(members) - {"x.npy", "y.npy"})
    except (Refused, MemoryError):
        raise
    except Exception as error:  # zipfile raises what it likes: BadZipFile, ValueError, NotImplementedError, zlib's...
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        raise _why_no_zip(file, error) from error
    if len(labels) != inputs.shape[0]:
        raise _malformed(f"x has {inputs.shape[0]} examples and y has {len(labels)} labels; they must be as many.")
    return _found(inputs, labels, ignored), labels


def _why_no_zip(file: IO[bytes], error: Exception) -> Refused:
    """A file that is another thing altogether gets told so; a damaged .npz is malformed."""
    file.seek(0)
    start = file.read(6)
    if start.startswith(b"\x93NUMPY"):
        return Refused("unsupported-format", f"This is a single .npy array; a dataset has x and y. {HOW}")
    if not start.startswith(b"PK"):
        return Refused("unsupported-format", f"This is no .npz file. {HOW}")
    return _malformed(f"The .npz file is damaged ({str(error)[:200]}). Upload it again, or save it anew. {HOW}")


def _malformed(detail: str) -> Refused:
    return Refused("dataset-malformed", detail)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist()[:1000]:
        if info.filename in members:
            raise _malformed(f"The .npz file holds {info.filename[:100]!r} twice. {HOW}")
        if info.flag_bits & 1 or info.compress_type not in METHODS:
            raise _malformed(f"{info.filename[:100]!r} is encrypted, or packed by a method other than deflate. {HOW}")
        members[info.filename] = info
    missing = [name for name in ("x", "y") if f"{name}.npy" not in members]
    if missing:
        held = ", ".join(name[:100] for name in sorted(members)[:10]) or "nothing"
        raise _malformed(f"The .npz file lacks {' and '.join(missing)}; it holds {held}. {HOW}")
    return members


def _header(name: str, file: IO[bytes], info: zipfile.ZipInfo) -> Header:
    """Read a .npy header whose array must fill the member to the byte, before anything is allocated for it."""
    magic = file.read(8)
    if len(magic) < 8 or magic[:6] != b"\x93NUMPY" or (magic[6], magic[7]) not in LENGTHS:
        raise _malformed(f"{name} is no .npy array. {HOW}")
    form = LENGTHS[magic[6], magic[7]]
    prefix = file.read(struct.calcsize(form))
    if len(prefix) < struct.calcsize(form):
        raise _malformed(f"{name} ends in its header. The file is damaged. {HOW}")
    (length,) = struct.unpack(form, prefix)
    if length > HEADER_LIMIT:
        raise _malformed(f"{name} has a header of {length:,} bytes; real ones have 118. {HOW}")
    text = file.read(length)
    try:
        # Only the bytes that were just bounded; numpy reads version 3.0 as it reads 2.0.
        read = np.lib.format.read_array_header_1_0 if form == "<H" else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(io.BytesIO(prefix + text), max_header_size=HEADER_LIMIT)
    except Exception as error:  # a literal is parsed there: SyntaxError, tokenize.TokenError, RecursionError...
        raise _malformed(f"{name} has a header that cannot be read. {HOW}") from error
    header = Header(dtype, shape, fortran, len(magic) + len(prefix) + len(text))
    if dtype.hasobject:
        raise _malformed(f"{name} holds Python objects, which are never read. Convert it to numbers first. {HOW}")
    if any(size < 0 for size in shape) or header.bytes != info.file_size - header.size:
        raise _malformed(
            f"{name} says that it is {str(dtype)[:100]}{list(shape)[:RANK_LIMIT]}, {header.bytes:,} bytes, but "
            f"{info.file_size - header.size:,} bytes follow. The file is damaged. {HOW}"
        )
    return header


def _read_labels(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Labels:
    with archive.open(info) as file:
        header = _header("y", file, info)
        if header.dtype.kind not in "iu" or len(header.shape) != 1:
            raise _malformed(
                f"y is {str(header.dtype)[:100]}{list(header.shape)[:RANK_LIMIT]}; it must be one integer label for "
                "each example: y.argmax(axis=1) from one-hot rows, y.astype('int64') from floats."
            )
        if header.shape[0] > EXAMPLES_LIMIT:
            raise Refused("dataset-too-large", f"{header.shape[0]:,} examples; at most {EXAMPLES_LIMIT:,} are taken.")
        packed = file.read()
        _check_end("y", len(packed), header)
        raw = np.frombuffer(packed, header.dtype)
    if len(raw) == 0:
        raise _malformed("The dataset holds no example.")
    if raw.min() < 0 or raw.max() > np.iinfo(np.int32).max:
        raise _malformed(f"y holds the label {raw.min() if raw.min() < 0 else raw.max()}; labels start at 0.")
    return raw.astype(np.int64)


def _read_inputs(archive: zipfile.ZipFile, info: zipfile.ZipInfo, out: IO[bytes] | None) -> Header:
    with archive.open(info) as file:
        header = _header("x", file, info)
        if header.dtype.newbyteorder("<") != np.dtype("<f4"):
            raise _malformed(f"x is {str(header.dtype)[:100]}; models take float32: x.astype('float32').")
        if not 2 <= len(header.shape) <= RANK_LIMIT:
            raise _malformed(
                f"x has the shape {list(header.shape)[: RANK_LIMIT + 1]}; its first axis counts examples, and one to "
                f"{RANK_LIMIT - 1} more follow: x.reshape(len(x), -1)."
            )
        if header.fortran:
            raise _malformed("x is in Fortran order; save numpy.ascontiguousarray(x).")
        if header.bytes > UNPACKED_LIMIT:
            raise Refused(
                "dataset-too-large", f"x unpacks to {header.bytes:,} bytes; {UNPACKED_LIMIT:,} are the limit."
            )
        if header.bytes == 0:
            raise _malformed(f"x has the shape {list(header.shape)}: the dataset holds no example.")
        _copy(file, header, out)
    return header


def _check_end(name: str, size: int, header: Header) -> None:
    """The archive's directory may promise more than its compressed bytes hold, and zipfile does not mind."""
    if size != header.bytes:
        raise _malformed(f"{name} ends after {size:,} of its {header.bytes:,} bytes. The file is damaged. {HOW}")


def _copy(file: IO[bytes], header: Header, out: IO[bytes] | None) -> None:
    done = 0
    while piece := file.read(PIECE):
        if len(piece) < PIECE:
            _check_end("x", done + len(piece), header)
        values = np.frombuffer(piece, header.dtype)
        finite = np.isfinite(values)
        if not finite.all():
            each = math.prod(header.shape[1:])
            example = (done // 4 + int(np.argmin(finite))) // each
            raise _malformed(f"x holds NaN or infinity, first in example {example}; remove or replace such values.")
        if out is not None:
            out.write(values.astype("<f4", copy=False).tobytes())
        done += len(piece)
    _check_end("x", done, header)


def _found(inputs: Header, labels: Labels, ignored: list[str]) -> dict[str, Any]:
    few = labels.max() <= 1024**2 + len(labels)  # one label must not ask for an array as long as it says
    counts = np.bincount(labels) if few else np.unique(labels, return_counts=True)[1]
    also = ", ".join(name[:100] for name in ignored[:10])
    warnings = [f"The dataset also holds {also}; only x and y are used."] if ignored else []
    if np.count_nonzero(counts) == 1:
        warnings.append("All examples have the same label, so a constant answer is always right.")
    return {
        "format": "npz",
        "examples": len(labels),
        "inputs": [{"name": "x", "dtype": "float32", "shape": list(inputs.shape)}],
        "labels": {
            "min": int(labels.min()),
            "max": int(labels.max()),
            "distinct": int(np.count_nonzero(counts)),
            "most_frequent": int(counts.max()),
        },
        "warnings": warnings,
    }
