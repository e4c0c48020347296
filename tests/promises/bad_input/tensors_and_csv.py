"""Arrays and rows that are not what they say: .safetensors and CSV."""

import json
import struct
from typing import Any

from tests.promises.bad_input.case import Case, Class
from tests.worker.formats.reading import reading, wanted

KIND = "dataset-malformed"


def tensors(entries: Any, data: bytes = bytes(80), length: int | None = None) -> bytes:
    """A .safetensors file with this header."""
    head = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(head) if length is None else length) + head + data


def tensor(dtype: Any = "F32", shape: Any = (5, 4), offsets: Any = (0, 80)) -> dict[str, Any]:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def safe(name: str, data: bytes, says: str) -> Case:
    return Case(f"safetensors: {name}", lambda: data, KIND, says)


def csv(name: str, text: str | bytes, says: str, kind: str = KIND) -> Case:
    """Text that is no table."""
    data = text.encode() if isinstance(text, str) else text
    return Case(f"CSV: {name}", lambda: data, kind, says, reading(wanted("x", 2)))


OTHERS = Class(
    "dataset",
    20,
    (
        safe("a header of 2 GiB", tensors(b'{"x": 1}', length=2**31), "2,147,483,648"),
        safe("a header behind the end", tensors(tensor(), b"", length=10_000), "10,000"),
        safe("a header that is no JSON", tensors(b'{"x": '), "header"),
        safe("a header of a list of lists", tensors(b'{"x": ' + b"[" * 5000), "header"),
        safe("a name twice", tensors(b'{"x": {}, "x": {}}'), "twice"),
        safe("a tensor behind the end", tensors(tensor(shape=(500, 4), offsets=(0, 8000))), "8,000"),
        safe("a tensor that begins behind its end", tensors(tensor(offsets=(80, 0))), "bytes 80 to 0"),
        safe("offsets below zero", tensors(tensor(offsets=(-80, 0))), "header"),
        safe("a shape of 2^60", tensors(tensor(shape=(2**50, 2**10))), "bytes"),
        safe("a shape below zero", tensors(tensor(shape=(-5, -4))), "header"),
        safe("a shape of text", tensors(tensor(shape="5, 4")), "header"),
        safe("a shape of 1,000 axes", tensors(tensor(shape=[1] * 1000)), "header"),
        safe("a type that is none", tensors(tensor(dtype="F99")), "F99"),
        safe("a type of no text", tensors(tensor(dtype=4)), "header"),
        safe("no tensor", tensors({}), "no array"),
        csv("rows of two lengths", "a,b,label\n1,2,0\n1,2\n", "Expected 3 columns, got 2"),
        csv("a quote that is not closed", 'a,b,label\n1,2,"cat\n1,2,dog\n', "quote"),
        csv("no rows", "a,b,label\n", "no example"),
        csv("a column twice", "a,a,label\n1,2,0\n", "'a'"),
        csv("a number that is missing", "a,b,label\n1,,0\n1,2,0\n", "example 0"),
        csv("no UTF-8", "a,b,label\n1,2,caf\xe9\n".encode("latin-1"), "UTF"),
        csv("a first line of 5 MiB", "a," * 2_600_000, "4,194,304 bytes"),
        csv("200,000 columns", "a," * 200_000 + "\n", "200,001 columns"),
        csv("text where numbers go", "a,b,label\nx,y,0\nz,w,1\n", "Text (a, b)", "dataset-mismatch"),
        csv("a number of 1,000 digits", "a,b,label\n" + "9" * 1000 + ",1,0\n", "a"),
    ),
)
