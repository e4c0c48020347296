"""Bodies of requests, JSON and multipart, put to the real application in this process, over a database of its own."""

import json
import logging
import os
from pathlib import Path
from typing import Any
from unittest import mock

import structlog
from fastapi.testclient import TestClient

from benchmarks.fuzz import seeds
from benchmarks.fuzz.readers import Reader
from benchmarks.fuzz.seeds import Seed
from service import problems
from service.api.deps import Backends
from service.app import create_app
from service.settings import Settings
from service.store.artifacts import Kind
from service.store.tenants import DEFAULT
from worker import inspector
from worker.formats.refusals import Refused

CREATE = "/v1/evaluations"
HERE = "http://127.0.0.1"  # the open mode answers to no other name


class FaultError(Exception):
    """An answer that no caller should get."""


class Requests(Reader):
    """POST /v1/evaluations, after a model and a dataset were uploaded and inspected by the worker's own inspector."""

    MEDIA = "application/json"
    LIFE = 5000

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._surroundings = mock.patch.dict(
            os.environ,
            {"LESION_BROKER_URL": f"redis+socket://{folder}/nobody.sock"},  # hints get lost, which is borne
        )
        self._client: TestClient | None = None
        self._digests: dict[str, str] = {}

    def read(self, case: Seed) -> str:
        client = self._started()
        body = case.data
        for placeholder, digest in self._digests.items():
            body = body.replace(placeholder.encode(), digest.encode())
        answer = client.post(CREATE, content=body, headers={"Content-Type": self.MEDIA})
        return _judged(answer)

    def renew(self) -> None:
        """End the application: the next request gets a fresh one."""
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None
            self._surroundings.stop()
            logging.disable(logging.NOTSET)
        super().renew()

    def _started(self) -> TestClient:
        if self._client is None:
            self._surroundings.start()
            logging.disable(logging.ERROR)  # each lost hint would be told
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
            data = self.folder / f"data-{len(list(self.folder.iterdir()))}"
            settings = Settings(data=data, inspect_wait=0, sweep_seconds=3600)
            app = create_app(settings)
            self._client = TestClient(app, "http://127.0.0.1", raise_server_exceptions=False)
            self._client.__enter__()
            backends: Backends = app.state.backends
            [tiny], [sound] = (
                [each for each in made if each.name == name]
                for made, name in ((seeds.onnx_files(), "good"), (seeds.npz_files(), "plain"))
            )
            uploads: tuple[tuple[Kind, str, bytes], ...] = (
                ("model", seeds.MODEL, tiny.data),
                ("dataset", seeds.DATASET, sound.data),
            )
            for kind, placeholder, content in uploads:
                digest = self._client.post(f"/v1/{kind}s", content=content).json()["id"]
                inspector.inspect(settings, backends.engine, backends.blobs, DEFAULT, kind, digest)
                self._digests[placeholder] = digest
        return self._client


class Forms(Requests):
    """The same route with multipart bodies."""

    MEDIA = f"multipart/form-data; boundary={seeds.BOUNDARY}"


def _judged(answer: Any) -> str:
    """What the answer comes to. Raises `Refused` for a problem of the caller's, `FaultError` for one of ours."""
    if answer.status_code < 300:
        return f"{answer.status_code}"
    if answer.status_code >= 500:
        raise FaultError(f"{answer.status_code}: {answer.text[:500]}")
    try:
        body = answer.json()
        known = problems.BY_TYPE[body["type"].rpartition("/")[2]]
        if (known.status, body["status"]) != (answer.status_code, answer.status_code):
            raise FaultError(f"{answer.status_code} says that it is {body}")
        json.dumps(body, allow_nan=False)
    except (ValueError, KeyError, TypeError) as error:
        raise FaultError(f"{answer.status_code} is no problem: {answer.text[:500]}") from error
    raise Refused(known.type, body["detail"])
