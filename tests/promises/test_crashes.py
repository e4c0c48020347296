"""A child that dies is started again; a chunk at which it always dies ends the evaluation, and the worker goes on."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from service.examples import paths
from tests.conftest import wait_until, words
from tests.stack import Stack, running

LONG = '{"precision": 0.002, "limits": {"trials": 100000000}}'


@pytest.fixture
def stack(tmp_path: Path, valkey: str) -> Iterator[Stack]:
    """One worker for evaluations; uploads are not inspected."""
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey, inspect_wait=0) as stack:
        stack.worker()
        yield stack


def child(stack: Stack) -> psutil.Process | None:
    """The process that holds the model now."""
    below = psutil.Process(stack.workers[0].pid).children(recursive=True)
    found = [process for process in below if "worker.sandbox.child" in " ".join(words(process))]
    return found[0] if found else None


def kill_child(stack: Stack) -> None:
    """Wait for a child and kill -9 it; none comes any more once the evaluation has failed."""
    found: list[psutil.Process] = []

    def look() -> bool:
        with suppress(psutil.NoSuchProcess):
            process = child(stack)
            found.extend([process] if process is not None else [])
        return bool(found) or stack.client.get("/v1/evaluations?state=failed").json()["data"] != []

    wait_until(look, "a child, or the end", 90)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(10)


def test_a_killed_child_costs_nothing_but_time(stack: Stack) -> None:
    """kill -9 of the child in the middle: the evaluation goes on to its end."""
    evaluation = stack.submit(*paths("learned"), '{"precision": 0.01}').json()["id"]
    wait_until(lambda: stack.get(evaluation)["progress"]["trials"] > 0, "the first trials", 90)
    kill_child(stack)
    assert stack.ended(evaluation)["state"] == "succeeded"


def test_a_chunk_that_always_crashes_fails_the_evaluation(stack: Stack) -> None:
    """Three crashes at the same chunk: `model-crashed`. The next evaluation on the same worker succeeds."""
    evaluation = stack.submit(*paths("learned"), LONG).json()["id"]
    for _ in range(50):  # more often than should be needed
        if stack.get(evaluation)["state"] == "failed":
            break
        kill_child(stack)
    ended = stack.ended(evaluation)
    assert (ended["state"], ended["problem"]["type"]) == ("failed", "/problems/model-crashed")
    good = stack.submit(*paths("memorised"), '{"precision": 0.1}').json()["id"]
    assert stack.ended(good)["state"] == "succeeded"


def test_cancelling_ends_the_child(stack: Stack) -> None:
    """A cancelled evaluation's child is gone within seconds."""
    evaluation = stack.submit(*paths("learned"), LONG).json()["id"]
    wait_until(lambda: stack.get(evaluation)["progress"]["trials"] > 0, "the first trials", 90)
    assert stack.client.delete(f"/v1/evaluations/{evaluation}").json()["state"] == "cancelled"
    wait_until(lambda: child(stack) is None, "no child left")
