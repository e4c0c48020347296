"""A full disk: uploads are refused with `insufficient-storage`, reads are served, and nothing has to be restarted."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.conftest import HERE, use_broker

MIB = 1024**2
Mount = Callable[[Path, int], Path]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts a small file system; only root may."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small file systems that this fills")
    mounted: list[Path] = []

    def mount(place: Path, size: int) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip(f"small file systems cannot be mounted here: {done.stderr.decode().strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Starts the API without broker or workers."""
    use_broker(f"redis+socket://{tmp_path}/nobody.sock")
    clients: list[TestClient] = []

    def start(**changes: str) -> TestClient:
        settings = Settings(data=tmp_path, inspect_wait=0, **changes)  # type: ignore[arg-type]
        client = TestClient(create_app(settings), HERE, raise_server_exceptions=False)
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


def kept(client: TestClient, content: bytes) -> bool:
    """Upload something; True if it is kept, False if there was no room. Anything else fails."""
    answer = client.post("/v1/models", content=content)
    if answer.status_code == 507:
        assert answer.json()["type"] == "/problems/insufficient-storage"
        return False
    assert answer.status_code == 202, answer.text
    return True


@pytest.mark.parametrize("part", ["scratch", "blobs"])
def test_uploads_find_no_room(part: str, tmp_path: Path, mount: Mount, start: Callable[..., TestClient]) -> None:
    """Where uploads are staged, or kept: 507, no half file, reads go on, and a smaller upload finds its place."""
    place = mount(tmp_path / part, MIB)
    client = start()
    assert kept(client, b"small")
    before = sorted(place.rglob("*"))
    for _ in range(3):
        assert not kept(client, os.urandom(2 * MIB))
        assert client.get("/v1/models").status_code == 200
    assert sorted(path for path in place.rglob("*") if path.is_file()) == [path for path in before if path.is_file()]
    assert list((tmp_path / "scratch" / "uploads").iterdir()) == []
    assert kept(client, os.urandom(MIB // 2))


def test_the_database_finds_no_room(tmp_path: Path, mount: Mount, start: Callable[..., TestClient]) -> None:
    """Where rows lie: 507 and nothing kept, reads go on, and there is room again once there is room again."""
    place = mount(tmp_path / "database", 4 * MIB)
    client = start(database_url=f"sqlite:///{place}/lesion.db")
    assert kept(client, b"small")
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:  # until there is no room
            file.write(bytes(4096))
    refused = [kept(client, os.urandom(16)) for _ in range(300)].count(False)
    assert refused > 0
    blobs = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 301 - refused
    assert client.get("/v1/models").status_code == 200
    filler.unlink()
    assert kept(client, b"small again")


def test_what_killed_uploads_left_is_swept(tmp_path: Path, start: Callable[..., TestClient]) -> None:
    """A file that a killed API process was writing is gone once one starts again."""
    left = tmp_path / "scratch" / "uploads" / "upload-of-a-dead-process"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    start()
    assert not left.exists()
