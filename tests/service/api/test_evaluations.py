"""What callers see of evaluations: status codes, headers, bodies, and that a refused request leaves nothing."""

import base64
import hashlib
import json
import threading
from typing import Any

import pytest

from service import schemas
from service.api import waiting
from tests.service.api.conftest import DATASET_FOUND, MODEL_FOUND, Api

URL = "/v1/evaluations"


def post(api: Api, config: Any = None, headers: dict[str, str] | None = None, **other: Any) -> Any:
    """An evaluation of uploaded artifacts."""
    asked = {**api.uploaded(), "config": config or {}, **other}
    return api.client.post(URL, json=asked, headers=headers)


def problem(answer: Any, status: int, kind: str) -> str:
    """The detail of a problem, once its form is checked."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["type"]) == (status, status, f"/problems/{kind}"), body
    assert body["title"]
    detail: str = body["detail"]
    return detail


def test_json_names_uploaded_artifacts(api: Api) -> None:
    """202 with Location and Retry-After; the body is the whole evaluation, defaults written out."""
    answer = post(api, {"seed": 7})
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{URL}/{body['id']}"
    assert answer.headers["retry-after"] == "1"
    assert (body["state"], body["config"]["seed"], body["config"]["precision"]) == ("queued", 7, 0.01)
    assert api.client.get(answer.headers["location"]).json() == body


def test_form_brings_both_files_and_the_config(api: Api) -> None:
    """One multipart request does it all; the artifacts are named by the sha256 of their bytes."""
    files = {"model": ("m.onnx", b"a model"), "dataset": ("d.npz", b"a dataset")}
    answer = api.client.post(URL, files=files, data={"config": '{"clamp": "mean"}'})
    body = answer.json()
    assert answer.status_code == 202, body
    assert body["model"] == "sha256:" + hashlib.sha256(b"a model").hexdigest()
    assert body["dataset"] == "sha256:" + hashlib.sha256(b"a dataset").hexdigest()
    assert body["config"]["clamp"] == "mean"
    assert api.client.get(f"/v1/models/{body['model']}").json()["size"] == 7


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"sede": 1}, "/config/sede"),
        ({"precision": 0}, "/config/precision"),
        ({"precision": "narrow"}, "/config/precision"),
        ({"estimator": "grid", "precision": 0.1}, "/config"),
        ({"orderings": 5}, "/config"),
        ({"site": "fc1"}, "/config"),
        ({"scope": "everything"}, "/config/scope"),
        ({"limits": {"workers": 0}}, "/config/limits/workers"),
        ({"seed": -1}, "/config/seed"),
        ({"k": 3}, "/config"),
        ({"metric": "f1"}, "/config/metric"),
        ({"preprocessing": {"scale": 0}}, "/config/preprocessing/scale"),
        ({"preprocessing": {"layout": "CHW"}}, "/config/preprocessing/layout"),
        ({"preprocessing": {"mean": [1, 2, 3], "std": [1]}}, "/config/preprocessing"),
    ],
)
def test_unknown_or_contradictory_config_is_refused(api: Api, config: Any, pointer: str) -> None:
    """422 with a pointer to the field, whether the config comes as JSON or in a form; nothing is stored."""
    answer = post(api, config)
    assert problem(answer, 422, "validation-error")
    assert answer.json()["errors"][0]["pointer"] == pointer
    files = {"model": ("m", b"other model"), "dataset": ("d", b"other dataset")}
    answer = api.client.post(URL, files=files, data={"config": json.dumps(config)})
    assert problem(answer, 422, "validation-error")
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert api.client.get(URL).json()["data"] == []
    assert len(api.client.get("/v1/models").json()["data"]) == 1
    assert staged(api) == []


def staged(api: Api) -> list[str]:
    folder = api.settings.scratch / "uploads"
    return [file.name for file in folder.iterdir()] if folder.exists() else []


@pytest.mark.parametrize(
    ("model", "dataset", "config", "says"),
    [
        ({}, {"inputs": [{"name": "x", "dtype": "float32", "shape": [10, 5]}]}, {}, "[4]"),
        ({}, {"labels": None}, {"metric": "accuracy"}, "agreement"),
        ({}, {}, {"labels": "target"}, "It has: x, y"),
        ({}, {"splits": {"test": 10}}, {"split": "train"}, "It has: test"),
        ({}, {"labels": {"min": 0, "max": 3, "distinct": 4, "most_frequent": 4}}, {}, "label 3"),
    ],
)
def test_dataset_that_does_not_fit_is_refused(
    api: Api, model: dict[str, Any], dataset: dict[str, Any], config: Any, says: str
) -> None:
    """A wrong shape, type or label is refused before anything is queued, and says what to change."""
    asked = {kind: api.client.post(f"/v1/{kind}s", content=kind.encode()).json()["id"] for kind in ("model", "dataset")}
    api.inspect(MODEL_FOUND | model, DATASET_FOUND | dataset)
    assert says in problem(api.client.post(URL, json=asked | {"config": config}), 422, "dataset-mismatch")
    assert api.client.get(URL).json()["data"] == []


def test_scope_must_suit_the_model(api: Api) -> None:
    """A site that is not there, or `paper` without a convolution, is refused with the names there are."""
    assert "It has: fc1" in problem(post(api, {"scope": "layer", "site": "fc9"}), 422, "validation-error")
    assert "convolutions" in problem(post(api, {"scope": "paper"}), 422, "model-unsupported")


def test_names_in_the_config_must_be_the_models(api: Api) -> None:
    """A pattern, an output or an input that the model has not is refused, with those it has."""
    assert "It has: fc1" in problem(post(api, {"sites": ["conv*"]}), 422, "validation-error")
    assert "It has: logits" in problem(post(api, {"output": "probs"}), 422, "validation-error")
    assert "It has: x" in problem(post(api, {"inputs": {"ids": "x"}}), 422, "validation-error")


def test_a_model_may_come_as_several_files(api: Api) -> None:
    """Several parts `model` become one artifact, the same as from POST /v1/models; `dataset` comes once."""
    files = [("model", ("m.onnx", b"graph")), ("model", ("m.data", b"weights")), ("dataset", ("d.npz", b"d"))]
    body = api.client.post(URL, files=files).json()
    parts = [("file", ("m.data", b"weights")), ("file", ("m.onnx", b"graph"))]
    assert api.client.post("/v1/models", files=parts).json()["id"] == body["model"]
    answer = api.client.post(URL, files=[*files, ("dataset", ("e.npz", b"e"))])
    assert "twice" in problem(answer, 400, "bad-request")
    assert staged(api) == []


def test_unknown_artifacts_are_not_found(api: Api) -> None:
    """A digest that was never uploaded is 404 and says how to upload it."""
    asked = {"model": "sha256:" + "0" * 64, "dataset": "sha256:" + "1" * 64}
    assert "POST /v1/models" in problem(api.client.post(URL, json=asked), 404, "not-found")


def test_other_bodies_are_refused_with_advice(api: Api) -> None:
    """curl -d without --json, an empty form and a broken form each say what to send instead."""
    text = api.client.post(URL, content=b"{}", headers={"content-type": "application/x-www-form-urlencoded"})
    assert "--json" in problem(text, 415, "unsupported-media-type")
    assert "model" in problem(api.client.post(URL, files={"dataset": ("d", b"d")}), 422, "validation-error")
    assert "empty" in problem(api.client.post("/v1/models"), 422, "validation-error")
    assert "not known" in problem(api.client.post(URL, files={"modle": ("m", b"m")}), 422, "validation-error")
    headers = {"content-type": "multipart/form-data; boundary=x"}
    cut = b'--x\r\nContent-Disposition: form-data; name="model"; filename="m"\r\n\r\nhalf a'
    assert problem(api.client.post(URL, content=cut, headers=headers), 400, "bad-request")
    headers = {"content-type": "multipart/form-data"}
    assert problem(api.client.post(URL, content=cut, headers=headers), 400, "bad-request")
    assert problem(
        api.client.post(URL, content=b"{", headers={"content-type": "application/json"}), 422, "validation-error"
    )
    assert staged(api) == []
    assert api.client.get("/v1/models").json()["data"] == []


def test_method_not_allowed_names_those_that_are(api: Api) -> None:
    """405 says which methods there are, all of them."""
    answer = api.client.patch(f"{URL}/ev_1")
    assert problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "DELETE, GET"


def test_too_large_uploads_are_refused(api: Api) -> None:
    """Beyond the limit, declared or not, in a body or a form: 413, and nothing is stored."""
    large = b"x" * 1001
    assert problem(api.client.post("/v1/models", content=large), 413, "content-too-large")
    assert problem(api.client.post("/v1/models", content=iter([large])), 413, "content-too-large")
    files = {"model": ("m", large), "dataset": ("d", b"d")}
    assert problem(api.client.post(URL, files=files), 413, "content-too-large")
    assert staged(api) == []
    assert api.client.get("/v1/models").json()["data"] == []


def test_waiting_ends_with_the_evaluation_or_with_patience(api: Api) -> None:
    """`?wait=` and `Prefer: wait=` answer 202 when patience ends first, 200 as soon as the evaluation ends."""
    evaluation = post(api).json()["id"]
    answer = api.client.get(f"{URL}/{evaluation}?wait=0.1")
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
    threading.Timer(0.2, api.finish, [evaluation]).start()
    answer = api.client.get(f"{URL}/{evaluation}", headers={"Prefer": "respond-async, wait=30"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait")
    assert answer.json()["state"] == "succeeded"


def test_same_question_is_answered_at_once(api: Api) -> None:
    """The same model, dataset and config again: 200 with the earlier evaluation, its limits aside."""
    evaluation = post(api).json()["id"]
    api.finish(evaluation)
    again = post(api, {"limits": {"workers": 3}})
    assert (again.status_code, again.json()["id"]) == (200, evaluation)
    assert post(api, {"seed": 1}).status_code == 202


def test_idempotency_key(api: Api) -> None:
    """A repeated POST with the same key makes nothing new; with another body it is refused."""
    headers = {"Idempotency-Key": "abc"}
    first = post(api, headers=headers).json()["id"]
    assert post(api, headers=headers).json()["id"] == first
    assert problem(post(api, {"seed": 5}, headers=headers), 422, "idempotency-key-reused")
    assert len(api.client.get(URL).json()["data"]) == 1


def test_events_tell_all_until_the_end(api: Api) -> None:
    """Server-sent events: `progress` at once, `ended` with the result, then the stream closes."""
    evaluation = post(api).json()["id"]
    threading.Timer(0.3, api.finish, [evaluation]).start()
    with api.client.stream("GET", f"{URL}/{evaluation}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event")]
    assert names[0] == "progress"
    assert names[-1] == "ended"
    last = schemas.Evaluation.model_validate_json(lines[-1].removeprefix("data: "))
    assert last.result is not None
    assert problem(api.client.get(f"{URL}/ev_none/events"), 404, "not-found")


def test_a_stream_of_events_has_an_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an evaluation that does not end: the stream closes after a while, and whoever follows comes back."""
    monkeypatch.setattr(waiting, "LONGEST", 0.2)
    evaluation = post(api).json()["id"]
    with api.client.stream("GET", f"{URL}/{evaluation}/events") as stream:
        names = [line for line in stream.iter_lines() if line.startswith("event")]
    assert names == ["event: progress"]


def test_result_and_its_digest(api: Api) -> None:
    """The digest speaks of the result without its seconds, so that a rerun has the same one."""
    evaluation = post(api).json()["id"]
    api.finish(evaluation)
    body = api.client.get(f"{URL}/{evaluation}").json()
    assert body["result"]["cost"]["seconds"] >= 0
    body["result"]["cost"]["seconds"] = None
    assert schemas.digest(schemas.canonical(body["result"])) == body["result_digest"]


@pytest.mark.parametrize(
    ("kind", "media", "start"),
    [
        ("json", "application/json", b'{"curve"'),
        ("csv", "text/csv; charset=utf-8", b"fraction,"),
        ("svg", "image/svg+xml", b"<?xml"),
        ("png", "image/png", b"\x89PNG"),
    ],
)
def test_curve(api: Api, kind: str, media: str, start: bytes) -> None:
    """The curve comes as numbers and as pictures; before the end it is 409, and after a failure as well."""
    evaluation = post(api).json()["id"]
    assert problem(api.client.get(f"{URL}/{evaluation}/curve.{kind}"), 409, "not-ready")
    api.finish(evaluation)
    answer = api.client.get(f"{URL}/{evaluation}/curve.{kind}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.content.startswith(start)
    cancelled = post(api, {"seed": 3}).json()["id"]
    api.client.delete(f"{URL}/{cancelled}")
    assert problem(api.client.get(f"{URL}/{cancelled}/curve.{kind}"), 409, "conflict")


def test_cancel(api: Api) -> None:
    """Cancelling ends an evaluation at once; a finished one answers 409, a missing one 404."""
    evaluation = post(api).json()["id"]
    assert api.client.delete(f"{URL}/{evaluation}").json()["state"] == "cancelled"
    assert api.client.delete(f"{URL}/{evaluation}").status_code == 200
    done = post(api, {"seed": 1}).json()["id"]
    api.finish(done)
    assert problem(api.client.delete(f"{URL}/{done}"), 409, "conflict")
    assert problem(api.client.delete(f"{URL}/ev_none"), 404, "not-found")


def test_list_pages_with_a_cursor(api: Api) -> None:
    """Pages are newest first and complete; states filter; a made-up cursor is refused."""
    made = [post(api, {"seed": seed}).json()["id"] for seed in range(5)]
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = api.client.get(URL, params=query).json()
        seen += [evaluation["id"] for evaluation in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]
    assert api.client.get(URL, params={"state": "succeeded"}).json()["data"] == []
    for cursor in ("?", "bm8", base64.urlsafe_b64encode(b"[1,2,3]").decode()):
        assert problem(api.client.get(URL, params={"cursor": cursor}), 422, "validation-error")
