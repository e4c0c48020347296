"""Arrays that are not what they say: .npz."""

import io
import struct
import zipfile
from typing import Any

import numpy as np

from tests.promises.bad_input.case import Case, Class, from_zoo
from tests.worker.formats.reading import reading, wanted
from tests.zoo import datasets
from tests.zoo.arrays import described, header, inputs, labels, npy, npz, zipped

KIND = "dataset-malformed"
FOUR = reading(wanted("x", 4))


def raw(name: str, x: bytes, says: str) -> Case:
    """A member x of these very bytes."""
    return Case(name, lambda: zipped(x=x, y=npy(labels())), KIND, says)


def arrays(name: str, says: str, kind: str = KIND, **held: Any) -> Case:
    """Arrays as numpy saves them, read by a model that takes four numbers."""
    return Case(name, lambda: npz(**{"x": inputs(), "y": labels(), **held}), kind, says, FOUR)


def lying(sign: bytes, offset: int, value: int, size: int = 4) -> bytes:
    """A number in the zip's own headers is another one."""
    data = bytearray(datasets.stored_uncompressed())
    at = data.index(sign) + offset
    data[at : at + size] = value.to_bytes(size, "little")
    return bytes(data)


def lie(name: str, sign: bytes, offset: int, value: int, size: int = 4, says: str = "damaged") -> Case:
    return Case(name, lambda: lying(sign, offset, value, size), KIND, says, FOUR)


def ratio() -> bytes:
    """A thousand to one: 256 MiB of zeros in 256 KiB, of which the shape takes a part."""
    return zipped(x=described("'<f4'", "(5, 4)") + bytes(2**28), y=npy(labels()))


def many_members() -> bytes:
    """More arrays than columns may be."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(100_001):
            archive.writestr(f"{number}.npy", b"")
    return file.getvalue()


def overlapping() -> bytes:
    """Two members that are one and the same bytes, as in a bomb without recursion."""
    data = zipped(zipfile.ZIP_STORED, x=npy(inputs()), y=npy(inputs()))
    at = data.rindex(b"PK\x01\x02")
    return data[: at + 42] + struct.pack("<I", 0) + data[at + 46 :]


ENTRY, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
NPZ = Class(
    "dataset",
    36,
    (
        *from_zoo(datasets.REFUSED, KIND, "dataset-mismatch", reading=FOUR),
        raw("bytes that are no array", b"x" * 200, "no .npy array"),
        raw("a version of tomorrow", header("{}", (9, 9)) + bytes(80), "no .npy array"),
        raw("a header of 4 GiB", header("{", (2, 0), length=2**32 - 1), "4,294,967,295 bytes"),
        raw("a header of a list", header("[1, 2, 3]\n"), "header"),
        raw("a header that lacks the shape", header("{'descr': '<f4', 'fortran_order': False}\n"), "header"),
        raw(
            "a header with a key too many",
            header("{'descr':'<f4','fortran_order':False,'shape':(5,4),'a':1}\n"),
            "header",
        ),
        raw("a shape of fractions", described("'<f4'", "(5.0, 4)") + bytes(80), "header"),
        raw("a shape of truths", described("'<f4'", "(True, 4)") + bytes(16), "x"),
        raw("a shape of text", described("'<f4'", "('5', 4)") + bytes(80), "header"),
        raw("a shape of 10^30", described("'<f4'", f"({10**30}, 4)"), "bytes follow"),
        raw("a dtype of a class", described("'|O8'", "(5,)") + bytes(40), "Python objects"),
        raw("a dtype that is code", described("__import__('os')", "(5, 4)"), "header"),
        raw("a dtype of nothing", described("'|V0'", "(5, 4)"), "x"),
        raw("a dtype of 2 GiB of text", described("'<U536870911'", "(5,)"), "bytes"),
        raw("a structure", described("[('a', '<f4'), ('b', '<f4')]", "(5, 4)") + bytes(160), "numbers and text"),
        raw("dates", described("'<M8[s]'", "(5, 4)") + bytes(160), "numbers and text"),
        raw("long doubles", described("'<f16'", "(5, 4)") + bytes(320), "float32"),
        raw("a byte too many", npy(inputs()) + b"x", "bytes follow"),
        raw("a byte missing", npy(inputs())[:-1], "bytes follow"),
        raw("an empty member", b"", "no .npy array"),
        Case("256 MiB of zeros behind", ratio, KIND, "bytes follow"),
        Case("100,001 members", many_members, KIND, "100,001 arrays", memory=256),
        Case("members that overlap", overlapping, KIND, "damaged", FOUR),
        lie("a member that is larger, says the directory", ENTRY, 24, 2**30, says="bytes follow"),
        lie("a member that is smaller, says the directory", ENTRY, 24, 140),
        lie("zip64 sizes without zip64", ENTRY, 20, 2**64 - 1, 8),
        lie("a directory behind the end", END, 16, 2**32 - 2),
        lie("a member behind the end", ENTRY, 42, 2**31),
        lie("a method that does not exist", ENTRY, 10, 99, 2, "deflate"),
        lie("another checksum", ENTRY, 16, 12345),
        lie("a name without an end", LOCAL, 26, 65535, 2),
        arrays("a NaN in float64", "example 0", x=np.full((5, 4), np.nan)),
        arrays("1e300, which no float32 holds", "x", x=np.full((5, 4), 1e300)),
        arrays("labels of NaN", "NaN", y=np.full(5, np.nan)),
        arrays("labels of infinity", "infinity", y=np.full(5, np.inf)),
        arrays("labels with fractions", "fractions", y=np.arange(5) / 2),
        arrays("labels of objects", "Python objects", y=np.array([{}] * 5, object)),
        arrays("labels of three axes", "one whole number", y=np.zeros((5, 2, 2), np.int64)),
        arrays("labels that are all ignored", "-100", y=np.full((5, 2), -100)),
        arrays("weights below zero", "not negative", sample_weight=-np.ones(5)),
        arrays("weights of NaN", "finite", sample_weight=np.full(5, np.nan)),
        arrays("weights of zero", "not all zero", sample_weight=np.zeros(5)),
        arrays("weights of two columns", "one number", sample_weight=np.ones((5, 2))),
        arrays("a name of 300 letters", "300", **{"n" * 300: labels()}),
    ),
)
