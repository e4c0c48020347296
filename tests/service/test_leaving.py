"""An API process that is told to stop answers those who wait, as they can be answered, and never with a fault."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.store.session import connect
from tests.conftest import wait_until
from tests.service.store.test_evaluations import new


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The API alone, as containers run it: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        handle = listening.fileno()
        environment = os.environ | {
            "LESION_DATA": str(tmp_path),
            "LESION_BROKER_URL": f"redis+socket://{tmp_path}/nobody.sock",
        }
        command = [sys.executable, "-P", "-m", "service.cli", "api", "--socket", str(handle)]
        process = subprocess.Popen(command, env=environment, pass_fds=[handle])
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        wait_until(lambda: httpx2.get(f"{address}/healthz", trust_env=False, timeout=60).is_success, "it answers")
        yield address, process
        process.kill()
        process.wait()


def test_who_waits_is_answered(api: tuple[str, "subprocess.Popen[bytes]"], tmp_path: Path) -> None:
    """SIGTERM during `?wait=60`: the evaluation as it is, 202, and the process ends with nothing left to say."""
    address, process = api
    engine = connect(f"sqlite:///{tmp_path}/lesion.db")
    evaluation = new(engine)
    engine.dispose()
    answers: list[Any] = []

    def wait() -> None:
        with httpx2.Client(trust_env=False, timeout=90) as client:
            answers.append(client.get(f"{address}/v1/evaluations/{evaluation}", params={"wait": 60}))

    def follow() -> None:
        with httpx2.Client(trust_env=False, timeout=90) as client:
            answers.append(client.get(f"{address}/v1/evaluations/{evaluation}/events"))

    callers = [threading.Thread(target=wait), threading.Thread(target=follow)]
    for caller in callers:
        caller.start()
    # Both are under way once the process holds their connections; how many it has, the kernel knows.
    wait_until(lambda: established(process.pid) >= 2, "both are connected")
    for _ in range(3):  # what is asked later is answered later: by then, both wait
        assert httpx2.get(f"{address}/readyz", trust_env=False, timeout=60).is_success
    process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join()
    assert sorted(answer.status_code for answer in answers) == [200, 202]
    assert all("ev_" in answer.text for answer in answers)
    assert process.wait(60) in (0, -signal.SIGTERM)


def established(pid: int) -> int:
    """TCP connections of a process that somebody is at the other end of."""
    import psutil

    return sum(each.status == psutil.CONN_ESTABLISHED for each in psutil.Process(pid).net_connections("tcp"))
