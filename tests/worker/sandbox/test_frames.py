"""The messages between parent and child: what goes in comes out, and nothing hostile gets anything allocated."""

import json
import os
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from worker.sandbox import frames
from worker.sandbox.frames import BrokenFrameError

MIB = 1024**2


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


@given(
    header=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.lists(st.booleans()))),
    arrays=st.lists(
        npst.arrays(st.sampled_from([np.dtype(each) for each in sorted(frames.DTYPES)]), npst.array_shapes(min_side=0))
    ),
)
def test_what_goes_in_comes_out(header: dict[str, Any], arrays: list[frames.Array]) -> None:
    """Any JSON object and any arrays of the four dtypes arrive as they were sent, empty ones and NaN too."""
    header.pop("arrays", None)
    here, there = socket.socketpair()
    with here, there:
        frames.send(here, header, arrays)
        received, back, files = frames.receive(there, sum(array.nbytes for array in arrays))
    assert (received, files) == (header, [])
    assert [array.shape for array in back] == [array.shape for array in arrays]
    assert [array.tobytes() for array in back] == [array.tobytes() for array in arrays]


def test_large_arrays_pass_through_a_small_pipe(pair: tuple[socket.socket, socket.socket]) -> None:
    """A message larger than the socket's buffer arrives whole while the other side reads."""
    array = np.arange(2_000_000, dtype=np.int64)
    sender = threading.Thread(target=frames.send, args=(pair[0], {}, [array]))
    sender.start()
    _, [back], _ = frames.receive(pair[1], array.nbytes)
    sender.join()
    np.testing.assert_array_equal(back, array)


def test_files_arrive_as_ones_own(pair: tuple[socket.socket, socket.socket], tmp_path: Any) -> None:
    """A descriptor sent beside a message reads the sender's file."""
    path = tmp_path / "file"
    path.write_bytes(b"here")
    with path.open("rb") as file:
        frames.send(pair[0], {}, files=[file.fileno()])
    _, _, [number] = frames.receive(pair[1], 0, files=1)
    with os.fdopen(number, "rb") as received:
        assert received.read() == b"here"


def test_files_that_were_not_asked_for_are_not_taken(pair: tuple[socket.socket, socket.socket]) -> None:
    """A hostile child cannot fill its parent's table of open files."""
    before = len(os.listdir("/proc/self/fd"))
    with open(os.devnull, "rb") as file:
        frames.send(pair[0], {}, files=[file.fileno()])
    assert frames.receive(pair[1], 0)[2] == []
    assert len(os.listdir("/proc/self/fd")) == before


def claiming(arrays: Any) -> bytes:
    text = json.dumps({"arrays": arrays}).encode()
    return struct.pack(">I", len(text)) + text


HOSTILE = {
    "an array larger than asked for": claiming([["<f4", [1024**3, 16]]]),
    "many arrays, together too large": claiming([["<f4", [20]]] * 20),
    "an axis of negative length": claiming([["<f4", [-1, -8]]]),
    "an axis of no integer": claiming([["<f4", [1.5]]]),
    "an axis that says true": claiming([["<f4", [True]]]) + b"1234",
    "no elements on an endless axis": claiming([["<f4", [0, 2**62, 2**62]]]),
    "more axes than numpy has": claiming([["<f4", [1] * 65]]),
    "an unknown dtype": claiming([["O", [1]]]),
    "a dtype that is a list": claiming([[["<f4"], [1]]]),
    "arrays that are none": claiming({"a": 1}),
    "no arrays": struct.pack(">I", 2) + b"{}",
    "no object": struct.pack(">I", 2) + b"[]",
    "no JSON": struct.pack(">I", 3) + b"\xff\xfe{",
    "JSON too deep": struct.pack(">I", 200_000) + b"[" * 200_000,
    "a header of four gigabytes": b"\xff\xff\xff\xff",
    "half a length": b"\x00\x00",
    "half a header": struct.pack(">I", 50) + b"{",
    "half an array": claiming([["<f4", [10]]]) + b"1234",
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_broken_and_cheap(name: str, pair: tuple[socket.socket, socket.socket]) -> None:
    """Whatever is declared, the receiver raises one error and allocates nothing for it."""

    def send() -> None:
        pair[0].sendall(HOSTILE[name])
        pair[0].shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    tracemalloc.start()
    with pytest.raises(BrokenFrameError):
        frames.receive(pair[1], 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sender.join()
    assert peak < 4 * MIB


def test_a_message_that_drips_in_times_out(pair: tuple[socket.socket, socket.socket]) -> None:
    """The deadline is the whole message's: a byte now and then does not buy more time."""
    stop = threading.Event()

    def drip() -> None:
        pair[0].sendall(struct.pack(">I", 10_000))
        while not stop.wait(0.02):
            pair[0].sendall(b" ")

    sender = threading.Thread(target=drip)
    sender.start()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        frames.receive(pair[1], 0, until=began + 0.3)
    assert 0.25 < time.monotonic() - began < 5
    stop.set()
    sender.join()


def test_nobody_reading_times_out(pair: tuple[socket.socket, socket.socket]) -> None:
    """A child that stops reading does not hold its parent for longer than it may."""
    with pytest.raises(TimeoutError):
        frames.send(pair[0], {}, [np.zeros(4 * MIB)], until=time.monotonic() + 0.2)


def test_only_four_dtypes_are_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    """What the other side would refuse is not sent."""
    with pytest.raises(AssertionError, match="cannot be sent"):
        frames.send(pair[0], {}, [np.array(["text"])])
