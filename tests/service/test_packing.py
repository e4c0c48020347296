"""Several files as one zip: the same bytes from the same files, whatever the disk says about them."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from service import packing


def packed(files: dict[str, Path]) -> bytes:
    """The zip's bytes."""
    out = io.BytesIO()
    packing.pack(files, out)
    return out.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of class folders, with what desktops leave lying about."""
    for name in ("dog/1.png", "cat/2.png", "cat/10.png", "cat/.DS_Store", ".git/config"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "images"


def test_a_folder_becomes_the_same_zip_at_any_time(images: Path) -> None:
    """Times and modes on the disk do not count; hidden files stay at home."""
    first = packed(packing.folder(images))
    os.utime(images / "dog/1.png", (0, 1_000_000_000))
    (images / "cat/2.png").chmod(0o600)
    assert packed(packing.folder(images)) == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.namelist() == ["cat/10.png", "cat/2.png", "dog/1.png"]
        assert archive.read("cat/2.png") == b"cat/2.png"


def test_links_to_folders_are_not_followed(images: Path) -> None:
    """A folder that links to itself ends all the same."""
    (images / "cat/loop").symlink_to(images)
    assert len(packing.folder(images)) == 3


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "..\\a", "a\nb", "a\x00", "ä" * 200])
def test_names_with_a_meaning_are_unfit(name: str) -> None:
    """Only a bare, printable, short name passes."""
    with pytest.raises(packing.UnfitNameError):
        packing.flat(name)


def test_ordinary_names_pass() -> None:
    """Names that exporters give."""
    for name in ("model.onnx", "model.onnx.data", "onnx__MatMul_12", "weights (1).bin", "größe.bin"):
        assert packing.flat(name) == name
