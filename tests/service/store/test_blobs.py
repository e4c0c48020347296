"""Blobs on disk and on S3 behave alike: whole or not at all, gone when deleted."""

from pathlib import Path

import pytest

from service.store.blobs import Blobs, open_blobs
from service.store.tenants import DEFAULT

DIGEST = "sha256:" + "c" * 64


@pytest.fixture(params=["file", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    url = f"file://{tmp_path}/blobs" if request.param == "file" else request.getfixturevalue("s3")
    return open_blobs(url)


def test_a_blob_comes_back_as_it_was(blobs: Blobs, tmp_path: Path) -> None:
    """Bytes of more than one part survive; the staging file is taken over; kinds are kept apart."""
    content = bytes(range(256)) * 70_000  # 18 MB: three parts
    staged = tmp_path / "staged"
    staged.write_bytes(content)
    blobs.put(DEFAULT, "model", DIGEST, staged)
    assert not staged.exists()
    assert blobs.fetch(DEFAULT, "model", DIGEST, tmp_path).read_bytes() == content
    with pytest.raises(FileNotFoundError):
        blobs.fetch(DEFAULT, "dataset", DIGEST, tmp_path)


def test_a_deleted_blob_is_gone(blobs: Blobs, tmp_path: Path) -> None:
    """Deleting works, and works again when there is nothing left to delete."""
    staged = tmp_path / "staged"
    staged.write_bytes(b"x")
    blobs.put(DEFAULT, "dataset", DIGEST, staged)
    blobs.delete(DEFAULT, "dataset", DIGEST)
    blobs.delete(DEFAULT, "dataset", DIGEST)
    with pytest.raises(FileNotFoundError):
        blobs.fetch(DEFAULT, "dataset", DIGEST, tmp_path)


def test_reachable_asks_the_store(blobs: Blobs) -> None:
    """The health check passes where the store answers."""
    blobs.reachable()
