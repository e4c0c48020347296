"""The same code runs on PostgreSQL, Valkey and S3: from upload to score, with real servers."""

import os
from pathlib import Path
from typing import Any

import pytest

from service import broker
from service.examples import paths
from tests.stack import running

CONFIG = '{"precision": 0.05, "seed": 5}'


def score(folder: Path, database: str, valkey: str, **changes: Any) -> tuple[Any, list[str]]:
    """Score a shipped example; its result's digest, and the local files that are left."""
    with running(folder, database, valkey, **changes) as stack:
        stack.worker(broker.INSPECTIONS)
        stack.worker(broker.EVALUATIONS)
        answer = stack.submit(*paths("learned"), CONFIG)
        assert answer.status_code == 202, answer.text
        ended = stack.ended(answer.json()["id"])
        assert ended["state"] == "succeeded", ended["problem"]
        blobs = [path.name for path in (folder / "blobs").rglob("*") if path.is_file()]
        return ended["result_digest"], blobs


def test_postgresql_and_s3_give_what_sqlite_and_disk_give(
    tmp_path: Path, postgresql: str, s3: str, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result's bytes do not depend on where rows and uploads lie; with S3, none lies on disk."""
    here, _ = score(tmp_path / "here", f"sqlite:///{tmp_path}/here/lesion.db", valkey)
    assert os.environ["AWS_ENDPOINT"]
    there, blobs = score(tmp_path / "there", postgresql, valkey, blobs_url=s3)
    assert there == here
    assert blobs == []
