"""What callers see of uploads: raw or as a form, deduplicated, inspected, refused without a trace."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from service import problems
from service.store import artifacts
from service.store.artifacts import Kind
from service.store.blobs import open_blobs
from service.store.session import transaction
from service.store.tenants import DEFAULT
from tests.conftest import wait_until
from tests.service.api.conftest import MODEL_FOUND, Api


def blobs_left(api: Api) -> list[str]:
    return [path.name for path in (api.settings.data / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_raw_upload_is_named_by_its_digest(api: Api, method: str) -> None:
    """`curl -T` and `--data-binary` work alike; the same bytes again are known already."""
    first = api.client.request(method, "/v1/models", content=b"bytes")
    assert first.status_code == 202  # no worker looks at it in this test
    assert first.json()["state"] == "received"
    api.inspect()
    again = api.client.request(method, "/v1/models", content=b"bytes")
    assert (again.status_code, again.json()["found"]) == (200, MODEL_FOUND)
    assert api.client.get(first.headers["location"]).json() == again.json()
    assert len(blobs_left(api)) == 1


def test_an_upload_brings_back_bytes_that_were_lost(api: Api) -> None:
    """A store restored from an older backup, say: the row knows them, and the next upload fills the gap."""
    digest = api.client.post("/v1/models", content=b"bytes").json()["id"]
    api.inspect()
    open_blobs(api.settings.blobs).delete(DEFAULT, "model", digest)
    assert blobs_left(api) == []
    assert api.client.post("/v1/models", content=b"bytes").status_code == 200
    assert len(blobs_left(api)) == 1


def test_form_upload_is_the_same_artifact(api: Api) -> None:
    """A form with the field `file` gives the same id as the raw bytes; another field is refused."""
    raw = api.client.post("/v1/datasets", content=b"bytes").json()["id"]
    assert api.client.post("/v1/datasets", files={"file": ("d.npz", b"bytes")}).json()["id"] == raw
    refused = api.client.post("/v1/datasets", files={"data": ("d.npz", b"bytes")})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/validation-error")


def refuse_soon(engine: Engine, kind: Kind, seen: list[str]) -> None:
    """Play a worker that refuses the next upload."""

    def look() -> bool:
        with transaction(engine) as db:
            for tenant, found, digest in artifacts.uninspected(db, -1, 1):
                artifacts.refuse(db, tenant, found, digest, problems.ModelMalformed("It is cut off.").body())
                seen.append(digest)
        return bool(seen)

    wait_until(look, "an upload to refuse")


def test_refused_upload_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that inspection refuses is answered with its problem; neither row nor bytes stay."""
    backends: Any = api.client.app.state.backends  # type: ignore[attr-defined]
    patient = backends.settings.model_copy(update={"inspect_wait": 20.0})
    monkeypatch.setattr(api.client.app.state, "backends", replace(backends, settings=patient))  # type: ignore[attr-defined]
    seen: list[str] = []
    worker = threading.Thread(target=refuse_soon, args=(api.engine, "model", seen))
    worker.start()
    answer = api.client.post("/v1/models", content=b"broken")
    worker.join()
    assert (answer.status_code, answer.json()["detail"]) == (422, "It is cut off.")
    assert api.client.get(f"/v1/models/{seen[0]}").status_code == 404
    assert blobs_left(api) == []


def test_refused_bytes_may_be_tried_again(api: Api) -> None:
    """After a refusal nobody asked about, the same bytes are inspected anew."""
    digest = api.client.post("/v1/models", content=b"bytes").json()["id"]
    with transaction(api.engine) as db:
        artifacts.refuse(db, DEFAULT, "model", digest, problems.ModelMalformed("no").body())
    open_blobs(api.settings.blobs).delete(DEFAULT, "model", digest)
    assert api.client.post("/v1/models", content=b"bytes").json()["state"] == "received"
    assert len(blobs_left(api)) == 1


def test_listing_and_missing(api: Api) -> None:
    """Artifacts are listed newest first, page by page; an unknown digest is 404, a malformed one 422."""
    made = [api.client.post("/v1/models", content=f"{n}".encode()).json()["id"] for n in range(3)]
    first = api.client.get("/v1/models", params={"limit": 2}).json()
    second = api.client.get("/v1/models", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["id"] for one in first["data"] + second["data"]] == made[::-1]
    assert second["next_cursor"] is None
    assert api.client.get("/v1/datasets").json()["data"] == []
    assert api.client.get("/v1/models/sha256:" + "0" * 64).status_code == 404
    assert api.client.get("/v1/models/none").status_code == 422
