"""The same evaluation gives the same bytes, whoever computes it and whatever happens to them."""

from pathlib import Path
from typing import Any

import pytest

from service import broker
from service.examples import paths
from tests.conftest import wait_until
from tests.stack import Stack, running

CONFIG = '{"precision": 0.005, "seed": 11, "limits": {"workers": %d}}'


def submit(stack: Stack, workers: int) -> str:
    """Queue the evaluation that all tests here compute, for so many workers."""
    answer = stack.submit(*paths("learned"), CONFIG % workers)
    assert answer.status_code == 202, answer.text
    evaluation: str = answer.json()["id"]
    return evaluation


def outcome(body: dict[str, Any]) -> dict[str, Any]:
    """A result, but for the seconds it took."""
    assert body["state"] == "succeeded", body["problem"]
    result: dict[str, Any] = body["result"]
    result["cost"].pop("seconds")
    return result | {"digest": body["result_digest"]}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> dict[str, Any]:
    """What one worker finds when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with running(folder, f"sqlite:///{folder}/lesion.db", valkey, inspect_wait=0) as stack:
        stack.worker()
        return outcome(stack.ended(submit(stack, 1)))


def test_three_workers_find_the_same(undisturbed: dict[str, Any], database: str, tmp_path: Path, valkey: str) -> None:
    """Three workers that share an evaluation by chunks store the result that one alone stores."""
    with running(tmp_path, database, valkey, inspect_wait=0) as stack:
        for _ in range(3):
            stack.worker()
        evaluation = submit(stack, 3)
        assert outcome(stack.ended(evaluation)) == undisturbed
        assert workers_that_computed(stack, evaluation) >= 2


def workers_that_computed(stack: Stack, evaluation: str) -> int:
    """How many different claims stored chunks."""
    from sqlalchemy import text

    from service.store.session import reading

    backends: Any = stack.client.app.state.backends  # type: ignore[attr-defined]
    with reading(backends.engine) as db:
        query = text("SELECT count(DISTINCT epoch) FROM chunks WHERE evaluation = :id AND payload IS NOT NULL")
        return int(db.execute(query, {"id": evaluation}).scalar_one())


def test_a_killed_worker_changes_nothing(
    undisturbed: dict[str, Any], database: str, tmp_path: Path, valkey: str
) -> None:
    """kill -9 half way: another worker goes on where the first one was, to the same bytes."""
    with running(tmp_path, database, valkey, inspect_wait=0) as stack:
        first = stack.worker()
        evaluation = submit(stack, 1)
        wait_until(lambda: stack.get(evaluation)["progress"]["trials"] >= 4 * 512, "some chunks", 90)
        stack.kill(first)
        before = stack.get(evaluation)
        assert before["state"] == "running"
        stack.worker()
        assert outcome(stack.ended(evaluation)) == undisturbed
        assert workers_that_computed(stack, evaluation) == 2


def test_inspection_does_not_wait_for_evaluations(tmp_path: Path, valkey: str) -> None:
    """While a worker is busy with an evaluation, an upload is inspected and answered at once."""
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey) as stack:
        stack.worker()
        stack.worker(broker.INSPECTIONS)
        model, dataset = paths("learned")
        busy = stack.submit(model, dataset, '{"precision": 0.001}').json()["id"]
        wait_until(lambda: stack.get(busy)["state"] == "running", "a busy worker")
        upload = stack.client.post("/v1/models", content=paths("memorised")[0].read_bytes())
        assert upload.status_code == 201
        assert upload.json()["found"]["output"]["classes"] == 10
        assert stack.client.delete(f"/v1/evaluations/{busy}").json()["state"] == "cancelled"
