"""What kill -9 leaves is found and removed, and nothing that anybody still needs; on both databases and both stores."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service import orphans
from service.api import staging
from service.api.staging import Allowance, StagingFile
from service.settings import Settings
from service.store import artifacts
from service.store.blobs import Blobs, open_blobs
from service.store.session import clock, reading, transaction
from service.store.tables import ArtifactRow
from service.store.tenants import DEFAULT
from tests.conftest import wait_until
from tests.service.store.test_races import waits
from tests.service.upload_killed import POINTS

CONTENT = b"content"
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MODEL = (DEFAULT, "model", DIGEST)


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    return Settings(data=tmp_path, database_url=database)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "file":
        return f"file://{tmp_path}/blobs"
    return f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}"  # the bucket is that of all tests


@pytest.fixture
def blobs(place: str) -> Blobs:
    return open_blobs(place)


def sweep(engine: Engine, blobs: Blobs, settings: Settings) -> dict[str, int]:
    return orphans.run_once(engine, blobs, settings, age=0)


def held(blobs: Blobs) -> list[object]:
    return [blob.artifact for blob in blobs.listing()]


def store(engine: Engine, blobs: Blobs, tmp_path: Path, content: bytes = CONTENT) -> str:
    """An upload, whole."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    staged = tmp_path / "staged"
    staged.write_bytes(content)
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, "model", digest, len(content))
        blobs.put(DEFAULT, "model", digest, staged)
    return digest


@pytest.mark.parametrize("point", POINTS)
def test_kill_9_in_an_upload_leaves_nothing_for_long(
    engine: Engine, database: str, blobs: Blobs, place: str, settings: Settings, point: str, tmp_path: Path
) -> None:
    """Wherever it strikes: no half upload is ever seen, what is left is swept, and sending it again works."""
    command = [sys.executable, "-m", "tests.service.upload_killed", point, database, place, str(settings.data)]
    killed = subprocess.run(command, capture_output=True, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with reading(engine) as db:
        assert (artifacts.find(db, *MODEL) is not None) is (point == "committed")  # type: ignore[arg-type]
    gone = sweep(engine, blobs, settings)
    assert gone["staged"] == (0 if point in ("moved", "committed") else 1)
    assert gone["blobs"] == (1 if point == "moved" else 0)
    assert list((settings.scratch / "uploads").iterdir()) == []
    assert held(blobs) == ([MODEL] if point == "committed" else [])
    store(engine, blobs, tmp_path)
    assert sweep(engine, blobs, settings) == {"staged": 0, "blobs": 0, "lost": 0}
    assert held(blobs) == [MODEL]


def test_staging_files_of_the_living_stay(tmp_path: Path) -> None:
    """An upload under way is not swept, however long it lasts; one that was broken off is."""
    with StagingFile(tmp_path, Allowance(1000)) as file:
        file.write(CONTENT)
        assert staging.sweep(tmp_path) == 0
        file.done()
        assert staging.sweep(tmp_path) == 0
        assert file.path.exists()
    (tmp_path / "upload-dead").write_bytes(CONTENT)
    assert staging.sweep(tmp_path) == 1


def test_half_copies_are_swept(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    """A copy between file systems that was broken off is removed, once nobody has written to it for long."""
    blobs = open_blobs(f"file://{tmp_path}/blobs")
    half = tmp_path / "blobs" / "models" / "ab" / ("ab" * 32 + ".part")
    half.parent.mkdir(parents=True)
    half.write_bytes(b"hal")
    orphans.run_once(engine, blobs, settings)
    assert half.exists()
    os.utime(half, (1, 1))
    assert orphans.run_once(engine, blobs, settings)["blobs"] == 1
    assert not half.exists()


def test_strange_files_in_the_store_are_left_alone(engine: Engine, blobs: Blobs, settings: Settings) -> None:
    """A store may be shared, or hold an operator's notes: only what is named like a blob of ours is touched."""
    import obstore

    for name in ("notes.txt", "models/readme", "models/ab/cdef", "tenants/x/other/ab/" + "a" * 64):
        obstore.put(blobs.store, name, b"mine")
    assert sweep(engine, blobs, settings)["blobs"] == 0


def test_an_upload_under_way_is_never_raced(engine: Engine, blobs: Blobs, settings: Settings, tmp_path: Path) -> None:
    """The bytes are there, the row is not committed yet: the sweep waits for the row, and finds it needed."""
    staged = tmp_path / "staged"
    staged.write_bytes(CONTENT)
    swept: list[dict[str, int]] = []
    sweeping = threading.Thread(target=lambda: swept.append(sweep(engine, blobs, settings)))
    with transaction(engine) as db:
        artifacts.receive(db, *MODEL, 7)  # type: ignore[arg-type]
        blobs.put(*MODEL, staged)
        sweeping.start()
        if engine.dialect.name == "postgresql":
            wait_until(lambda: waits(engine), "the sweep waits at the row")
    sweeping.join()
    assert swept == [{"staged": 0, "blobs": 0, "lost": 0}]
    assert held(blobs) == [MODEL]


def test_an_upload_waits_for_the_sweep(engine: Engine, blobs: Blobs, tmp_path: Path) -> None:
    """The other way round: while orphaned bytes are being deleted, the same bytes come in, and are there then."""
    staged = tmp_path / "orphan"
    staged.write_bytes(CONTENT)
    blobs.put(*MODEL, staged)
    uploading = threading.Thread(target=store, args=(engine, blobs, tmp_path))
    with transaction(engine) as db:
        assert artifacts.seize(db, *MODEL)  # type: ignore[arg-type]
        uploading.start()
        if engine.dialect.name == "postgresql":
            wait_until(lambda: waits(engine), "the upload waits at the place")
        blobs.delete(*MODEL)
        artifacts.bury(db, *MODEL)  # type: ignore[arg-type]
    uploading.join()
    with reading(engine) as db:
        assert artifacts.holds(db, *MODEL)  # type: ignore[arg-type]
    assert held(blobs) == [MODEL]


def test_rows_without_bytes_go_and_come_back(engine: Engine, blobs: Blobs, settings: Settings, tmp_path: Path) -> None:
    """A row whose bytes were lost is no promise that can be kept: it goes, and the next upload brings both back."""
    store(engine, blobs, tmp_path)
    others = [store(engine, blobs, tmp_path, f"other {number}".encode()) for number in range(2)]
    blobs.delete(*MODEL)
    with transaction(engine) as db:
        db.execute(update(ArtifactRow).values(created_at=clock() - 60))
    assert sweep(engine, blobs, settings)["lost"] == 1
    with reading(engine) as db:
        assert artifacts.find(db, *MODEL) is None  # type: ignore[arg-type]
        assert all(artifacts.find(db, DEFAULT, "model", digest) is not None for digest in others)
    store(engine, blobs, tmp_path)
    assert sweep(engine, blobs, settings) == {"staged": 0, "blobs": 0, "lost": 0}


def test_a_store_that_is_away_costs_nothing(engine: Engine, blobs: Blobs, settings: Settings, tmp_path: Path) -> None:
    """A folder that is not mounted looks like a store that lost everything: no row is touched."""
    digests = [store(engine, blobs, tmp_path, f"one {number}".encode()) for number in range(3)]
    for digest in digests:
        blobs.delete(DEFAULT, "model", digest)
    with transaction(engine) as db:
        db.execute(update(ArtifactRow).values(created_at=clock() - 60))
    assert sweep(engine, blobs, settings)["lost"] == 0
    with reading(engine) as db:
        assert all(artifacts.find(db, DEFAULT, "model", digest) is not None for digest in digests)
