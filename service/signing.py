"""Results signed, so that whoever gates on one can check offline that it is this service's, and unchanged.

An in-toto statement (https://github.com/in-toto/attestation, spec v1) names model and dataset by digest and what was
found of them; a DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol.md) holds it with an Ed25519
signature.
"""

import base64
import binascii
import hashlib
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from service import schemas, verdicts
from service.settings import Settings

PAYLOAD = "application/vnd.in-toto+json"
PREDICATE = "https://lesion.dev/attestation/robustness/v1"
KEY_FILE = "signing-key.pem"


class UnusableKeyError(Exception):
    """A key cannot be read; the message says what was expected."""


class ForgedError(Exception):
    """A result is not what was signed, or not by whom it should be; the message says why."""


class Signer:
    """Signs with one Ed25519 key. The same evaluation gives the same bytes each time."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.key_id = key_id(self.public)

    def signed(self, evaluation: schemas.Evaluation) -> schemas.Envelope | None:
        """The envelope of a succeeded evaluation; None of any other."""
        if evaluation.result is None:
            return None
        return self._envelope(_statement(evaluation.model_dump(mode="json")))

    def signed_verdict(self, evaluation: schemas.Evaluation) -> schemas.Envelope | None:
        """The envelope of a gate's verdict; None without one."""
        if evaluation.result is None:
            return None
        statement = _verdict(evaluation.model_dump(mode="json"))
        return None if statement is None else self._envelope(statement)

    def _envelope(self, statement: dict[str, Any]) -> schemas.Envelope:
        payload = schemas.canonical(statement).encode()
        signature = base64.b64encode(self._key.sign(_encoded(payload))).decode()
        return schemas.Envelope(
            payload=base64.b64encode(payload).decode(),
            payloadType=PAYLOAD,
            signatures=[schemas.Signature(keyid=self.key_id, sig=signature)],
        )

    def published(self) -> schemas.SigningKey:
        """The public half, for whoever checks."""
        pem = self.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return schemas.SigningKey(keyid=self.key_id, algorithm="ed25519", public_key=pem.decode())


def signer(settings: Settings) -> Signer:
    """The service's signer: the key that the settings name, else one in the data folder, made at the first start."""
    path = settings.signing_key or settings.data / KEY_FILE
    if settings.signing_key is None:
        _make(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKeyError(f"{path} holds no private key without a password: {error}. {HOW}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKeyError(f"{path} holds another key than Ed25519. {HOW}")
    return Signer(key)


HOW = "Make one with `openssl genpkey -algorithm ed25519 -out KEY.pem`, and name it in LESION_SIGNING_KEY."


def _make(path: Path) -> None:
    """A new key, for this user alone; of several processes that start at once, one wins."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def key_id(key: Ed25519PublicKey) -> str:
    """sha256 of the public key's DER form."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(der).hexdigest()


def public_keys(text: bytes) -> list[Ed25519PublicKey]:
    """Keys to check with: a PEM file, or what GET /v1/signing-keys answers. Raises `UnusableKeyError`."""
    try:
        told = json.loads(text)
        pems = [str(each["public_key"]).encode() for each in told["data"]]
    except (ValueError, KeyError, TypeError):
        pems = [text]
    try:
        keys = [serialization.load_pem_public_key(pem) for pem in pems]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKeyError(
            "The key file is neither a public key in PEM nor an answer of /v1/signing-keys."
        ) from error
    found = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if len(found) != len(keys):
        raise UnusableKeyError("The key file holds another key than Ed25519.")
    return found


def verify(evaluation: dict[str, Any], keys: list[Ed25519PublicKey]) -> dict[str, Any]:
    """The statement that was signed about an evaluation as the API showed it. Raises `ForgedError`.

    evaluation: parsed JSON of GET /v1/evaluations/{id}, with whatever was changed on its way. A gate's verdict in it
    is checked as well.
    """
    statement = opened(evaluation.get("signature"), keys)
    try:
        changed = _differences(statement, _statement(evaluation))
        if changed:
            raise ForgedError(f"it was changed after it was signed: {', '.join(changed)}")
        verdict = _verdict(evaluation)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ForgedError(f"it is no evaluation: {error}") from error
    if verdict is not None and opened(evaluation.get("verdict_signature"), keys) != verdict:
        raise ForgedError("its verdict is not the one that was signed")
    return statement


def opened(envelope: Any, keys: list[Ed25519PublicKey]) -> dict[str, Any]:
    """The statement in an envelope (parsed JSON), once its signature is known to hold. Raises `ForgedError`."""
    try:
        known = schemas.Envelope.model_validate(envelope)
        payload = base64.b64decode(known.payload, validate=True)
        signatures = [(each.keyid, base64.b64decode(each.sig, validate=True)) for each in known.signatures]
    except (TypeError, ValueError, binascii.Error) as error:
        raise ForgedError("it carries no signature that can be read") from error
    if known.payloadType != PAYLOAD or not any(_holds(key, payload, signatures) for key in keys):
        raise ForgedError("it is not signed by the key given")
    statement: dict[str, Any] = json.loads(payload)
    return statement


def _holds(key: Ed25519PublicKey, payload: bytes, signatures: list[tuple[str, bytes]]) -> bool:
    for name, signature in signatures:
        with suppress(InvalidSignature):
            if name == key_id(key):
                key.verify(signature, _encoded(payload))
                return True
    return False


def _statement(evaluation: dict[str, Any]) -> dict[str, Any]:
    """What is signed. `cost.seconds` is left out, since it is the one thing that a rerun changes."""
    result = evaluation["result"]
    subjects = ("model", "dataset")
    return {
        "_type": verdicts.STATEMENT,
        "subject": [
            {"name": name, "digest": {"sha256": str(evaluation[name]).removeprefix("sha256:")}} for name in subjects
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "evaluation": evaluation["id"],
            "ended_at": evaluation["ended_at"],
            "config": schemas.digest(schemas.canonical(evaluation["config"])),
            "result": _lasting(result),
            "score": result["score"],
        },
    }


def _lasting(result: dict[str, Any]) -> str:
    """The digest of a result without the seconds it took."""
    lasting = result | {"cost": {name: value for name, value in result["cost"].items() if name != "seconds"}}
    return schemas.digest(schemas.canonical(lasting))


def _verdict(evaluation: dict[str, Any]) -> dict[str, Any] | None:
    return verdicts.statement(evaluation, _lasting(evaluation["result"]))


def _differences(signed: dict[str, Any], shown: dict[str, Any]) -> list[str]:
    """Names of what two statements tell differently."""
    pairs = [(each, other) for each, other in zip(signed["subject"], shown["subject"], strict=True)]
    changed = [each["name"] for each, other in pairs if each != other]
    return changed + [name for name, value in shown["predicate"].items() if signed["predicate"].get(name) != value]


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the type is signed along with the payload."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
