"""A service that nobody computes for: tests of what callers see play the worker themselves."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service import connections
from service.app import create_app
from service.settings import Settings
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
    running = uvicorn.Server(connections.config(api, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, args=([listening],))
    thread.start()
    wait_until(lambda: running.started, "the API has started")
    yield api
    running.should_exit = True
    thread.join()
