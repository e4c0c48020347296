"""Answers of the service, read: what was asked for, or the error that says why not.

ClientError
├── Refused        the service said no, and why: `problem` is its problem+json object
└── Unreachable    nobody answers at that address, or the answer broke off
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

T = TypeVar("T", bound=BaseModel)
AWAY = (502, 503, 504)  # what a service, or the proxy before it, answers while it restarts
TOO_MANY = 429


class ClientError(Exception):
    """The request was not answered as wished; the message says why."""

    passing = False  # is it one that a restart of the service brings, and takes away?
    retry_after: float | None = None  # seconds after which the service wants to be asked again


class Refused(ClientError):
    """The service refused; `problem` has its type, title, status and detail."""

    def __init__(self, problem: dict[str, Any], retry_after: float | None = None) -> None:
        super().__init__(f"{problem.get('title', 'Refused')}: {problem.get('detail', 'no reason given')}")
        self.problem = problem
        self.retry_after = retry_after
        self.passing = problem.get("status") in AWAY


class Unreachable(ClientError):
    """There was no answer."""

    def __init__(self, message: str, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


@contextmanager
def explained(base_url: httpx2.URL | str) -> Iterator[None]:
    """Turn the HTTP library's errors into `Unreachable`."""
    try:
        yield
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise Unreachable(
            f"No answer from {base_url}: {reason}. Is the service running there? `lesion serve` starts one.",
            passing=not isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol),
        ) from error


def accept(answer: httpx2.Response) -> httpx2.Response:
    """Raise `Refused` unless the service did as asked. The body of a refusal must have been read."""
    if answer.is_success:
        return answer
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    raise Refused(problem, _retry_after(answer)) if isinstance(problem, dict) else _not_understood(answer)


def read(kind: type[T], answer: httpx2.Response) -> T:
    """The body of an answer; raises `Refused` if it is not what Lesion would say."""
    return valid(kind, answer.content, answer)


def valid(kind: type[T], text: str | bytes, answer: httpx2.Response) -> T:
    """A part of an answer, such as one event of a stream."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise _not_understood(answer) from error


def _retry_after(answer: httpx2.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _not_understood(answer: httpx2.Response) -> Refused:
    """For a proxy's page, something that is no Lesion, or a Lesion of another time."""
    detail = f"{answer.request.url} answered {answer.status_code}, but not as Lesion does. Is the address right?"
    return Refused({"title": "Not understood", "status": answer.status_code, "detail": detail}, _retry_after(answer))
