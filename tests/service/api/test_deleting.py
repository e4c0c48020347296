"""What callers see of deleting: 204 and gone, 409 with what to do while something is needed."""

import hashlib

from service.store.blobs import open_blobs
from service.store.tenants import DEFAULT
from tests.service.api.conftest import Api


def submit(api: Api, **headers: str) -> str:
    answer = api.client.post("/v1/evaluations", json=api.uploaded(), headers=headers)
    identifier: str = answer.json()["id"]
    return identifier


def test_an_upload_can_be_deleted_and_sent_again(api: Api) -> None:
    """Row and bytes go; asking for it is 404 then; the same bytes may come again."""
    digest = api.client.post("/v1/models", content=b"bytes").json()["id"]
    assert api.client.delete(f"/v1/models/{digest}").status_code == 204
    assert not open_blobs(api.settings.blobs).holds(DEFAULT, "model", digest)
    assert api.client.get(f"/v1/models/{digest}").status_code == 404
    assert api.client.delete(f"/v1/models/{digest}").status_code == 404
    assert api.client.delete("/v1/models/none").status_code == 422
    assert api.client.post("/v1/models", content=b"bytes").status_code == 202


def test_deleting_is_refused_while_an_evaluation_needs_it(api: Api) -> None:
    """409 names the evaluation and what to do; when it is cancelled, the upload can go, and it keeps its digests."""
    evaluation = submit(api)
    digests = {kind: "sha256:" + hashlib.sha256(kind.encode()).hexdigest() for kind in ("model", "dataset")}
    for kind, digest in digests.items():
        refused = api.client.delete(f"/v1/{kind}s/{digest}")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
        assert evaluation in refused.json()["detail"]
    api.client.delete(f"/v1/evaluations/{evaluation}")
    for kind, digest in digests.items():
        assert api.client.delete(f"/v1/{kind}s/{digest}").status_code == 204
    assert api.client.get(f"/v1/evaluations/{evaluation}").json()["model"] == digests["model"]


def test_a_result_outlives_its_uploads(api: Api) -> None:
    """After its model is gone an evaluation still has its result, curve and signature; a new one is refused."""
    evaluation = submit(api)
    api.finish(evaluation)
    before = api.client.get(f"/v1/evaluations/{evaluation}").json()
    assert api.client.delete(f"/v1/models/{before['model']}").status_code == 204
    after = api.client.get(f"/v1/evaluations/{evaluation}").json()
    assert (after["result"], after["result_digest"]) == (before["result"], before["result_digest"])
    assert api.client.get(f"/v1/evaluations/{evaluation}/curve.csv").status_code == 200
    asked = {"model": before["model"], "dataset": before["dataset"]}
    assert api.client.post("/v1/evaluations", json=asked).status_code == 404


def test_an_ended_evaluation_can_be_forgotten(api: Api) -> None:
    """Cancelling what has ended is 409 and says how to delete it; deleting what runs says to cancel first."""
    evaluation = submit(api, **{"Idempotency-Key": "k"})
    place = f"/v1/evaluations/{evaluation}"
    running = api.client.delete(place, params={"forget": "true"})
    assert (running.status_code, "cancel it first" in running.json()["detail"]) == (409, True)
    api.finish(evaluation)
    done = api.client.delete(place)
    assert (done.status_code, "?forget=true" in done.json()["detail"]) == (409, True)
    forgotten = api.client.delete(place, params={"forget": "true"})
    assert (forgotten.status_code, forgotten.content) == (204, b"")
    assert api.client.get(place).status_code == 404
    assert api.client.delete(place, params={"forget": "true"}).status_code == 404
    assert submit(api, **{"Idempotency-Key": "k"}) != evaluation
