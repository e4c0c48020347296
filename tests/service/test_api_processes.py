"""Several API processes on one port: one address, one set of figures, and none left when they are told to stop."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import wait_until

START = 60.0


@dataclass
class Api:
    """`lesion api` with two processes."""

    process: psutil.Process
    url: str

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        children = self.process.children(recursive=True)
        return [each for each in children if each.is_running() and "--socket" in each.cmdline()]

    def get(self, path: str) -> httpx2.Response:
        """Over a connection of its own, so that either may answer."""
        return httpx2.get(self.url + path, timeout=30, trust_env=False)

    def answers(self) -> bool:
        try:
            return self.get("/healthz").is_success
        except httpx2.TransportError:
            return False


@pytest.fixture
def api(tmp_path: Path, valkey: str) -> Iterator[Api]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"DATA": tmp_path, "PORT": port, "API_PROCESSES": 2, "BROKER_URL": valkey}
    environment = os.environ | {f"LESION_{name}": str(value) for name, value in settings.items()}
    with (tmp_path / "api.log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-P", "-m", "service.cli", "api"], env=environment, stdout=log, stderr=log
        )
    running = Api(psutil.Process(started.pid), f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: running.answers() and len(running.workers) == 2, "both run", START)
        yield running
    finally:
        started.kill()
        started.wait()


def test_either_tells_what_both_counted(api: Api) -> None:
    """A scrape reaches one of them, and has the requests of both; together they are as many as were sent."""
    for _ in range(40):
        assert api.get("/v1/evaluations/none").status_code == 404
    for _ in range(4):
        assert requests(api)["/v1/evaluations/{id}"] == 40


def test_one_that_dies_is_started_again(api: Api) -> None:
    """kill -9 of one costs nothing but its own connections; another one takes its place."""
    victim = api.workers[0]
    victim.kill()
    for _ in range(10):
        assert api.get("/readyz").is_success
    wait_until(lambda: len({each.pid for each in api.workers} - {victim.pid}) == 2, "there are two again", START)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_together(api: Api, number: signal.Signals) -> None:
    """However the parent ends, nothing is left that listens."""
    workers = api.workers
    api.process.send_signal(number)
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert len(gone) == 2, alive
    assert not api.answers()


def requests(api: Api) -> dict[str, float]:
    """Requests by route, as one scrape tells."""
    families = text_string_to_metric_families(api.get("/metrics").text)
    [family] = [each for each in families if each.name == "lesion_http_requests"]
    return {each.labels["route"]: each.value for each in family.samples}
