"""A service that nobody computes for: tests of what callers see play the worker themselves."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service import connections, problems, schemas
from service.app import create_app
from service.settings import Settings
from service.store import evaluations, listing
from service.store.session import connect, reading, transaction
from service.store.tenants import DEFAULT
from tests.conftest import use_broker, wait_until

LESION = str(Path(sys.executable).with_name("lesion"))


def lesion_apart(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, for what must be alone on its stdout."""
    return subprocess.run([LESION, *map(str, arguments)], capture_output=True, text=True, timeout=150)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A service over a folder of its own, without broker or worker: hints get lost, which it puts up with."""
    nobody = f"redis+socket://{tmp_path}/nobody.sock"
    monkeypatch.setenv("LESION_BROKER_URL", nobody)
    use_broker(nobody)
    return Settings(data=tmp_path / "data", inspect_wait=0)


@dataclass
class Server:
    """The real API behind a real socket, and the paths it was asked for."""

    api: FastAPI
    address: str
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope.get("path", ""))
        await self.api(scope, receive, send)


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    """The real API, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    api = Server(create_app(settings), f"http://127.0.0.1:{listening.getsockname()[1]}")
    running = uvicorn.Server(connections.config(api, api.api.state, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, args=([listening],))
    thread.start()
    wait_until(lambda: running.started, "the API has started")
    yield api
    running.should_exit = True
    thread.join()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A model and a dataset that nobody inspects here."""
    model, dataset = tmp_path / "digits.onnx", tmp_path / "test.npz"
    model.write_bytes(np.random.default_rng(0).bytes(1000))
    dataset.write_bytes(np.random.default_rng(1).bytes(1000))
    return model, dataset


Finish = Callable[[schemas.Result | problems.Problem], threading.Thread]


@pytest.fixture
def worker(settings: Settings) -> Finish:
    """End the next evaluation that is queued with this result or problem, as a worker does."""

    def run(outcome: schemas.Result | problems.Problem) -> None:
        engine = connect(settings.database)

        def queued() -> list[str]:
            with reading(engine) as db:
                return [row.id for row in listing.page(db, DEFAULT, 1, None, "queued")]

        wait_until(queued, "an evaluation is queued")
        with transaction(engine) as db:
            claim = evaluations.claim(db, queued()[0], "test", 30) if queued() else None
        assert claim is not None
        with transaction(engine) as db:
            if isinstance(outcome, problems.Problem):
                evaluations.fail(db, claim, outcome)
            else:
                evaluations.finish(db, claim, outcome.model_dump_json(), 0)
        engine.dispose()

    def start(outcome: schemas.Result | problems.Problem) -> threading.Thread:
        thread = threading.Thread(target=run, args=(outcome,))
        thread.start()
        return thread

    return start
