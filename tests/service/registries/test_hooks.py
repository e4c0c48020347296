"""Whose webhook is it? What MLflow's own code signs is taken; what was changed, withheld or kept too long is not."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from service.registries import hooks
from service.registries.hooks import NotReadableError, NotTheirsError

NOW = 1_795_690_000.0
SECRET = "s3cret, with spaces"
CREATED = {"entity": "model_version", "action": "created", "data": {"name": "digits", "version": "3"}}
COMMIT = "0123456789" * 4
PUSHED = {
    "event": {"action": "update", "scope": "repo.content"},
    "repo": {"type": "model", "name": "me/digits", "headSha": COMMIT},
}


def mlflow(body: bytes, secret: str = SECRET, delivery: str = "d-1", stamp: int = int(NOW)) -> dict[str, str]:
    """The headers of a delivery, signed by MLflow's own function."""
    from mlflow.webhooks.delivery import _generate_hmac_signature

    return {
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": str(stamp),
        "x-mlflow-signature": _generate_hmac_signature(secret, delivery, str(stamp), body.decode()),
    }


def read(sender: Any, headers: dict[str, str], body: bytes) -> hooks.Arrived:
    return hooks.read(sender, SECRET, headers, body, NOW)


@pytest.mark.filterwarnings("ignore")
def test_what_mlflow_signs_is_taken():
    """The form is MLflow's own, and the one of Standard Webhooks."""
    from standardwebhooks import Webhook

    body = json.dumps(CREATED).encode()
    headers = mlflow(body)
    assert read("mlflow", headers, body) == hooks.Arrived("mlflow:d-1", "models:/digits/3")
    now = int(time.time())
    headers = mlflow(body, stamp=now)
    told = {"webhook-id": "d-1", "webhook-timestamp": str(now), "webhook-signature": headers["x-mlflow-signature"]}
    assert Webhook(SECRET.encode()).verify(body, told) == CREATED


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "change",
    [
        {"x-mlflow-signature": ""},
        {"x-mlflow-signature": "v1,"},
        {"x-mlflow-signature": "v1,é"},
        {"x-mlflow-delivery-id": "d-2"},
        {"x-mlflow-timestamp": str(int(NOW) + 1)},
        {"x-mlflow-signature": "sha256=" + hashlib.sha256(b"x").hexdigest()},
    ],
)
def test_what_was_changed_is_refused(change):
    """Delivery, timestamp and body are all signed."""
    body = json.dumps(CREATED).encode()
    with pytest.raises(NotTheirsError):
        read("mlflow", mlflow(body) | change, body)
    with pytest.raises(NotTheirsError):
        read("mlflow", mlflow(body), body + b" ")
    with pytest.raises(NotTheirsError):
        read("mlflow", mlflow(body, secret="another"), body)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("age", "taken"), [(299, True), (-299, True), (301, False), (-301, False)])
def test_an_old_delivery_is_refused(age, taken):
    """Somebody may be repeating what was MLflow's once."""
    body = json.dumps(CREATED).encode()
    headers = mlflow(body, stamp=int(NOW) - age)
    if taken:
        assert read("mlflow", headers, body).version == "models:/digits/3"
    else:
        with pytest.raises(NotTheirsError, match="clock"):
            read("mlflow", headers, body)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "told",
    [
        CREATED | {"entity": "model_version_tag", "action": "set"},
        CREATED | {"entity": "model_version_alias"},
        CREATED | {"action": "deleted"},
        CREATED | {"entity": "registered_model", "data": {"name": "digits"}},
    ],
)
def test_tags_and_aliases_are_passed_over(told):
    """Ours among them: else each verdict that is written would ask for the next."""
    body = json.dumps(told).encode()
    assert read("mlflow", mlflow(body), body).version is None


def test_hugging_face_sends_its_secret():
    """There is no signature to check; a commit to a model's repository is what is looked for."""
    body = json.dumps(PUSHED).encode()
    found = read("hugging-face", {"x-webhook-secret": SECRET}, body)
    assert found.version == f"hf://me/digits@{COMMIT}"
    assert found == read("hugging-face", {"x-webhook-secret": SECRET}, body)
    for wrong in ({}, {"x-webhook-secret": ""}, {"x-webhook-secret": SECRET + "x"}):
        with pytest.raises(NotTheirsError):
            read("hugging-face", wrong, body)
    comment = json.dumps(PUSHED | {"event": {"action": "create", "scope": "discussion"}}).encode()
    assert read("hugging-face", {"x-webhook-secret": SECRET}, comment).version is None


def signed(body: bytes, form: str) -> dict[str, str]:
    digest = hmac.digest(SECRET.encode(), body, "sha256")
    return {
        "hex": {"x-wandb-signature": digest.hex()},
        "base64": {"x-wandb-signature": base64.b64encode(digest).decode()},
        "github": {"x-hub-signature-256": f"sha256={digest.hex()}"},
    }[form]


@pytest.mark.parametrize("form", ["hex", "base64", "github"])
def test_any_other_signs_its_body(form):
    """W&B lets its users write the payload; the same body twice is the same delivery."""
    body = json.dumps({"model": "models:/digits/3", "project": "x"}).encode()
    assert read("signed", signed(body, form), body).version == "models:/digits/3"
    assert read("signed", signed(body, form), body) == read("signed", signed(body, form), body)
    for wrong in ({}, {"x-wandb-signature": ""}, {"x-wandb-signature": "zz" * 32}, signed(body + b" ", form)):
        with pytest.raises(NotTheirsError):
            read("signed", wrong, body)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"[" * 100_000, b"{}", b'{"model": 7}', b'{"model": "models:/digits/latest"}']
)
def test_what_is_theirs_and_says_nothing_is_told(body):
    """A payload that was set up wrongly must not be lost in silence."""
    with pytest.raises(NotReadableError):
        read("signed", signed(body, "hex"), body)
