"""Damage that knows nothing of a format: bits, bytes, numbers, and pieces cut out, doubled or taken from elsewhere."""

import struct
from collections.abc import Callable
from random import Random

# Numbers that arithmetic goes wrong at, cut to each width.
NUMBERS = (0, 1, 2, 7, 8, 16, 255, 256, 1000, 4096, 65535, 65536, 10**6, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
SIGNED = (*NUMBERS, -1, -2, -128, -(2**31), -(2**63))
WIDTHS = (1, 2, 4, 8)
LONGEST = 4096  # bytes of a piece that is cut, doubled or put in
LARGEST = 4 * 1024**2  # bytes that a damaged file may grow to
Damage = Callable[[bytearray, Random, bytes], None]


def integer(random: Random) -> int:
    """An interesting whole number, or any small one."""
    return random.choice(SIGNED) if random.random() < 0.7 else random.randrange(-16, 300)


def blind(data: bytes, random: Random, other: bytes) -> bytes:
    """The bytes with one to six pieces of damage. other: a file to take pieces from."""
    made = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        if not made:
            break
        random.choice(ALL)(made, random, other)
    return bytes(made[:LARGEST])


def _flip(made: bytearray, random: Random, _other: bytes) -> None:
    made[random.randrange(len(made))] ^= 1 << random.randrange(8)


def _set(made: bytearray, random: Random, _other: bytes) -> None:
    made[random.randrange(len(made))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _number(made: bytearray, random: Random, _other: bytes) -> None:
    width = random.choice(WIDTHS)
    if len(made) >= width:
        place = random.randrange(len(made) - width + 1) // width * width
        order = random.choice("<>")
        value = integer(random) % 2 ** (8 * width)
        made[place : place + width] = struct.pack(order + {1: "B", 2: "H", 4: "I", 8: "Q"}[width], value)


def _truncate(made: bytearray, random: Random, _other: bytes) -> None:
    del made[random.randrange(len(made)) :]


def _cut(made: bytearray, random: Random, _other: bytes) -> None:
    start, stop = _piece(len(made), random)
    del made[start:stop]


def _insert(made: bytearray, random: Random, _other: bytes) -> None:
    place = random.randrange(len(made) + 1)
    made[place:place] = random.randbytes(random.choice((1, 2, 4, 8, 64, 1000)))


def _double(made: bytearray, random: Random, _other: bytes) -> None:
    start, stop = _piece(len(made), random)
    place = random.randrange(len(made) + 1)
    made[place:place] = made[start:stop] * random.choice((1, 1, 2, 16))


def _splice(made: bytearray, random: Random, other: bytes) -> None:
    if other:
        start, stop = _piece(len(other), random)
        place = random.randrange(len(made))
        made[place : place + random.choice((0, stop - start))] = other[start:stop]


def _cross(made: bytearray, random: Random, other: bytes) -> None:
    made[random.randrange(len(made)) :] = other[random.randrange(len(other) + 1) :]


def _piece(length: int, random: Random) -> tuple[int, int]:
    start = random.randrange(length)
    return start, min(start + random.randrange(1, random.choice((2, 9, 65, LONGEST))), length)


ALL: tuple[Damage, ...] = (_flip, _set, _number, _number, _truncate, _cut, _insert, _double, _splice, _cross)
