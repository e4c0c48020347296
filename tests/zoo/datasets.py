"""Datasets that misbehave: a function for each misdeed, named for it, that returns the file's bytes."""

import struct
import zipfile
from typing import Any

import numpy as np

from tests.zoo.arrays import EXAMPLES, described, header, inputs, labels, npy, npz, zipped


def good() -> bytes:
    return npz(x=inputs(), y=labels())


def big_endian() -> bytes:
    return npz(x=inputs(">f4"), y=labels(">i4"))


def uint8_labels() -> bytes:
    return npz(x=inputs(), y=labels(np.uint8))


def stored_uncompressed() -> bytes:
    return zipped(zipfile.ZIP_STORED, x=npy(inputs()), y=npy(labels()))


def extra_members() -> bytes:
    return npz(x=inputs(), y=labels(), names=np.array(["a", "b"]), z=inputs())


def extra_pickle() -> bytes:
    """Objects beside x and y: they are never read."""
    return zipped(x=npy(inputs()), y=npy(labels()), z=npy(np.array([{}], object), pickled=True))


def no_x() -> bytes:
    return npz(y=labels())


def empty_archive() -> bytes:
    return zipped()


def empty_file() -> bytes:
    return b""


def prose() -> bytes:
    return b"The quick brown fox jumps over the lazy dog.\n"


def lone_npy() -> bytes:
    return npy(inputs())


def object_x() -> bytes:
    return zipped(x=npy(np.array([[{}]] * EXAMPLES, object), pickled=True), y=npy(labels()))


def object_y() -> bytes:
    return zipped(x=npy(inputs()), y=npy(np.array([None] * EXAMPLES, object), pickled=True))


def hidden_object_x() -> bytes:
    """Objects inside a structure, whose item size is that of eight bytes."""
    return zipped(x=described("[('a', '|O')]", "(5, 4)") + bytes(160), y=npy(labels()))


def asks_for_32_gib() -> bytes:
    """128 bytes that ask for 32 GiB."""
    return zipped(x=described("'<f4'", f"({2**31}, 4)"), y=npy(labels()))


def asks_for_32_gib_of_labels() -> bytes:
    return zipped(x=npy(inputs()), y=described("'<i8'", f"({2**32},)"))


def overflowing_shape() -> bytes:
    """A shape whose product is 0 in 64-bit integers."""
    return zipped(x=described("'<f4'", f"({2**32}, {2**32})"), y=npy(labels()))


def negative_shape() -> bytes:
    return zipped(x=described("'<f4'", "(-5, -4)") + bytes(80), y=npy(labels()))


def header_of_800_mb() -> bytes:
    return zipped(x=header("{", (2, 0), length=800_000_000), y=npy(labels()))


def header_of_nothing() -> bytes:
    return zipped(x=header("", (1, 0)), y=npy(labels()))


def header_is_code() -> bytes:
    return zipped(x=header("__import__('os').abort()\n"), y=npy(labels()))


def header_is_deep() -> bytes:
    return zipped(x=header("(" * 60_000), y=npy(labels()))


def header_is_minus() -> bytes:
    return zipped(x=header("-" * 60_000 + "1"), y=npy(labels()))


def header_is_half_a_string() -> bytes:
    return zipped(x=header("{'descr': '''<f4"), y=npy(labels()))


def header_is_half() -> bytes:
    return zipped(x=b"\x93NUMPY\x02\x00\x10", y=npy(labels()))


def seventy_axes() -> bytes:
    return zipped(x=described("'<f4'", f"({EXAMPLES}, {'1, ' * 69})") + bytes(4 * EXAMPLES), y=npy(labels()))


def one_axis() -> bytes:
    return npz(x=inputs().ravel(), y=np.zeros(20, np.int64))


def float64_x() -> bytes:
    return npz(x=inputs(np.float64), y=labels())


def uint8_x() -> bytes:
    return npz(x=inputs(np.uint8), y=labels())


def int64_x() -> bytes:
    return npz(x=inputs(np.int64), y=labels())


def complex_x() -> bytes:
    return npz(x=inputs(np.complex64), y=labels())


def text_x() -> bytes:
    return npz(x=inputs().astype(str), y=labels())


def nan_x() -> bytes:
    x = inputs()
    x[3, 1] = np.nan
    return npz(x=x, y=labels())


def infinite_x() -> bytes:
    x = inputs()
    x[3, 1] = -np.inf
    return npz(x=x, y=labels())


def fortran_x() -> bytes:
    return npz(x=np.asfortranarray(inputs()), y=labels())


def float_y() -> bytes:
    return npz(x=inputs(), y=labels(np.float32))


def negative_y() -> bytes:
    return npz(x=inputs(), y=labels() - 1)


def enormous_y() -> bytes:
    return npz(x=inputs(), y=labels() + 2**40)


def unsigned_enormous_y() -> bytes:
    return npz(x=inputs(), y=labels(np.uint64) + np.uint64(2**63))


def too_many_labels() -> bytes:
    return npz(x=inputs(), y=np.append(labels(), 0))


def too_few_labels() -> bytes:
    return npz(x=inputs(), y=labels()[1:])


def no_examples() -> bytes:
    return npz(x=inputs()[:0], y=labels()[:0])


def no_features() -> bytes:
    return npz(x=inputs()[:, :0], y=labels())


def encrypted() -> bytes:
    """The flag alone: what is encrypted is never read."""
    data = bytearray(good())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def twice_x() -> bytes:
    """The first x in the directory is good; which one counts would be anybody's guess."""
    data = zipped(x=npy(inputs()), w=npy(inputs()), y=npy(labels()))
    return data.replace(b"w.npy", b"x.npy")


def packed_by_bzip2() -> bytes:
    return zipped(zipfile.ZIP_BZIP2, x=npy(inputs()), y=npy(labels()))


def wrong_checksum() -> bytes:
    data = bytearray(stored_uncompressed())
    data[data.index(b"\x93NUMPY") + 130] ^= 1
    return bytes(data)


def broken_deflate() -> bytes:
    data = bytearray(good())
    start = data.index(b"x.npy") + 40
    data[start : start + 16] = b"\xff" * 16
    return bytes(data)


def truncated() -> bytes:
    return good()[:-40]


def half_a_directory() -> bytes:
    data = bytearray(good())
    data[data.rindex(b"PK\x05\x06") + 16 : data.rindex(b"PK\x05\x06") + 20] = struct.pack("<I", 2**31)
    return bytes(data)


def says_more_than_it_holds() -> bytes:
    """The directory promises the bytes of a larger x than the compressed data give; its checksum is right."""
    member = described("'<f4'", "(5, 1000)") + bytes(80)
    data = zipped(x=member, y=npy(labels()))
    return data.replace(struct.pack("<I", len(member)), struct.pack("<I", len(member) - 80 + 20_000))


# Read by a model that takes x, float32[batch, 4].
ACCEPTED = [
    *(good, big_endian, uint8_labels, stored_uncompressed, extra_members, extra_pickle),
    *(float64_x, uint8_x, int64_x, float_y),
]

# What each is refused as, and a word that its detail must have.
REFUSED: list[tuple[Any, str, str]] = [
    (no_x, "dataset-mismatch", "nothing for the model"),
    *((empty_archive, "dataset-malformed", "no array"), (empty_file, "unsupported-format", ".npz")),
    *((prose, "unsupported-format", ".npz"), (lone_npy, "unsupported-format", "single .npy")),
    *((object_x, "dataset-malformed", "Python objects"), (object_y, "dataset-malformed", "Python objects")),
    (hidden_object_x, "dataset-malformed", "Python objects"),
    (asks_for_32_gib, "dataset-malformed", "34,359,738,368 bytes"),
    (asks_for_32_gib_of_labels, "dataset-malformed", "34,359,738,368 bytes"),
    *((overflowing_shape, "dataset-malformed", "bytes follow"), (negative_shape, "dataset-malformed", "x ")),
    (header_of_800_mb, "dataset-malformed", "800,000,000 bytes"),
    *((header_of_nothing, "dataset-malformed", "header"), (header_is_code, "dataset-malformed", "header")),
    *((header_is_deep, "dataset-malformed", "header"), (header_is_minus, "dataset-malformed", "header")),
    *((header_is_half_a_string, "dataset-malformed", "header"), (header_is_half, "dataset-malformed", "header")),
    *((seventy_axes, "dataset-malformed", "70 axes"), (one_axis, "dataset-mismatch", "takes [4]")),
    *((complex_x, "dataset-malformed", "complex64"), (text_x, "dataset-mismatch", "texts")),
    *((nan_x, "dataset-malformed", "example 3"), (infinite_x, "dataset-malformed", "example 3")),
    (fortran_x, "dataset-malformed", "ascontiguousarray"),
    *((negative_y, "dataset-malformed", "label -1"), (enormous_y, "dataset-malformed", str(2**40 + 2))),
    (unsigned_enormous_y, "dataset-malformed", str(2**63 + 2)),
    *((too_many_labels, "dataset-malformed", "y has 6"), (too_few_labels, "dataset-malformed", "y has 4")),
    *((no_examples, "dataset-malformed", "no example"), (no_features, "dataset-malformed", "shape [5, 0]")),
    *((encrypted, "dataset-malformed", "encrypted"), (twice_x, "dataset-malformed", "twice")),
    (packed_by_bzip2, "dataset-malformed", "deflate"),
    *((wrong_checksum, "dataset-malformed", "damaged"), (broken_deflate, "dataset-malformed", "damaged")),
    *((truncated, "dataset-malformed", "damaged"), (half_a_directory, "dataset-malformed", "damaged")),
    (says_more_than_it_holds, "dataset-malformed", "damaged"),
]
