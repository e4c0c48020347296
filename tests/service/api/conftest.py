"""The real application in process, on SQLite, without workers: tests play the worker by writing the rows it would."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from service import schemas
from service.api.deps import Backends
from service.app import create_app
from service.settings import Settings
from service.store import artifacts, evaluations
from service.store.session import transaction
from tests.conftest import HERE, use_broker
from tests.service import answers

MODEL_FOUND: dict[str, Any] = {
    "format": "onnx",
    "producer": "pytorch 2.13.0",
    "opset": 18,
    "parameters": 67,
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
    "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 3]}],
    "output": {
        "name": "logits",
        "shape": ["batch", 3],
        "classes": 3,
        "kind": "classes",
        "probabilities": False,
        "labels": None,
    },
    "batch": None,
    "sites": [{"site": "fc1", "op": "Gemm", "units": 8, "convolutional": False}],
    "cost": {"multiply_adds": 56, "milliseconds": 0.01},
    "warnings": [],
    "converted": None,
    "versions": {"onnxruntime": "1.32.0"},
}
DATASET_FOUND: dict[str, Any] = {
    "format": "npz",
    "examples": 10,
    "inputs": [{"name": "x", "dtype": "float32", "shape": [10, 4]}],
    "labels": {"min": 0, "max": 2, "distinct": 3, "most_frequent": 4, "names": None},
    "columns": ["x", "y"],
    "splits": None,
    "warnings": [],
}


@dataclass(frozen=True)
class Api:
    """The application's client, and what a worker would do."""

    client: TestClient
    settings: Settings

    @property
    def engine(self) -> Engine:
        backends: Backends = self.client.app.state.backends  # type: ignore[attr-defined]
        return backends.engine

    def inspect(self, model: dict[str, Any] = MODEL_FOUND, dataset: dict[str, Any] = DATASET_FOUND) -> None:
        """Accept all uploads that nobody has inspected."""
        with transaction(self.engine) as db:
            for tenant, kind, digest in artifacts.uninspected(db, -1, 100):
                artifacts.accept(db, tenant, kind, digest, model if kind == "model" else dataset)

    def uploaded(self) -> dict[str, str]:
        """Digests of an inspected model and dataset, as a request names them."""
        asked: dict[str, str] = {
            kind: self.client.post(f"/v1/{kind}s", content=kind.encode()).json()["id"] for kind in artifacts.KINDS
        }
        self.inspect()
        return asked

    def finish(self, evaluation: str) -> schemas.Result:
        """Succeed with some result."""
        result = answers.result()
        result.cost.seconds = None  # never stored: a rerun changes it
        with transaction(self.engine) as db:
            claim = evaluations.claim(db, evaluation, "worker", 30)
            assert claim is not None
            evaluations.finish(db, claim, schemas.canonical(result.model_dump(mode="json")), 0)
        return result


@pytest.fixture
def api(tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("LESION_BROKER_URL", valkey)
    use_broker(valkey)
    settings = Settings(data=tmp_path, inspect_wait=0, max_model_bytes=1000, max_dataset_bytes=1000)
    with TestClient(create_app(settings), HERE, raise_server_exceptions=False) as client:
        yield Api(client, settings)
