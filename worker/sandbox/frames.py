"""Messages between parent and child: a JSON header, raw arrays behind it, open files beside it. No pickle.

4 bytes   length of the header, big-endian
header    JSON: any object, plus "arrays": [[dtype, shape], ...]
arrays    their bytes, C order, little-endian, one after another
"""

import json
import math
import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HEADER_LIMIT = 16 * 1024**2  # bytes; a model may have many sites
FILES = 2  # most files beside one message
DTYPES = {"<f4", "<f8", "<i8", "|u1"}


class BrokenFrameError(Exception):
    """The other side closed the socket, or sent what is no frame."""


def send(to: socket.socket, header: dict[str, Any], arrays: Sequence[Array] = (), files: Sequence[int] = ()) -> None:
    """Send one message. `files` are descriptors, which the other side gets as its own."""
    plain = [np.ascontiguousarray(array) for array in arrays]
    described = [[array.dtype.newbyteorder("<").str, list(array.shape)] for array in plain]
    text = json.dumps({**header, "arrays": described}).encode()
    prefix = struct.pack(">I", len(text))
    if files:
        socket.send_fds(to, [prefix], list(files))
        to.sendall(text)
    else:
        to.sendall(prefix + text)
    for array in plain:
        if array.nbytes:
            to.sendall(array.tobytes() if array.ndim == 0 else array.data.cast("B"))


def receive(of: socket.socket, limit: int) -> tuple[dict[str, Any], list[Array], list[int]]:
    """Receive one message whose arrays have at most `limit` bytes together.

    Nothing is allocated beyond the limits, whatever the other side declares. Raises `BrokenFrameError`; `TimeoutError`
    as the socket has it.
    """
    prefix, files = _prefix(of)
    (length,) = struct.unpack(">I", prefix)
    if length > HEADER_LIMIT:
        raise BrokenFrameError(f"a header of {length} bytes")
    try:
        header = json.loads(bytes(_exactly(of, length)))
        described = [(np.dtype(dtype), tuple(shape)) for dtype, shape in header.pop("arrays") if dtype in DTYPES]
        sizes = [math.prod(shape) * dtype.itemsize for dtype, shape in described]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BrokenFrameError("a header that cannot be read") from error
    if any(not isinstance(n, int) or n < 0 for _, shape in described for n in shape) or sum(sizes) > limit:
        raise BrokenFrameError("larger arrays than were asked for")
    parts = zip(described, sizes, strict=True)
    arrays = [np.frombuffer(_exactly(of, size), dtype).reshape(shape) for (dtype, shape), size in parts]
    return header, arrays, files


def _prefix(of: socket.socket) -> tuple[bytes, list[int]]:
    prefix, files, _, _ = socket.recv_fds(of, 4, FILES)
    while 0 < len(prefix) < 4:
        more = of.recv(4 - len(prefix))
        if not more:
            break
        prefix += more
    if len(prefix) < 4:
        raise BrokenFrameError("the end")
    return prefix, files


def _exactly(of: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    done = 0
    while done < size:
        count = of.recv_into(view[done:])
        if count == 0:
            raise BrokenFrameError("the end, in the middle of a message")
        done += count
    return data
