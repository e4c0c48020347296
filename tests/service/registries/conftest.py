"""A real MLflow server, started once a test process, and models registered in it as their owners register them."""

import os
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import wait_until
from tests.service.conftest import LESION

TELL_NOBODY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
# As docs/mlflow.md says for a receiver in the same network.
NEARBY = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}


@pytest.fixture(scope="session")
def mlflow_server() -> Iterator[str]:
    """The address of MLflow's own server, on a database and an artifact store of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="lesion-mlflow-")
    command = [sys.executable, "-P", "-W", "ignore", "-m", "mlflow", "server", "--host", "127.0.0.1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", f"{folder}/artifacts"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_WEBHOOK_CACHE_TTL": "1"}
    with (Path(folder) / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "1", *stores],
            env=os.environ | TELL_NOBODY | NEARBY | quiet,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: _answers(address) or server.poll() is not None, "MLflow answers", 150)
    assert server.poll() is None, (Path(folder) / "log").read_text()[-2000:]
    yield address
    os.killpg(server.pid, 15)
    server.wait(20)


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health", timeout=2, trust_env=False).is_success
    except httpx2.TransportError:
        return False


@pytest.fixture
def mlflow(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's library, speaking to that server."""
    for name, value in TELL_NOBODY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow's own imports warn of is not ours
        import mlflow
        import mlflow.onnx
    mlflow.set_tracking_uri(mlflow_server)
    return mlflow


Register = Callable[[str, Path], str]


@pytest.fixture
def register(mlflow: Any) -> Register:
    """Register an ONNX file under a name, as MLflow's documentation does; its version."""

    def register(name: str, file: Path) -> str:
        import onnx

        with mlflow.start_run():
            logged = mlflow.onnx.log_model(onnx.load(str(file)), name="model", registered_model_name=name)
        return str(logged.registered_model_version)

    return register


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The address of a whole Lesion, as `lesion serve` starts it."""
    folder = tempfile.mkdtemp(prefix="lesion-mlflow-service-")
    command = [LESION, "serve", "--port", "0", "--data", f"{folder}/data"]
    quiet = os.environ | {"LESION_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(command, env=quiet, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    yield running.stdout.readline().split()[-1]
    running.terminate()
    running.communicate(timeout=30)
