"""What a client says to the service and how it takes the answers: all of a client but the I/O.

An exchange is a generator. It yields steps, is sent what came of each, and returns what the caller wanted:

    Send     a request               its answer
    Open     a stream of events      the head of its answer
    Next     the next event          its data; None where the stream has ended
    Pause    so many seconds         nothing
    Tell     something for the caller, of an exchange that tells several things

`client.py` and `async_client.py` carry the steps out; what goes wrong is thrown into the exchange as a `ClientError`.
"""

import json
import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import httpx2

from service import schemas, uploading
from service.answered import TOO_MANY, ClientError, Refused, accept, read, valid
from service.schemas import ENDED

T = TypeVar("T")
Found = TypeVar("Found", schemas.Model, schemas.Dataset)
Files = Sequence[Path] | str  # of a model: its files, or the digest of an upload
Report = Literal["xml", "md", "sarif", "html"]
Drawn = Literal["json", "csv", "svg", "png"]
Asked = schemas.Config | dict[str, Any] | None

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 120.0  # an upload waits for its inspection before it is answered
SILENCE = 40.0  # seconds without an event or a ping (one comes every 15) after which a stream counts as broken
POLL_SECONDS = 20.0  # how long one poll asks the service to wait
TIMEOUT = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
PAUSE = 0.5  # seconds between polls, for a service that does not wait, or is away
AWAY_SECONDS = 60.0  # how long a service may be away, for a restart, before waiting for it is given up
RETRIES = (0.5, 1.0, 2.0)  # seconds before a request is sent again; up to half as much again is added
PATIENCE = 15.0  # the longest Retry-After that is waited for


@dataclass(frozen=True)
class Send:
    """A request. `files` are the parts of a form, by field; `body` is a file, or a folder, that is the whole body."""

    method: str
    place: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    body: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """What the HTTP client is given of it, but for the files."""
        given = {"params": self.params, "json": self.json, "data": self.form, "headers": self.headers}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Open:
    """A stream of events, read with this patience, in seconds, for each."""

    place: str
    patience: float

    @property
    def timeout(self) -> httpx2.Timeout:
        """The same for the HTTP client."""
        return httpx2.Timeout(CONNECT_SECONDS, read=self.patience)


@dataclass(frozen=True)
class Next:
    """The next event of the stream that was opened last."""


@dataclass(frozen=True)
class Pause:
    """So many seconds of nothing."""

    seconds: float


@dataclass(frozen=True)
class Tell:
    """Something for the caller."""

    what: Any


Step = Send | Open | Next | Pause | Tell
Exchange = Generator[Step, Any, T]


class Course(Generic[T]):
    """An exchange under way: `step` is what has to be done now, None at its end, when `value` is what it returned."""

    def __init__(self, exchange: Exchange[T]) -> None:
        self._exchange = exchange
        self.step: Step | None = None
        self.value: T
        self.answer(None)

    def answer(self, what: Any) -> None:
        """The step went well, with this."""
        try:
            self.step = self._exchange.send(what)
        except StopIteration as end:
            self.step, self.value = None, end.value

    def fail(self, error: ClientError) -> None:
        """The step went wrong; raises the error if the exchange cannot go on."""
        try:
            self.step = self._exchange.throw(error)
        except StopIteration as end:
            self.step, self.value = None, end.value


def once(request: Send) -> Exchange[httpx2.Response]:
    """Send a request. Raises `ClientError`."""
    return accept((yield request))


def ask(request: Send) -> Exchange[httpx2.Response]:
    """Send a request, again where a restart or too many requests came between. Raises `ClientError`.

    Whatever is sent may be sent twice: uploads are named by their bytes, evaluations carry an Idempotency-Key, and
    what is deleted already is deleted.
    """
    for number, pause in enumerate((*RETRIES, None)):
        try:
            return (yield from once(request))
        except ClientError as error:
            if number and request.method == "DELETE" and _status(error) == 404:
                return httpx2.Response(204)  # the answer to the first was lost
            wait = None if pause is None else _pause(error, pause)
            if wait is None:
                raise
        yield Pause(wait)
    raise AssertionError("the last one returned or raised")


def _pause(error: ClientError, pause: float) -> float | None:
    """How long to wait before a request is repeated; None if it isn't worth it."""
    if not error.passing and _status(error) != TOO_MANY:
        return None
    longer = pause * (1 + secrets.randbelow(500) / 1000)  # so that many callers do not come back together
    asked = error.retry_after or 0.0
    return None if asked > PATIENCE else max(longer, asked)


def _status(error: ClientError) -> int | None:
    return error.problem.get("status") if isinstance(error, Refused) else None


def evaluation(id: str, wait: float = 0) -> Exchange[schemas.Evaluation]:
    """One evaluation, once it has ended or `wait` seconds have passed."""
    return read(schemas.Evaluation, (yield from ask(_look(id, wait))))


def _look(id: str, wait: float) -> Send:
    return Send("GET", f"/v1/evaluations/{id}", params={"wait": wait})


def comparison(baseline: str, candidate: str, kind: Drawn, how: Mapping[str, float | None]) -> Send:
    """Two evaluations against each other, as a file. What is None is not asked for."""
    given = {name: value for name, value in how.items() if value is not None}
    return Send("GET", f"/v1/evaluations/{candidate}/comparison.{kind}", params={"baseline": baseline, **given})


def upload(kind: type[Found], files: Sequence[Path]) -> Exchange[Found]:
    """A model or a dataset up; several files come as one form."""
    place = f"/v1/{kind.__name__.lower()}s"
    if len(files) > 1:
        request = Send("POST", place, files={"file": files})
    else:
        request = Send("POST", place, body=files[0], headers={"Content-Type": uploading.BYTES})
    return read(kind, (yield from ask(request)))


def inspected(uploaded: Found, timeout: float | None) -> Exchange[Found]:
    """An upload once a worker has looked at it; raises `Refused` if it is no good, or `TimeoutError`."""
    deadline = _deadline(timeout)
    kind = type(uploaded)
    while uploaded.state == "received":
        if time.monotonic() > deadline:
            raise TimeoutError(f"No worker has looked at the {kind.__name__.lower()} in time; it is kept.")
        yield Pause(PAUSE)
        uploaded = read(kind, (yield from ask(Send("GET", f"/v1/{kind.__name__.lower()}s/{uploaded.id}"))))
    if uploaded.problem is not None:
        raise Refused(uploaded.problem.model_dump())
    return uploaded


def evaluate(model: Path | Files, dataset: Path | str, config: Asked, key: str | None) -> Exchange[schemas.Evaluation]:
    """An evaluation of files, or of uploads by digest, or of one of each. `key` is its Idempotency-Key."""
    asked = config.model_dump(exclude_unset=True) if isinstance(config, schemas.Config) else (config or {})
    headers = {"Idempotency-Key": key or secrets.token_urlsafe(24)}
    files: Files = [model] if isinstance(model, Path) else model
    if not isinstance(files, str) and isinstance(dataset, Path):
        parts = {"model": files, "dataset": [dataset]}
        request = Send("POST", "/v1/evaluations", form={"config": json.dumps(asked)}, files=parts, headers=headers)
    else:
        named = {"model": files if isinstance(files, str) else (yield from upload(schemas.Model, files)).id}
        named["dataset"] = (yield from upload(schemas.Dataset, [dataset])).id if isinstance(dataset, Path) else dataset
        request = Send("POST", "/v1/evaluations", json={**named, "config": asked}, headers=headers)
    return read(schemas.Evaluation, (yield from ask(request)))


def every(state: schemas.State | None, page_size: int) -> Exchange[None]:
    """Tells of all evaluations, newest first, page by page."""
    query: dict[str, str] = {"limit": str(page_size)} | ({"state": state} if state else {})
    while True:
        page = read(schemas.Evaluations, (yield from ask(Send("GET", "/v1/evaluations", params=query))))
        for each in page.data:
            yield Tell(each)
        if page.next_cursor is None:
            return
        query["cursor"] = page.next_cursor


def every_policy() -> Exchange[None]:
    """Tells of all policies by name, each in its newest version, page by page."""
    query = {"limit": "100"}
    while True:
        page = read(schemas.Policies, (yield from ask(Send("GET", "/v1/policies", params=query))))
        for each in page.data:
            yield Tell(each)
        if page.next_cursor is None:
            return
        query["cursor"] = page.next_cursor


def make_policy(name: str, rules: schemas.Rules | dict[str, float], note: str) -> Exchange[schemas.Policy]:
    """A policy with these rules, or its next version."""
    given = rules.model_dump(exclude_none=True) if isinstance(rules, schemas.Rules) else rules
    asked = {"name": name, "rules": given, "note": note}
    return read(schemas.Policy, (yield from ask(Send("POST", "/v1/policies", json=asked))))


def watch(id: str, timeout: float | None) -> Exchange[None]:
    """Tells of an evaluation whenever something about it changed; the last one has ended. Raises `TimeoutError`."""
    deadline = _deadline(timeout)
    try:
        if (yield from _events(id, deadline)):
            return
    except ClientError as error:
        if not error.passing:
            raise  # else polling finds out whether the service comes back
    yield from _polls(id, deadline)


def _events(id: str, deadline: float) -> Exchange[bool]:
    """Tells what a stream says. Has the evaluation ended?"""
    patience = min(SILENCE, max(0.01, deadline - time.monotonic()))
    head = accept((yield Open(f"/v1/evaluations/{id}/events", patience)))
    while (data := (yield Next())) is not None:
        seen = valid(schemas.Evaluation, data, head)
        yield Tell(seen)
        if seen.state in ENDED:
            return True
        if time.monotonic() > deadline:
            return False
    return False


def _polls(id: str, deadline: float) -> Exchange[None]:
    heard = time.monotonic()
    while (left := deadline - time.monotonic()) > 0:
        try:
            answer = yield from once(_look(id, round(min(POLL_SECONDS, left), 3)))
            seen = read(schemas.Evaluation, answer)
            heard = time.monotonic()
            yield Tell(seen)
            if seen.state in ENDED:
                return
        except ClientError as error:
            if not error.passing or time.monotonic() - heard > AWAY_SECONDS:
                raise
        yield Pause(min(PAUSE, left))
    raise TimeoutError(f"The evaluation {id} has not ended in time; it goes on.")


def _deadline(timeout: float | None) -> float:
    return time.monotonic() + timeout if timeout is not None else float("inf")
