"""The real thing for tests of promises: the application in process, and real workers as processes of their own."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from fastapi.testclient import TestClient

from service import broker, local
from service.app import create_app
from service.settings import Settings
from tests.conftest import HERE, use_broker, wait_until

LEASE = 2.0  # seconds; so that tests of lost workers need not wait half a minute
EVALUATIONS = "/v1/evaluations"


@dataclass
class Stack:
    """A running service. `worker()` starts one more worker; all end with the block."""

    settings: Settings
    client: TestClient
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def worker(self, queue: str = broker.EVALUATIONS) -> subprocess.Popen[bytes]:
        """Start a worker, in a process group of its own."""
        environment = os.environ | {
            f"LESION_{name.upper()}": str(value)
            for name, value in self.settings.model_dump().items()
            if value is not None
        }
        command = local.worker_command(queue)
        log = (self.settings.data / f"worker-{len(self.workers)}.log").open("wb")
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self.workers.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """kill -9 the worker's main process, as the kernel's OOM killer would."""
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def submit(self, model: Path, dataset: Path, config: str = "{}") -> Any:
        """POST both files; the answer."""
        with model.open("rb") as model_file, dataset.open("rb") as dataset_file:
            files = {"model": model_file, "dataset": dataset_file}
            return self.client.post(EVALUATIONS, files=files, data={"config": config})

    def get(self, evaluation: str, wait: float = 0) -> Any:
        """The evaluation's body."""
        return self.client.get(f"{EVALUATIONS}/{evaluation}", params={"wait": wait}).json()

    def ended(self, evaluation: str, seconds: float = 120) -> Any:
        """The evaluation's body once it has ended."""
        wait_until(lambda: self.get(evaluation, wait=5)["state"] in ("succeeded", "failed"), "the end", seconds)
        return self.get(evaluation)


@contextmanager
def running(folder: Path, database: str, valkey: str, **changes: Any) -> Iterator[Stack]:
    """The service without workers on an empty folder, an empty database and a shared, emptied broker."""
    changes.setdefault("inspect_wait", 60)  # on a busy machine an inspection takes long, and a 202 is no verdict
    changes.setdefault("sweep_seconds", 0.25)
    redis.Redis(unix_socket_path=valkey.removeprefix("redis+socket://")).flushall()
    settings = Settings(
        data=folder,
        database_url=database,
        broker_url=valkey,
        lease_seconds=LEASE,
        threads=1,
        **changes,
    )
    use_broker(valkey)
    with TestClient(create_app(settings), HERE, raise_server_exceptions=False) as client:
        stack = Stack(settings, client)
        try:
            yield stack
        finally:
            for worker in stack.workers:
                if worker.poll() is None:
                    os.killpg(worker.pid, signal.SIGKILL)
                    worker.wait()
