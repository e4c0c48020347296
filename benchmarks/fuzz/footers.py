"""Damage to parquet behind its marks: numbers in the footer and in the headers of pages, which are compact Thrift."""

import struct
from dataclasses import dataclass
from random import Random

from benchmarks.fuzz import damage

MARK = b"PAR1"
STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)


@dataclass
class _Places:
    """Where in a piece of compact Thrift numbers lie, lengths of texts, and heads of fields: start and end of each."""

    numbers: list[tuple[int, int]]
    lengths: list[tuple[int, int]]
    heads: list[tuple[int, int]]


class _Reader:
    """Walks over one struct."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place
        self.found = _Places([], [], [])

    def varint(self) -> tuple[int, tuple[int, int]]:
        start, value, shift = self.place, 0, 0
        while True:
            byte = self.data[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value, (start, self.place)

    def struct(self) -> None:
        while self.data[self.place] != STOP:
            start, head = self.place, self.data[self.place]
            self.place += 1
            if head >> 4 == 0:
                self.varint()
            self.found.heads.append((start, self.place))
            self.value(head & 15)
        self.place += 1

    def value(self, kind: int, inside: bool = False) -> None:
        if kind in (TRUE, FALSE):
            self.place += inside
        elif kind == BYTE:
            self.place += 1
        elif kind in (I16, I32, I64):
            self.found.numbers.append(self.varint()[1])
        elif kind == DOUBLE:
            self.place += 8
        elif kind == BINARY:
            length, where = self.varint()
            self.found.lengths.append(where)
            self.place += length
        elif kind in (LIST, SET):
            self.listed()
        elif kind == STRUCT:
            self.struct()
        else:
            raise ValueError(f"type {kind}")

    def listed(self) -> None:
        start, head = self.place, self.data[self.place]
        self.place += 1
        count = head >> 4
        if count == 15:
            count, where = self.varint()
            self.found.lengths.append(where)
        else:
            self.found.heads.append((start, self.place))
        for _ in range(count):
            self.value(head & 15, inside=True)


def of_parquet(data: bytes, random: Random) -> bytes:
    """A parquet file with another footer of the right length, or another header of its first page, or other values."""
    if data[-4:] != MARK or len(data) < 16:
        return damage.blind(data, random, data)
    length = int.from_bytes(data[-8:-4], "little")
    body, footer = data[: -8 - length], data[-8 - length : -8]
    kind = random.random()
    if kind < 0.65:
        for _ in range(random.choice((1, 1, 2))):
            footer = _changed(footer, 0, random)
    elif kind < 0.85:
        body = _changed(body, 4, random)
    else:
        body = body[:4] + damage.blind(body[4:] or b"x", random, body)
    said = len(footer) if random.random() < 0.97 else damage.integer(random) % 2**32
    return body + footer + struct.pack("<I", said) + MARK


def _changed(data: bytes, start: int, random: Random) -> bytes:
    """The struct at `start` with one of its numbers, lengths or types changed, and at times longer or shorter by it."""
    reader = _Reader(data, start)
    try:
        reader.struct()
    except (IndexError, ValueError, RecursionError):
        return damage.blind(data, random, data)
    places, kind = reader.found, random.random()
    if kind < 0.7 and places.numbers:
        begin, end = random.choice(places.numbers)
        value = damage.integer(random)
        return data[:begin] + _varint((value << 1) ^ (value >> 63), end - begin, random) + data[end:]
    if kind < 0.85 and places.lengths:
        begin, end = random.choice(places.lengths)
        return data[:begin] + _varint(damage.integer(random), end - begin, random) + data[end:]
    if places.heads:
        begin, end = random.choice(places.heads)
        head = data[begin] ^ 1 << random.randrange(8)
        return data[:begin] + bytes([head]) + data[begin + 1 :]
    return damage.blind(data, random, data)


def _varint(value: int, width: int, random: Random) -> bytes:
    """As many bytes as before where the number fits into them, so that nothing behind it moves; else as it needs."""
    value %= 2**64
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    while len(made) < width and random.random() < 0.9:
        made[-1] |= 0x80
        made.append(0)
    return bytes(made)
