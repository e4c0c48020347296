"""What the reader of datasets promises of .npz files: good ones are unpacked, all others are refused in words."""

import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.formats.reading import looked_at, reading, refused, taken, wanted
from tests.zoo import arrays
from tests.zoo import datasets as zoo
from worker.formats.datasets import read
from worker.formats.refusals import Refused

X = wanted("x", 4)


@pytest.mark.parametrize("make", zoo.ACCEPTED, ids=lambda make: make.__name__)
def test_good_datasets_come_out_as_they_went_in(make: Any) -> None:
    """Whatever the byte order, the packing and the types, the numbers are the same."""
    found, made = taken(make(), X)
    assert made["x"].tobytes() == arrays.inputs("<f4").tobytes()
    assert made["labels"].dtype == np.int64
    assert made["labels"].tolist() == arrays.labels().tolist()
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": [5, 4]}]
    assert found["labels"] == {"min": 0, "max": 2, "distinct": 3, "most_frequent": 2, "names": None}
    assert (found["format"], found["examples"], found["splits"]) == ("npz", 5, None)
    assert looked_at(make())["labels"] == found["labels"]


@pytest.mark.parametrize(("make", "kind", "words"), zoo.REFUSED, ids=lambda each: getattr(each, "__name__", ""))
def test_misdeeds_are_refused_in_words(make: Any, kind: str, words: str) -> None:
    """Each misdeed gets its own problem and a detail that names the thing and stays short."""
    assert words in refused(kind, make(), X)


def test_the_zoo_is_complete() -> None:
    """No misdeed is built and then forgotten."""
    built = {each for each in vars(zoo).values() if getattr(each, "__module__", "") == zoo.__name__}
    assert built == {*zoo.ACCEPTED, *(make for make, _, _ in zoo.REFUSED)}


def test_what_is_not_used_is_named_in_a_warning() -> None:
    """Arrays of another length and objects are ignored, and that is said."""
    assert "names: not 5 long" in looked_at(zoo.extra_members())["warnings"][0]
    assert "z holds Python objects" in looked_at(zoo.extra_pickle())["warnings"][0]


def test_labels_under_another_name_are_not_lost_in_silence() -> None:
    """Who saves arrays without names learns which one nothing was done with, and what to say."""
    found, made = taken(arrays.npz(arr_0=arrays.inputs(), arr_1=np.zeros(5, int)), X)
    assert "labels" not in made
    assert any("No input takes arr_1" in warning and "`labels`" in warning for warning in found["warnings"])


def test_one_label_alone_is_warned_of() -> None:
    """A dataset of one class is accepted, with a word on what that means."""
    found = looked_at(arrays.npz(x=arrays.inputs(), y=np.zeros(5, int)))
    assert "same label" in found["warnings"][0]


def test_large_labels_cost_no_memory() -> None:
    """A label of two thousand million does not ask for an array as long as that."""
    found = looked_at(arrays.npz(x=arrays.inputs(), y=np.array([0, 2**31 - 1, 0, 1, 0])))
    assert found["labels"] == {"min": 0, "max": 2**31 - 1, "distinct": 3, "most_frequent": 3, "names": None}


def test_a_dataset_without_labels_is_read() -> None:
    """Then agreement is measured; nobody invents labels."""
    found, made = taken(arrays.npz(x=arrays.inputs()), X)
    assert found["labels"] is None
    assert set(made) == {"x"}


def test_every_cut_is_refused() -> None:
    """A dataset cut off anywhere is refused, in words, never read in part."""
    data = zoo.good()
    for length in range(len(data)):
        with pytest.raises(Refused) as caught:
            looked_at(data[:length])
        assert caught.value.kind in ("dataset-malformed", "unsupported-format")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=4), st.booleans())
@settings(max_examples=400, deadline=None)
def test_flipped_bits_raise_nothing_but_refusals(flips: list[tuple[int, int]], packed: bool) -> None:
    """Whatever is flipped, the reader says no in its own way, or reads numbers that add up."""
    data = bytearray(zoo.good() if packed else zoo.stored_uncompressed())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    out = io.BytesIO()
    with suppress(Refused):
        found, made = read(io.BytesIO(bytes(data)), out, reading(X))
        assert found["examples"] == found["inputs"][0]["shape"][0] == len(made.get("labels", range(found["examples"])))
        assert len(out.getvalue()) == 4 * np.prod(found["inputs"][0]["shape"])


@given(st.binary(max_size=300))
def test_any_header_is_read_or_refused(text: bytes) -> None:
    """No header, however odd, raises anything but a refusal."""
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with pytest.raises(Refused):
        looked_at(arrays.zipped(x=member, y=arrays.npy(arrays.labels())))


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No file, however odd, raises anything but a refusal; nor behind the first bytes of each format."""
    for start in (b"", b"PK\x03\x04", b"PAR1", b"\x1f\x8b\x08", b"a,b\n", b"\x10\0\0\0\0\0\0\0{"):
        with suppress(Refused):
            looked_at(start + data)
