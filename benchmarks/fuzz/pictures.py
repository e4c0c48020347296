"""Damage to pictures behind their checksums: PNG's chunks and pixels, JPEG's segments, RIFF's chunks, headers."""

import struct
import zlib
from random import Random

from benchmarks.fuzz import damage

PNG = b"\x89PNG\r\n\x1a\n"
SIZES = (0, 1, 2, 3, 255, 65535, 65536, 8192, 20_000, 2**31 - 1, 2**31, 2**32 - 1)


def of_picture(data: bytes, random: Random) -> bytes:
    """A picture of any format, damaged as that allows."""
    if data.startswith(PNG):
        return _png(data, random)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data, random)
    if data[:4] == b"RIFF":
        return _riff(data, random)
    return _header(data, random)


def _header(data: bytes, random: Random) -> bytes:
    """A number among the first bytes, where sizes and depths are."""
    made = bytearray(data)
    place, width = random.randrange(min(len(made), 64) or 1), random.choice((1, 2, 4))
    made[place : place + width] = (random.choice(SIZES) % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(made) if random.random() < 0.7 else damage.blind(data, random, data)


def _png(data: bytes, random: Random) -> bytes:
    chunks: list[tuple[bytes, bytes]] = []
    place = len(PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return damage.blind(data, random, data)
    index = random.randrange(len(chunks))
    name, body = chunks[index]
    match random.randrange(7):
        case 0 | 1 if name == b"IHDR" and len(body) == 13:
            made = bytearray(body)
            at, width = random.choice(((0, 4), (4, 4), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1)))
            made[at : at + width] = (random.choice(SIZES) % 2 ** (8 * width)).to_bytes(width, "big")
            chunks[index] = (name, bytes(made))
        case 0 | 1 if name == b"IDAT":
            try:
                raw = zlib.decompress(body)
            except zlib.error:
                raw = body
            raw = random.choice((raw * random.choice((2, 1000)), damage.blind(raw or b"x", random, raw), b""))
            chunks[index] = (name, zlib.compress(raw[: damage.LARGEST], 9))
        case 2:
            del chunks[index]
        case 3:
            chunks.insert(random.randrange(len(chunks)), chunks[index])
        case 4:
            new = random.choice(
                (b"eXIf", b"iCCP", b"acTL", b"fcTL", b"fdAT", b"tRNS", b"PLTE", b"zTXt", b"gAMA", b"iTXt")
            )
            chunks.insert(random.randrange(len(chunks)), (new, random.randbytes(random.choice((0, 4, 26, 300)))))
        case _:
            chunks[index] = (name, damage.blind(body, random, data) if body else b"\0" * 13)
    return PNG + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _jpeg(data: bytes, random: Random) -> bytes:
    """A segment's fields, its order, its length; or the scan itself."""
    made, places, place = bytearray(data), [], 2
    while place + 4 <= len(made) and made[place] == 0xFF and made[place + 1] != 0xDA:
        places.append(place)
        place += 2 + int.from_bytes(made[place + 2 : place + 4], "big")
    if not places or random.random() < 0.3:
        scan = damage.blind(bytes(made[place:]) or b"x", random, data)
        return bytes(made[:place]) + scan
    start = random.choice(places)
    length = 2 + int.from_bytes(made[start + 2 : start + 4], "big")
    match random.randrange(5):
        case 0:
            made[start + 1] = random.choice(
                (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xDB, 0xC4, 0xE1, 0xE2, 0xEE, 0xDD, 0xD8, 0xFE)
            )
        case 1:
            made[start:start] = made[start : start + length]
        case 2:
            del made[start : start + length]
        case 3:
            made[start + 2 : start + 4] = struct.pack(">H", damage.integer(random) % 2**16)
        case _:
            inner = random.randrange(start + 4, max(start + length, start + 5))
            made[inner : inner + 2] = struct.pack(">H", random.choice(SIZES) % 2**16)
    return bytes(made)


def _riff(data: bytes, random: Random) -> bytes:
    made = bytearray(data)
    place = random.choice((4, 8, 12, 16, 20, 23, 24, 26, 28, 30, *range(12, 40)))
    made[place : place + 4] = struct.pack("<I", random.choice((*SIZES, len(data) - 8)) % 2**32)
    body = damage.blind(bytes(made[12:]) or b"x", random, data) if random.random() < 0.4 else bytes(made[12:])
    size = len(body) + 4 if random.random() < 0.8 else random.choice(SIZES)
    return b"RIFF" + struct.pack("<I", size % 2**32) + b"WEBP" + body
