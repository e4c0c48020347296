"""The file that inputs lie in: where each array begins, and that mapping it gives back what was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from worker.sandbox import inputs_file

DTYPES = ["<f4", "<f2", "<f8", "<i8", "<i4", "|i1", "|u1", "|b1"]


def described(arrays: list[np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    return [{"name": f"x{i}", "dtype": a.dtype.name, "shape": list(a.shape)} for i, a in enumerate(arrays)]


def written(arrays: list[np.ndarray[Any, Any]]) -> bytes:
    data = b""
    for array in arrays:
        data += b"\0" * (-len(data) % 64) + array.tobytes()
    return data


@given(
    arrays=st.lists(
        npst.arrays(
            st.sampled_from([np.dtype(each) for each in DTYPES]), npst.array_shapes(min_dims=0, max_dims=3, max_side=9)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_was_written_is_mapped(
    arrays: list[np.ndarray[Any, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Arrays of any type and shape, scalars among them, each at a multiple of 64 bytes."""
    path = tmp_path_factory.mktemp("inputs") / "inputs"
    path.write_bytes(written(arrays))
    places, end = inputs_file.starts(described(arrays))
    assert end == path.stat().st_size
    assert all(place % 64 == 0 for place in places)
    with path.open("rb") as file:
        mapped = inputs_file.mapped(file, described(arrays))
    assert list(mapped) == [f"x{i}" for i in range(len(arrays))]
    for array, found in zip(arrays, mapped.values(), strict=True):
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert not found.flags.writeable


def test_a_file_that_is_too_short_is_not_mapped(tmp_path: Path) -> None:
    """Nobody reads beyond the end of it."""
    (tmp_path / "inputs").write_bytes(b"1234")
    with (tmp_path / "inputs").open("rb") as file, pytest.raises(ValueError, match="ends before"):
        inputs_file.mapped(file, [{"name": "x", "dtype": "float32", "shape": [2]}])


def test_an_array_without_numbers_takes_no_room(tmp_path: Path) -> None:
    """An empty axis is no error."""
    (tmp_path / "inputs").write_bytes(b"12345678")
    inputs = [{"name": "e", "dtype": "float32", "shape": [2, 0]}, {"name": "x", "dtype": "uint8", "shape": [8]}]
    with (tmp_path / "inputs").open("rb") as file:
        mapped = inputs_file.mapped(file, inputs)
    assert mapped["e"].shape == (2, 0)
    assert mapped["x"].tobytes() == b"12345678"


def test_pages_that_were_looked_at_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the file, what a process shows of it stays within the room; and it still reads the same."""
    monkeypatch.setattr(inputs_file, "ROOM", 8 * 1024**2)
    examples, width = 64, 256 * 1024  # 64 MiB
    array = np.arange(examples * width, dtype=np.float32).reshape(examples, width)
    (tmp_path / "inputs").write_bytes(array.tobytes())
    with (tmp_path / "inputs").open("rb") as file:
        mapped = inputs_file.mapped(file, described([array]))
    pages = inputs_file.Pages(mapped)
    assert (pages.at_once(1), pages.at_once(3), pages.at_once(16)) == (8, 6, 16)
    before, shown = resident(), []
    for row in range(examples):
        np.testing.assert_array_equal(mapped["x0"][row], array[row])
        pages.looked(1)
        shown.append(resident() - before)
    assert max(shown) < 12 * 1024**2
    np.testing.assert_array_equal(mapped["x0"][::7], array[::7])


def test_a_small_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits into the room is never let go."""
    monkeypatch.setattr(inputs_file, "ROOM", 8 * 1024**2)
    array = np.ones((64, 16 * 1024), np.float32)  # 4 MiB
    (tmp_path / "inputs").write_bytes(array.tobytes())
    with (tmp_path / "inputs").open("rb") as file:
        mapped = inputs_file.mapped(file, described([array]))
    pages, before = inputs_file.Pages(mapped), resident()
    for _ in range(4):
        assert mapped["x0"].sum() == array.size
        pages.looked(64)
    assert resident() - before >= 4 * 1024**2 - 65536


def resident() -> int:
    """Bytes of mapped files that this process shows."""
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("RssFile")]
    return int(line.split()[1]) * 1024
