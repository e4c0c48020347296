"""Everything that can go wrong, each with its stable type, title and status (RFC 9457).

    Problem
    ├── what a request got wrong      BadRequest DigestMismatch NotFound MethodNotAllowed RequestTimeout …
    ├── what a caller may not         Unauthorized Forbidden RateLimited QuotaExceeded
    ├── what an upload got wrong      UnsupportedFormat Model… Operator… ExternalData… Dataset… DatasetMismatch
    ├── where nothing may be sent     WebhookUrlForbidden
    ├── what clashes with the state   Conflict NotReady NotComparable IdempotencyReused
    ├── what ended an evaluation      ModelCrashed DeadlineExceeded ResourceExhausted WorkerLost
    └── what we got wrong             Internal Unavailable Busy QueueFull InsufficientStorage

A problem is raised anywhere, rendered in one place (service.app), and stored as it is when it ends an evaluation.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

MEDIA = "application/problem+json"
SHOWN = 100  # characters of a caller's own word that are said back


class Problem(Exception):
    """Something went wrong that a caller should know of; `detail` says what to do about it."""

    type: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any) -> None:
        """`headers` go with the answer; `extensions` are further members of the body."""
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions

    def body(self) -> dict[str, Any]:
        """The problem+json object."""
        return {
            "type": f"/problems/{self.type}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extensions,
        }

    def json(self) -> bytes:
        """The same as bytes, for where no framework writes it."""
        return json.dumps(self.body()).encode()


class BadRequest(Problem):
    """The request is not well-formed HTTP for this route: a bad header, multipart body or JSON."""

    type, title, status = "bad-request", "The request cannot be read", 400


class DigestMismatch(Problem):
    """The body is not the one whose Content-Digest or Repr-Digest was sent with it. Send it again."""

    type, title, status = "digest-mismatch", "The body is not what its digest says", 400


class Unauthorized(Problem):
    """No key came along, or one that opens nothing: mistyped, unknown, expired or revoked."""

    type, title, status = "unauthorized", "A key is needed", 401


class Forbidden(Problem):
    """The key lacks a scope, which `missing` names; or, where no key is needed, a browser was made to ask."""

    type, title, status = "forbidden", "Not allowed", 403


class RateLimited(Problem):
    """The key was used too often; Retry-After says when it may be used again."""

    type, title, status = "rate-limited", "Too many requests", 429


class QuotaExceeded(Problem):
    """The tenant has as much queued, running or stored as it may have."""

    type, title, status = "quota-exceeded", "The quota is used up", 429


class NotFound(Problem):
    """Nothing is known under this address or id."""

    type, title, status = "not-found", "No such thing", 404


class MethodNotAllowed(Problem):
    """The address exists, but does not take this method."""

    type, title, status = "method-not-allowed", "This address does not take that method", 405


class RequestTimeout(Problem):
    """The body came too slowly, or stopped coming. Send it again."""

    type, title, status = "request-timeout", "The request came too slowly", 408


class UnsupportedMediaType(Problem):
    """The body's Content-Type is none that this route reads."""

    type, title, status = "unsupported-media-type", "This content type is not read here", 415


class ContentTooLarge(Problem):
    """The upload is larger than the service accepts."""

    type, title, status = "content-too-large", "The upload is too large", 413


class HeadersTooLarge(Problem):
    """The request's line and headers are longer than the service reads."""

    type, title, status = "headers-too-large", "The headers are too large", 431


class Invalid(Problem):
    """A field is missing, unknown, of the wrong type or out of range, or two fields contradict each other."""

    type, title, status = "validation-error", "A field is not valid", 422


class UnsupportedFormat(Problem):
    """The upload is no model or dataset that is read here: a state dict, a pickle, another archive or format."""

    type, title, status = "unsupported-format", "This file format is not read", 415


class ModelMalformed(Problem):
    """The model's bytes are damaged: truncated, flipped, or not what the format says."""

    type, title, status = "model-malformed", "The model is damaged", 422


class ModelUnsupported(Problem):
    """The model is sound, but has no unit to ablate, no output of classes, or something the runtime cannot run."""

    type, title, status = "model-unsupported", "This model cannot be scored", 422


class ModelTooLarge(Problem):
    """The model's weights or activations are beyond what one may have."""

    type, title, status = "model-too-large", "The model is too large", 422


class OperatorNotAllowed(Problem):
    """The model uses an operator outside the allow-list."""

    type, title, status = "operator-not-allowed", "The model uses an operator that is not allowed", 422


class ExternalDataForbidden(Problem):
    """The model keeps weights in files that did not come along, or that lie outside the upload."""

    type, title, status = "external-data-forbidden", "The model refers to other files", 422


class DatasetMalformed(Problem):
    """The dataset is damaged, or what it holds cannot be used: ragged, not finite, objects, different lengths."""

    type, title, status = "dataset-malformed", "The dataset cannot be used", 422


class DatasetTooLarge(Problem):
    """The dataset unpacks to more than it may, or a picture has too many pixels."""

    type, title, status = "dataset-too-large", "The dataset is too large", 422


class DatasetMismatch(Problem):
    """The dataset does not fit the model or the config: shapes, types, names, labels, or a metric without labels."""

    type, title, status = "dataset-mismatch", "The dataset does not fit the model", 422


class WebhookUrlForbidden(Problem):
    """The webhook's URL is not https, not public, or not written the one plain way."""

    type, title, status = "webhook-url-forbidden", "Webhooks may not go there", 422


class Conflict(Problem):
    """The thing is not in a state that allows this."""

    type, title, status = "conflict", "Not possible in this state", 409


class NotReady(Problem):
    """What was asked for does not exist yet; ask again."""

    type, title, status = "not-ready", "Not there yet", 409


class NotComparable(Problem):
    """The two evaluations measure different things, or one has no score: their difference would mean nothing."""

    type, title, status = "not-comparable", "These evaluations cannot be compared", 422


class IdempotencyReused(Problem):
    """The Idempotency-Key was used before, with another request."""

    type, title, status = "idempotency-key-reused", "This Idempotency-Key belongs to another request", 422


class ModelCrashed(Problem):
    """The process that ran the model died, three times at the same place."""

    type, title, status = "model-crashed", "The model crashed the runtime", 422


class DeadlineExceeded(Problem):
    """The model or the evaluation took longer than its limit."""

    type, title, status = "deadline-exceeded", "Out of time", 422


class ResourceExhausted(Problem):
    """The model or dataset needed more memory than a compute process may use."""

    type, title, status = "resource-exhausted", "Out of memory", 422


class WorkerLost(Problem):
    """Workers vanished again and again while they worked on the same part."""

    type, title, status = "worker-lost", "The workers were lost", 500


class Internal(Problem):
    """A fault of the service."""

    type, title, status = "internal", "A fault of the service", 500


class Unavailable(Problem):
    """Something the service needs does not answer."""

    type, title, status = "unavailable", "Temporarily unavailable", 503


class Busy(Problem):
    """More requests came at once than the service can answer in time. Nothing was done; send it again, as
    `Retry-After` says."""

    type, title, status = "busy", "Too much at once", 503


class QueueFull(Problem):
    """More evaluations are queued than the service takes. Nothing was stored; send it again after Retry-After."""

    type, title, status = "queue-full", "The queue is full", 503


class InsufficientStorage(Problem):
    """There is no room left for uploads."""

    type, title, status = "insufficient-storage", "No room left", 507


BY_TYPE: dict[str, type[Problem]] = {kind.type: kind for kind in Problem.__subclasses__()}
"""Each problem by its type; a compute process names problems by these words."""


def invalid(errors: Sequence[Mapping[str, Any]], place: str = "") -> Invalid:
    """pydantic's errors as one problem, each with a JSON pointer; `place` is put in front of the pointers."""
    found = [
        {
            "pointer": "".join(f"/{_step(step)}" for step in ([place] if place else []) + list(error["loc"])) or "/",
            "detail": str(error["msg"]).removeprefix("Value error, "),
        }
        for error in errors
    ]
    listed = "; ".join(f"{error['pointer']}: {error['detail']}" for error in found[:5])
    return Invalid(f"Mend these fields and send the request again. {listed}", errors=found)


def _step(step: object) -> str:
    """A step of a JSON pointer (RFC 6901), as far as it can be shown: callers name fields as they like."""
    text = str(step).replace("~", "~0").replace("/", "~1")
    return "".join(sign if sign.isprintable() else "?" for sign in text[:SHOWN])
