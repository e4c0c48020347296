"""Blobs on disk and on S3 behave alike: whole or not at all, gone when deleted."""

import os
import tempfile
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


def test_a_local_blob_survives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has the bytes before the blob has its name, and the name, in each folder, before `put` is done."""
    flushed: list[tuple[str, bool]] = []
    fsync = os.fsync
    name = DIGEST.removeprefix("sha256:")
    target = tmp_path / "blobs" / "models" / name[:2] / name

    def watched(descriptor: int) -> None:
        flushed.append((os.readlink(f"/proc/self/fd/{descriptor}"), target.exists()))
        fsync(descriptor)

    staged = tmp_path / "staged"
    staged.write_bytes(b"x")
    monkeypatch.setattr(os, "fsync", watched)
    open_blobs(f"file://{tmp_path}/blobs").put(DEFAULT, "model", DIGEST, staged)
    above = [target.parent, target.parent.parent, tmp_path / "blobs"]
    assert flushed == [(str(staged), False), *((str(folder), True) for folder in above)]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="wants a second file system")
def test_a_blob_may_come_from_another_file_system(tmp_path: Path) -> None:
    """Scratch on a disk of its own: the bytes are copied beside the place, and no half copy stays."""
    blobs = open_blobs(f"file://{tmp_path}/blobs")
    with tempfile.NamedTemporaryFile(dir="/dev/shm", delete=False) as staged:
        staged.write(b"x" * 10_000)
    blobs.put(DEFAULT, "model", DIGEST, Path(staged.name))
    assert not Path(staged.name).exists()
    assert blobs.fetch(DEFAULT, "model", DIGEST, tmp_path).stat().st_size == 10_000
    assert [blob.artifact for blob in blobs.listing()] == [(DEFAULT, "model", DIGEST)]
