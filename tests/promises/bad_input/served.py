"""A real `lesion api` behind a real socket, with a worker that inspects, and all that must be true after a refusal."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine, inspect, text

from service import broker, local, problems
from service.settings import Settings
from service.store.session import connect
from tests.conftest import wait_until

ROOT = Path(__file__).parents[3]
MIB = 1024**2
MODEL_LIMIT, DATASET_LIMIT = 2 * MIB, 4 * MIB
SECRET = "never-to-be-told-Zk3xQ"  # the broker's password
TABLES = ("artifacts", "evaluations", "idempotency_keys", "webhooks", "deliveries", "tenants", "keys")


@dataclass
class Served:
    """The service as callers have it. What was logged so far is looked at once."""

    settings: Settings
    address: str
    engine: Engine
    logs: list[Path]
    client: httpx2.Client
    states: dict[str, str] = field(default_factory=dict)  # what there is, by its state: see states.py
    _read: dict[Path, int] = field(default_factory=dict)

    def standing(self) -> dict[str, Any]:
        """All that the service keeps: how many rows, and which files."""
        known = [name for name in TABLES if inspect(self.engine).has_table(name)]
        with self.engine.connect() as connection:
            rows = {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() for name in known}
        places = [path for folder in ("blobs", "scratch") for path in (self.settings.data / folder).rglob("*")]
        return {**rows, "files": sorted(str(path) for path in places if path.is_file())}

    def uploaded(self, artifact: str, data: bytes) -> httpx2.Response:
        """The answer to an upload once it was inspected: a 202 on a busy machine, whose hint came late, is none."""
        answers: list[httpx2.Response] = []

        def decided() -> bool:
            answers.append(self.client.put(f"/v1/{artifact}s", content=data))
            return answers[-1].status_code != 202

        wait_until(decided, "the upload was inspected", 150)
        return answers[-1]

    def check_standing(self, before: dict[str, Any]) -> None:
        """All stands as before, at the latest in a while."""
        with suppress(pytest.fail.Exception):
            wait_until(lambda: self.standing() == before, "nothing is left", 20)
        assert self.standing() == before

    def sent(self, raw: bytes, seconds: float = 60) -> bytes:
        """All that is answered to these bytes, until the service hangs up or has answered once."""
        host, port = self.address.removeprefix("http://").split(":")
        came = b""
        with socket.create_connection((host, int(port)), timeout=seconds) as caller:
            try:
                caller.sendall(raw)
                while not _is_whole(came) and (data := caller.recv(65536)):
                    came += data
            except ConnectionError:  # it hung up while we were still sending
                pass
        return came

    def check_told(self, *told: str) -> None:
        """No answer and no new line of a log may tell secrets or where things lie here; and nothing crashed."""
        logged = [self._new(path) for path in self.logs]
        for said in (*told, *logged):
            for word in (SECRET, str(self.settings.data), sys.prefix, str(ROOT), "Traceback", "PRIVATE KEY"):
                assert word not in said, said[-3000:]
            assert not re.search(r"request\.failed|site-packages|/python3", said), said[-3000:]

    def _new(self, path: Path) -> str:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            new = file.read()
            self._read[path] = file.tell()
        return new.decode(errors="replace")


def _is_whole(came: bytes) -> bool:
    """Has a complete answer come, of a length that its head says?"""
    head, found, body = came.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(found and length and len(body) >= int(length[1]))


def check_problem(answer: httpx2.Response, status: int, kind: str, says: str) -> dict[str, Any]:
    """A problem of this type, with its documented status and a detail that has this word; its body."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == problems.MEDIA, body
    assert (answer.status_code, body["type"], body["status"]) == (status, f"/problems/{kind}", status), body
    assert problems.BY_TYPE[kind].status == status
    assert says in body["detail"], body
    return body


@contextmanager
def serving(folder: Path, valkey: Path) -> Iterator[Served]:
    """The API as `lesion api` runs it, and an inspecting worker, each a process of its own, logging to a file."""
    settings = Settings(
        data=folder,
        broker_url=f"redis+socket://:{SECRET}@{valkey}",
        max_model_bytes=MODEL_LIMIT,
        max_dataset_bytes=DATASET_LIMIT,
        child_memory_bytes=1024 * MIB,
        inspect_wait=90,  # on a busy machine an inspection takes long, and a 202 is no verdict
        sweep_seconds=1,
        threads=1,
    )
    # As root, Celery warns at its start, with the path of its own source.
    environment = (
        os.environ
        | {"PYTHONWARNINGS": "ignore"}
        | {f"LESION_{name.upper()}": str(value) for name, value in settings.model_dump().items() if value is not None}
    )
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    api = [sys.executable, "-P", "-m", "service.cli", "api", "--socket", str(listening.fileno())]
    logs = [folder / "api.log", folder / "inspect.log"]
    running: list[subprocess.Popen[bytes]] = []
    for command, log in zip((api, local.worker_command(broker.INSPECTIONS)), logs, strict=True):
        with log.open("wb") as out:
            running.append(
                subprocess.Popen(
                    command, env=environment, cwd=ROOT, stdout=out, stderr=out, pass_fds=[listening.fileno()]
                )
            )
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    engine = connect(settings.database)
    try:
        with listening, httpx2.Client(base_url=address, timeout=150, trust_env=False) as client:
            wait_until(lambda: _answers(client) or running[0].poll() is not None, "the API answers", 170)
            assert running[0].poll() is None, logs[0].read_text()[-3000:]
            yield Served(settings, address, engine, logs, client)
    finally:
        engine.dispose()
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx2.TransportError:
        return False
