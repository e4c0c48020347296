"""Messages between parent and child: a JSON header, raw arrays behind it, open files beside it. No pickle.

4 bytes   length of the header, big-endian
header    JSON: any object, plus "arrays": [[dtype, shape], ...]
arrays    their bytes, C order, little-endian, one after another
"""

import json
import math
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HEADER_LIMIT = 16 * 1024**2  # bytes; a model may have many sites
FILES = 2  # most files beside one message
RANK_LIMIT = 16  # axes of an array
SIDE_LIMIT = 2**40  # length of an axis; above 2**63, numpy's own checks fail in odd ways
DTYPES = frozenset(["<f4", "<f8", "<i8", "|u1"])


class BrokenFrameError(Exception):
    """The other side closed the socket, or sent what is no frame."""


def send(
    to: socket.socket,
    header: dict[str, Any],
    arrays: Sequence[Array] = (),
    files: Sequence[int] = (),
    until: float | None = None,
) -> None:
    """Send one message. `files` are descriptors, which the other side gets as its own.

    until: a time on `time.monotonic`'s clock. Raises `TimeoutError` after it, `OSError` if nobody reads.
    """
    plain = [np.ascontiguousarray(array) for array in arrays]
    described = [[array.dtype.str, list(array.shape)] for array in plain]
    assert all(dtype in DTYPES for dtype, _ in described), f"one of {described} cannot be sent"
    text = json.dumps({**header, "arrays": described}).encode()
    prefix = struct.pack(">I", len(text))
    _wind(to, until)
    if files:
        socket.send_fds(to, [prefix], list(files))
        to.sendall(text)
    else:
        to.sendall(prefix + text)
    for array in plain:
        if array.nbytes:
            _wind(to, until)
            to.sendall(array.reshape(-1).view(np.uint8).data)


def receive(
    of: socket.socket, limit: int, files: int = 0, until: float | None = None
) -> tuple[dict[str, Any], list[Array], list[int]]:
    """Receive one message whose arrays have at most `limit` bytes together, and at most so many files.

    Nothing is allocated beyond the limits, whatever the other side declares, and files beyond theirs are closed by the
    kernel. Raises `BrokenFrameError`; `TimeoutError` if the whole message is not there by `until`.
    """
    prefix, received = _prefix(of, files, until)
    (length,) = struct.unpack(">I", prefix)
    if length > HEADER_LIMIT:
        raise BrokenFrameError(f"a header of {length:,} bytes")
    text = bytearray(length)
    _fill(of, memoryview(text), until)
    header, arrays = _described(text, limit)
    for array in arrays:
        if array.nbytes:
            _fill(of, array.reshape(-1).view(np.uint8).data, until)
    return header, arrays, received


def _described(text: bytearray, limit: int) -> tuple[dict[str, Any], list[Array]]:
    """The header, and arrays of what it declares, still empty."""
    try:
        header = json.loads(bytes(text))
        shapes = [(np.dtype(_known(dtype)), tuple(map(_side, shape))) for dtype, shape in header.pop("arrays")]
        if sum(dtype.itemsize * math.prod(shape) for dtype, shape in shapes) > limit:
            raise BrokenFrameError("larger arrays than were asked for")
        if any(len(shape) > RANK_LIMIT for _, shape in shapes):
            raise BrokenFrameError("arrays of too many axes")
        return header, [np.empty(shape, dtype) for dtype, shape in shapes]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BrokenFrameError("a header that cannot be read") from error


def _known(dtype: Any) -> str:
    if dtype not in DTYPES:
        raise ValueError("not a dtype that is sent")
    return str(dtype)


def _side(size: Any) -> int:
    if type(size) is not int or not 0 <= size <= SIDE_LIMIT:
        raise ValueError("not the length of an axis")
    return size


def _prefix(of: socket.socket, files: int, until: float | None) -> tuple[bytes, list[int]]:
    _wind(of, until)
    prefix, received, _, _ = socket.recv_fds(of, 4, files)
    if not prefix:
        raise BrokenFrameError("the end")
    rest = bytearray(4 - len(prefix))
    _fill(of, memoryview(rest), until)
    return prefix + bytes(rest), list(received)


def _fill(of: socket.socket, view: memoryview, until: float | None) -> None:
    done = 0
    while done < len(view):
        _wind(of, until)
        count = of.recv_into(view[done:])
        if count == 0:
            raise BrokenFrameError("the end, in the middle of a message")
        done += count


def _wind(a_socket: socket.socket, until: float | None) -> None:
    """Let the next call on a socket last until then: a timeout per call would let a message drip in for ever."""
    left = None if until is None else until - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError
    a_socket.settimeout(left)
