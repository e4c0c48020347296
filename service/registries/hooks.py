"""What registries' webhooks look like: is one really theirs, which delivery is it, and which version does it name?

    MLflow         X-MLflow-Signature: v1,BASE64 of HMAC-SHA256 over `id.timestamp.body`, as Standard Webhooks have it
    Hugging Face   X-Webhook-Secret: the secret itself; nothing is signed
    any other      X-Wandb-Signature, or X-Hub-Signature-256 with `sha256=`: HMAC-SHA256 over the body

Every comparison takes the same time whatever is wrong. Nothing of a body is read before its sender is known.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service.registries import names

TOLERANCE = 300.0  # seconds a signed timestamp may be off, either way, as Standard Webhooks has it
LARGEST = 64 * 1024  # bytes of a body; MLflow's are a few hundred
_ID = re.compile(r"[\x21-\x7e]{1,200}")

Sender = Literal["mlflow", "hugging-face", "signed"]


class NotTheirsError(Exception):
    """The signature or the secret is missing or wrong, or the delivery is too old."""


class NotReadableError(Exception):
    """It is theirs, and says nothing that can be understood."""


@dataclass(frozen=True)
class Arrived:
    """A delivery; `version` of None: it is about something else, and is taken and forgotten."""

    delivery: str
    version: str | None  # models:/NAME/VERSION, or hf://REPO@COMMIT


def read(sender: Sender, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> Arrived:
    """Verify a delivery, then read it. `headers` are found by lower-case names.

    Raises `NotTheirsError` and `NotReadableError`.
    """
    delivery = _VERIFY[sender](secret, headers, body, now)
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotReadableError("The body is not JSON.") from error
    if not isinstance(told, dict):
        raise NotReadableError("The body is not a JSON object.")
    return Arrived(f"{sender}:{delivery}", _NAMED[sender](told))


def _mlflow(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    delivery, stamp = headers.get("x-mlflow-delivery-id", ""), headers.get("x-mlflow-timestamp", "")
    signed = f"{delivery}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(_hmac(secret, signed)).decode()
    # One of several, as Standard Webhooks allows while a secret is changed.
    given = headers.get("x-mlflow-signature", "").split(" ")[:8]
    if not any(_same(expected, signature) for signature in given):
        raise NotTheirsError("X-MLflow-Signature does not fit.")
    if not _ID.fullmatch(delivery) or not re.fullmatch(r"[0-9]{1,12}", stamp):
        raise NotTheirsError("X-MLflow-Delivery-Id or X-MLflow-Timestamp is none.")
    if abs(now - int(stamp)) > TOLERANCE:
        raise NotTheirsError(f"X-MLflow-Timestamp is more than {TOLERANCE:.0f} s off this machine's clock.")
    return delivery


def _hugging_face(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    if not _same(secret, headers.get("x-webhook-secret", "")):
        raise NotTheirsError("X-Webhook-Secret does not fit.")
    return hashlib.sha256(body).hexdigest()  # it has no id; its body names the commit


def _signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    given = headers.get("x-wandb-signature") or headers.get("x-hub-signature-256", "")
    if not hmac.compare_digest(_hmac(secret, body), _decoded(given.removeprefix("sha256="))):
        raise NotTheirsError("X-Wandb-Signature or X-Hub-Signature-256 does not fit.")
    return hashlib.sha256(body).hexdigest()


def _hmac(secret: str, text: bytes) -> bytes:
    return hmac.new(secret.encode(), text, hashlib.sha256).digest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="surrogateescape"))


def _decoded(signature: str) -> bytes:
    """Of hexadecimal digits, or of base64, as W&B's documentation shows it; nothing if it is neither."""
    try:
        return bytes.fromhex(signature) if len(signature) == 64 else base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _of_mlflow(told: dict[str, Any]) -> str | None:
    """A version that was registered. Tags and aliases, such as our own, are none."""
    data = told.get("data")
    if (told.get("entity"), told.get("action")) != ("model_version", "created") or not isinstance(data, dict):
        return None
    return _checked(f"models:/{data.get('name')}/{data.get('version')}")


def _of_hugging_face(told: dict[str, Any]) -> str | None:
    """A commit to a model's repository."""
    event, repo = told.get("event"), told.get("repo")
    if not isinstance(event, dict) or not isinstance(repo, dict) or repo.get("type") != "model":
        return None
    if event.get("action") not in ("create", "update") or not str(event.get("scope")).startswith("repo"):
        return None
    place = f"hf://{repo.get('name')}@{repo.get('headSha')}"
    if not names.HUB.fullmatch(place):
        raise NotReadableError("`repo` has no name, or no headSha.")
    return place


def _of_signed(told: dict[str, Any]) -> str | None:
    """Whoever writes the payload writes `"model": "models:/NAME/VERSION"` into it."""
    model = told.get("model")
    if not isinstance(model, str):
        raise NotReadableError('There is no "model": "models:/NAME/VERSION" in the body.')
    return _checked(model)


def _checked(model: str) -> str:
    try:
        return str(names.read(model))
    except names.NotAVersionError as error:
        raise NotReadableError(str(error)) from error


_VERIFY: Mapping[Sender, Callable[[str, Mapping[str, str], bytes, float], str]] = {
    "mlflow": _mlflow,
    "hugging-face": _hugging_face,
    "signed": _signed,
}
_NAMED: Mapping[Sender, Callable[[dict[str, Any]], str | None]] = {
    "mlflow": _of_mlflow,
    "hugging-face": _of_hugging_face,
    "signed": _of_signed,
}
