"""A file whose inspection kills its worker every time is refused, and the worker goes on."""

from contextlib import suppress
from pathlib import Path

import psutil

from service import broker
from service.examples import paths
from tests.conftest import wait_until, words
from tests.stack import Stack, running


def kill_inspectors(stack: Stack) -> set[int]:
    """kill -9 the pool processes that inspect now, as the kernel does when memory is short. Which they were."""
    killed = set()
    for pool in psutil.Process(stack.workers[0].pid).children():
        with suppress(psutil.NoSuchProcess):
            if any("worker.sandbox.child" in " ".join(words(process)) for process in pool.children(recursive=True)):
                pool.kill()
                killed.add(pool.pid)
    return killed


def test_an_upload_that_kills_its_workers_is_refused(tmp_path: Path, valkey: str) -> None:
    """Three inspectors die over it: it is refused as `model-crashed`. The next upload is inspected as ever."""
    poison, sound = paths("learned")
    url = f"sqlite:///{tmp_path}/lesion.db"
    with running(tmp_path, url, valkey, inspect_wait=0) as stack:
        model = stack.client.post("/v1/models", content=poison.read_bytes()).json()["id"]
        stack.worker(broker.INSPECTIONS)
        killed: set[int] = set()

        def state() -> str:
            killed.update(kill_inspectors(stack))
            return str(stack.client.get(f"/v1/models/{model}").json()["state"])

        wait_until(lambda: state() != "received", "a verdict", 150)
        shown = stack.client.get(f"/v1/models/{model}").json()
        assert (shown["state"], shown["problem"]["type"]) == ("refused", "/problems/model-crashed")
        assert len(killed) == 3
        dataset = stack.client.post("/v1/datasets", content=sound.read_bytes()).json()["id"]
        found = f"/v1/datasets/{dataset}"
        wait_until(lambda: stack.client.get(found).json()["state"] == "ready", "the next upload is inspected", 90)
