"""What `read_npz` promises: good files are unpacked, all others are refused in words, and memory stays flat."""

import io
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zoo import arrays
from tests.zoo import datasets as zoo
from worker.formats.datasets import read_npz
from worker.formats.refusals import KINDS, Refused
from worker.sandbox.parent import Child

MIB = 1024**2


def read(data: bytes) -> tuple[dict[str, Any], Any, bytes]:
    """What was found, the labels, and the unpacked inputs."""
    out = io.BytesIO()
    found, labels = read_npz(io.BytesIO(data), out)
    return found, labels, out.getvalue()


@pytest.mark.parametrize("make", zoo.ACCEPTED, ids=lambda make: make.__name__)
def test_good_datasets_come_out_as_they_went_in(make: Any) -> None:
    """Whatever the byte order, the packing and the type of the labels, the numbers are the same."""
    found, labels, inputs = read(make())
    assert inputs == arrays.inputs("<f4").tobytes()
    assert labels.dtype == np.int64
    assert labels.tolist() == arrays.labels().tolist()
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": [5, 4]}]
    assert found["labels"] == {"min": 0, "max": 2, "distinct": 3, "most_frequent": 2}


@pytest.mark.parametrize(("make", "kind", "words"), zoo.REFUSED, ids=lambda each: getattr(each, "__name__", ""))
def test_misdeeds_are_refused_in_words(make: Any, kind: str, words: str) -> None:
    """Each misdeed gets its own problem and a detail that names the thing and stays short."""
    with pytest.raises(Refused) as refused:
        read(make())
    assert refused.value.kind == kind
    assert kind in KINDS
    assert words in refused.value.detail
    assert len(refused.value.detail) < 800


def test_the_zoo_is_complete() -> None:
    """No misdeed is built and then forgotten."""
    built = {each for each in vars(zoo).values() if getattr(each, "__module__", "") == zoo.__name__}
    assert built == {*zoo.ACCEPTED, *(make for make, _, _ in zoo.REFUSED)}


def test_other_members_are_named_in_a_warning() -> None:
    """What is ignored is said."""
    found, _, _ = read(zoo.extra_members())
    assert found["warnings"] == ["The dataset also holds names.npy, z.npy; only x and y are used."]


def test_one_label_alone_is_warned_of() -> None:
    """A dataset of one class is accepted, with a word on what that means."""
    found, _, _ = read(arrays.npz(x=arrays.inputs(), y=np.zeros(5, int)))
    assert re.search("same label", found["warnings"][0])


def test_large_labels_cost_no_memory() -> None:
    """A label of two thousand million does not ask for an array as long as that."""
    found, _, _ = read(arrays.npz(x=arrays.inputs(), y=np.array([0, 2**31 - 1, 0, 1, 0])))
    assert found["labels"] == {"min": 0, "max": 2**31 - 1, "distinct": 3, "most_frequent": 3}


def test_every_cut_is_refused() -> None:
    """A dataset cut off anywhere is refused, in words, never read in part."""
    data = zoo.good()
    for length in range(len(data)):
        with pytest.raises(Refused) as refused:
            read(data[:length])
        assert refused.value.kind in ("dataset-malformed", "unsupported-format")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=4), st.booleans())
@settings(max_examples=400, deadline=None)
def test_flipped_bits_raise_nothing_but_refusals(flips: list[tuple[int, int]], packed: bool) -> None:
    """Whatever is flipped, the reader says no in its own way, or reads numbers that add up."""
    data = bytearray(zoo.good() if packed else zoo.stored_uncompressed())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    with suppress(Refused):
        found, labels, inputs = read(bytes(data))
        assert len(labels) == found["examples"] == found["inputs"][0]["shape"][0]
        assert len(inputs) == 4 * np.prod(found["inputs"][0]["shape"])


@given(st.binary(max_size=300))
def test_any_header_is_read_or_refused(text: bytes) -> None:
    """No header, however odd, raises anything but a refusal."""
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with pytest.raises(Refused):
        read(arrays.zipped(x=member, y=arrays.npy(arrays.labels())))


def test_memory_stays_flat(tmp_path: Path) -> None:
    """A child that unpacks 256 MiB of x holds a few MiB more at its peak than one that unpacks 4 KiB."""
    peaks = [_peak(tmp_path, size) for size in (4 * 1024, 256 * MIB)]
    assert peaks[1] - peaks[0] < 24 * MIB, peaks


def _peak(folder: Path, size: int) -> int:
    """The peak of a child's resident memory, in bytes, when it has read an x of so many bytes."""
    path, examples = folder / f"{size}.npz", size // 1024
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("y.npy", arrays.npy(np.arange(examples) % 2))
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(arrays.described("'<f4'", f"({examples}, 256)"))
            for _ in range(max(size // MIB, 1)):
                member.write(bytes(min(size, MIB)))
    with Child(memory_bytes=1024 * MIB, seconds=60, threads=1, file_bytes=size) as child:
        found, labels = child.read_dataset(path, folder / "inputs")
        status = Path(f"/proc/{child.pid}/status").read_text()
    assert (found["examples"], len(labels)) == (examples, examples)
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) * 1024
