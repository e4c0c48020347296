"""Damage to text: JSON that stays JSON, tables of cells, source code, and the headers of .npy and .safetensors."""

import json
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

from benchmarks.fuzz import damage

WORDS = (
    *("", "x", "y", "label", "NaN", "inf", "1e999", "-0", "null", "true", "\u0000", "\ud800", "\u202e", "\U0001f600"),
    *("../../etc/passwd", "%s%n", "__import__('os').abort()", "x" * 300, "x" * 70_000, "a,b", '"', "\n", "²", "٣"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**53, 2**63, -(2**63), 2**64, 10**400),
    *([], {}, [[]]),
)
CELLS = (
    *(
        "",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e-400",
        '"',
        '"a\nb"',
        "0x10",
        "1_000",
        "true",
        "2024-01-01",
        "\t",
        "é",
        "\0",
    ),
    *("9" * 400, "x" * 5000, "﻿1", "1,1", "-", "+", "NULL", "'", "\\", "#", ";", "\U0001f600"),
)
DESCRS = (
    *("'<f4'", "'>f8'", "'|O'", "'<U3'", "'|S0'", "'<f16'", "'<c8'", "'|V4'", "[('a', '|O')]", "'<M8[s]'", "'<f2'"),
    *("'|b1'", "'<u8'", "'\"'", "''", "('<f4', (2,))", "'<i8, <f4'", "'=i4'", "'<U99999999'", "'<f4' * 3"),
)
SIZES = ("0", "1", "2", "3", "-1", "6", str(2**31), str(2**32), str(2**62), str(2**64), "1.5", "True", "None", "6,")
TOKEN = re.compile(rb"\w+|[^\w\s]")


def of_json(data: bytes, random: Random) -> bytes:
    """JSON with one to three values replaced, left out, doubled, renamed or moved; now and then damaged as text."""
    try:
        found = json.loads(data)
    except ValueError:
        return damage.blind(data, random, data)
    for _ in range(random.choice((1, 1, 2, 3))):
        found = _changed(found, random)
    try:
        text = json.dumps(found, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return data
    match random.randrange(12):
        case 0:
            return damage.blind(text, random, data)
        case 1:
            return _key_twice(text, random)
        case 2:
            depth = random.choice((10, 1000, 100_000))
            return text.replace(b"null", b"[" * depth + b"]" * depth, 1)
    return text


def _changed(root: Any, random: Random) -> Any:
    holders = list(_holders(root))
    if not holders:
        return random.choice(VALUES)
    holder = random.choice(holders)
    keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = random.choice(keys)
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(WORDS)] = holder.pop(key)
        case 2:
            if isinstance(holder, list):
                holder.extend(holder[: random.choice((1, 10, 1000))])
            else:
                holder[f"{key}2"] = holder[key]
        case 3:
            other = random.choice(holders)
            holder[key] = random.choice(list(other.values()) if isinstance(other, dict) else other)
            return json.loads(json.dumps(root)) if not _is_circular(root) else None
        case 4:
            holder[key] = random.choice(WORDS)
        case 5:
            holder[key] = damage.integer(random)
        case 6:
            holder[key] = [holder[key]] if random.random() < 0.5 else {"x": holder[key]}
        case _:
            holder[key] = random.choice(VALUES)
    return root


def _is_circular(root: Any) -> bool:
    try:
        json.dumps(root)
    except (ValueError, RecursionError):
        return True
    return False


def _holders(value: Any) -> Any:
    """All lists and objects that hold something."""
    if isinstance(value, dict | list) and value:
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _holders(each)


def _key_twice(text: bytes, random: Random) -> bytes:
    pairs = list(re.finditer(rb'"[^"]{1,40}": [^,\[\]{}]{1,40}', text))
    if not pairs:
        return text
    pair = random.choice(pairs)
    return text[: pair.start()] + pair[0] + b", " + text[pair.start() :]


def of_table(data: bytes, random: Random) -> bytes:
    """A CSV with cells replaced, rows doubled or cut, and other delimiters, ends of lines and encodings."""
    lines = data.split(b"\n")
    for _ in range(random.choice((1, 1, 2, 5))):
        place = random.randrange(len(lines))
        cells = lines[place].split(b",")
        cell = random.randrange(len(cells))
        match random.randrange(8):
            case 0:
                del cells[cell]
            case 1:
                cells[cell:cell] = [random.choice(CELLS).encode("utf-8", "replace")] * random.choice((1, 2, 1000))
            case 2:
                lines.insert(place, random.choice(lines))
            case 3:
                lines.insert(random.randrange(len(lines) + 1), b"")
            case _:
                cells[cell] = random.choice(CELLS).encode("utf-8", "replace")
        lines[place] = b",".join(cells)
    text = random.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r")).join(lines)
    match random.randrange(16):
        case 0:
            return text.replace(b",", random.choice((b";", b"\t", b"|", b" ", b",,")))
        case 1:
            return text.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-8-sig", "latin-1")), "replace")
        case 2:
            return text * random.choice((2, 50))
    return text


def of_source(data: bytes, random: Random) -> bytes:
    """Source code with words and signs replaced by others of its own, by numbers, or left out."""
    tokens = list(TOKEN.finditer(data))
    if not tokens:
        return damage.blind(data, random, data)
    for _ in range(random.choice((1, 1, 2, 4))):
        token, other = random.choice(tokens), random.choice(tokens)[0]
        number = str(damage.integer(random)).encode()
        new = random.choice((other, other, b"", number, token[0] + token[0]))
        data = data[: token.start()] + new + data[token.end() :]
    return data


def of_npy(data: bytes, random: Random) -> bytes:
    """A .npy array with another header (its words, its numbers, its length) or another body."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        return damage.blind(data, random, data)
    length = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + length].decode("latin-1"), data[10 + length :]
    match random.randrange(7):
        case 0:
            header = re.sub(r"'descr': ('[^']*')", f"'descr': {random.choice(DESCRS)}", header)
        case 1 | 2:
            shape = ", ".join(random.choices(SIZES, k=random.choice((0, 1, 2, 3, 5, 33))))
            header = re.sub(r"'shape': \(.*?\)", f"'shape': ({shape},)", header)
        case 3:
            header = header.replace("False", random.choice(("True", "0", "[]", "1")))
        case 4:
            header = of_source(header.encode("latin-1"), random).decode("latin-1")
        case 5:
            body = damage.blind(body, random, data) if body else body
        case _:
            body = random.choice(
                (body * 2, body[: len(body) // 2], b"", struct.pack("<f", float("nan")) * (len(body) // 4))
            )
    said = len(header) if random.random() < 0.9 else damage.integer(random) % 2**16
    version = random.choice((b"\1\0", b"\1\0", b"\1\0", b"\2\0", b"\3\0", bytes([random.randrange(256), 0])))
    form = "<H" if version == b"\1\0" else "<I"
    return b"\x93NUMPY" + version + struct.pack(form, said) + header.encode("latin-1", "replace") + body


def of_safetensors(data: bytes, random: Random) -> bytes:
    """A .safetensors file with another header of the right length, or of another, or another body."""
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], data[8 + length :]
    kind = random.random()
    if kind < 0.6:
        header = _tensor(header, random)
    elif kind < 0.85:
        header = of_json(header, random)
    else:
        body = damage.blind(body, random, data) if body else body
    said = len(header) if random.random() < 0.93 else damage.integer(random) % 2**64
    return struct.pack("<Q", said) + header + body


def _tensor(header: bytes, random: Random) -> bytes:
    """A tensor in the header has another type, shape, place or name, of the kind that is expected there."""
    try:
        found = json.loads(header)
        tensors = [name for name, each in found.items() if isinstance(each, dict) and "shape" in each]
        name = random.choice(tensors)
        held = found[name]
        shape, offsets = held["shape"], held["data_offsets"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return of_json(header, random)
    small = random.choice((0, 1, 2, 3, 4, 6, 8, 16, 24, 96, abs(damage.integer(random))))
    match random.randrange(8):
        case 0:
            held["dtype"] = random.choice(
                ("F64", "F32", "F16", "BF16", "I8", "U8", "BOOL", "I64", "U64", "F8_E4M3", "")
            )
        case 1 if shape:
            shape[random.randrange(len(shape))] = small
        case 2:
            shape[random.randrange(len(shape) + 1) :] = random.choices((1, 2, 3, 4, 0), k=random.choice((0, 1, 2, 14)))
        case 3:
            offsets[random.randrange(2)] = small
        case 4:
            offsets[:] = [offsets[0] + small, offsets[1] + small]
        case 5:
            found[random.choice(("x", "y", "y_test", "test_x", "label", "weight", "é", "", "a" * 250))] = found.pop(
                name
            )
        case 6:
            found[random.choice(("x2", "y2", "x_val", "labels"))] = {**held, "data_offsets": list(offsets)}
        case _:
            held["data_offsets"] = found[random.choice(tensors)]["data_offsets"]
            held["shape"] = list(found[random.choice(tensors)]["shape"])
    return json.dumps(found).encode()


def inside(of_member: Callable[[bytes, Random], bytes]) -> Callable[[str, bytes, Random], bytes]:
    """Damage to members of archives that are all alike; now and then any damage."""

    def damaged(_name: str, content: bytes, random: Random) -> bytes:
        return of_member(content, random) if random.random() < 0.85 else damage.blind(content, random, content)

    return damaged
