"""The Python client: models and datasets up, evaluations back. Speaks HTTP alone.

In short: `with Client(url) as client: client.evaluate(Path("model.onnx"), Path("test.npz")).wait().result`. It raises

    ClientError
    ├── Refused        the service said no, and why: `problem` is its problem+json object
    └── Unreachable    nobody answers at that address, or the answer broke off
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from service import schemas, uploading
from service.addresses import is_here
from service.schemas import ENDED

T = TypeVar("T", bound=BaseModel)
Found = TypeVar("Found", schemas.Model, schemas.Dataset)
Seen = Callable[[schemas.Evaluation], None]
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 120.0  # an upload waits for its inspection before it is answered
SILENCE = 40.0  # seconds without an event or a ping (one comes every 15) after which a stream counts as broken
POLL_SECONDS = 20.0  # how long one poll asks the service to wait
PAUSE = 0.5  # seconds between polls, for a service that does not wait, or is away
AWAY_SECONDS = 60.0  # how long a service may be away, for a restart, before waiting for it is given up


class ClientError(Exception):
    """The request was not answered as wished; the message says why."""


class Refused(ClientError):
    """The service refused; `problem` has its type, title, status and detail."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem.get('title', 'Refused')}: {problem.get('detail', 'no reason given')}")
        self.problem = problem


class Unreachable(ClientError):
    """There was no answer."""


class Evaluation:
    """One evaluation on the service; `now` is what was last heard of it."""

    def __init__(self, client: "Client", now: schemas.Evaluation) -> None:
        self._client = client
        self.now = now

    def __repr__(self) -> str:
        return f"<Evaluation {self.now.id} {self.now.state}>"

    @property
    def id(self) -> str:
        """Its id, to come back with later."""
        return self.now.id

    def reload(self) -> schemas.Evaluation:
        """Ask how it is."""
        self.now = self._client.get(self.id)
        return self.now

    def wait(self, on_progress: Seen | None = None, timeout: float | None = None) -> schemas.Evaluation:
        """Wait until it has ended, telling `on_progress` of all that is heard on the way.

        A stream that breaks and a service that restarts are put up with. Raises `TimeoutError` after `timeout` seconds;
        the evaluation goes on.
        """
        for seen in self._client.watch(self.id, timeout):
            self.now = seen
            if on_progress is not None:
                on_progress(seen)
        return self.now

    def cancel(self) -> schemas.Evaluation:
        """Cancel it; raises `Refused` if it has succeeded or failed already."""
        self.now = self._client.cancel(self.id)
        return self.now


class Client:
    """A connection to one service. Every method raises `Refused` or `Unreachable`."""

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", http: httpx2.Client | None = None, key: str | None = None
    ) -> None:
        """`key` is what the service asks for, unless it listens on loopback alone.

        `http` replaces the HTTP client, for other timeouts, certificates or an application in process.
        """
        timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        try:
            self._http = http or httpx2.Client(base_url=base_url, timeout=timeout, trust_env=not is_here(base_url))
        except httpx2.InvalidURL as error:
            raise Unreachable(f"{base_url!r} is no address: {error}.") from error
        if key is not None:
            self._http.headers["Authorization"] = f"Bearer {key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def upload_model(self, path: Path, *weights: Path) -> schemas.Model:
        """Upload a model, with the files its weights lie in if there are any; the same bytes are not stored twice."""
        return _read(schemas.Model, self._upload("/v1/models", [path, *weights]))

    def upload_dataset(self, path: Path) -> schemas.Dataset:
        """Upload a dataset: a file, or a folder of class folders, which is sent as a zip."""
        return _read(schemas.Dataset, self._upload("/v1/datasets", [path]))

    def inspected(self, uploaded: Found, timeout: float | None = None) -> Found:
        """An upload once a worker has looked at it; raises `Refused` if it is no good, or `TimeoutError`."""
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        kind = type(uploaded)
        while uploaded.state == "received":
            if time.monotonic() > deadline:
                raise TimeoutError(f"No worker has looked at the {kind.__name__.lower()} in time; it is kept.")
            time.sleep(PAUSE)
            uploaded = _read(kind, self._ask("GET", f"/v1/{kind.__name__.lower()}s/{uploaded.id}"))
        if uploaded.problem is not None:
            raise Refused(uploaded.problem.model_dump())
        return uploaded

    def evaluate(
        self,
        model: Path | Sequence[Path] | str,
        dataset: Path | str,
        config: schemas.Config | dict[str, Any] | None = None,
    ) -> Evaluation:
        """Start an evaluation of files, or of uploads by digest (or of one of each).

        A model may be several files: an .onnx and those its weights lie in. A dataset may be a folder of class folders.
        """
        asked = config.model_dump(exclude_unset=True) if isinstance(config, schemas.Config) else (config or {})
        files = [model] if isinstance(model, Path) else model
        if not isinstance(files, str) and isinstance(dataset, Path):
            with uploading.parts({"model": files, "dataset": [dataset]}) as parts:
                answer = self._ask("POST", "/v1/evaluations", data={"config": json.dumps(asked)}, files=parts)
        else:
            named = {
                "model": files if isinstance(files, str) else self.upload_model(*files).id,
                "dataset": self.upload_dataset(dataset).id if isinstance(dataset, Path) else dataset,
            }
            answer = self._ask("POST", "/v1/evaluations", json={**named, "config": asked})
        return Evaluation(self, _read(schemas.Evaluation, answer))

    def get(self, evaluation: str, wait: float = 0) -> schemas.Evaluation:
        """One evaluation, once it has ended or `wait` seconds have passed."""
        return _read(schemas.Evaluation, self._ask("GET", f"/v1/evaluations/{evaluation}", params={"wait": wait}))

    def standing(self, evaluation: str) -> schemas.Standing:
        """Where the score stands among networks of its kind; raises `Refused` while there is none."""
        return _read(schemas.Standing, self._ask("GET", f"/v1/evaluations/{evaluation}/standing"))

    def cancel(self, evaluation: str) -> schemas.Evaluation:
        """Cancel an evaluation; raises `Refused` if it has succeeded or failed already."""
        return _read(schemas.Evaluation, self._ask("DELETE", f"/v1/evaluations/{evaluation}"))

    def compare(self, baseline: str, candidate: str, **how: float | None) -> schemas.Comparison:
        """The candidate's score minus the baseline's, and with `max_drop` a verdict; raises `Refused`, saying why.

        how: `max_drop`, `confidence`, `memorisation`, as in `NewComparison`.
        """
        asked = {"baseline": baseline, "candidate": candidate, **how}
        return _read(schemas.Comparison, self._ask("POST", "/v1/comparisons", json=asked))

    def report(self, evaluation: str, kind: Literal["xml", "md"]) -> bytes:
        """A report of an ended evaluation: JUnit XML, or Markdown."""
        return self._ask("GET", f"/v1/evaluations/{evaluation}/report.{kind}").content

    def forget(self, evaluation: str) -> None:
        """Delete an ended evaluation with its result; raises `Refused` if it has not ended."""
        self._ask("DELETE", f"/v1/evaluations/{evaluation}", params={"forget": "true"})

    def delete(self, kind: Literal["model", "dataset"], digest: str) -> None:
        """Delete an upload; raises `Refused` while an evaluation needs it."""
        self._ask("DELETE", f"/v1/{kind}s/{digest}")

    def evaluations(self, state: schemas.State | None = None, page_size: int = 100) -> Iterator[schemas.Evaluation]:
        """All evaluations, newest first, asked for page by page as they are read."""
        query: dict[str, str] = {"limit": str(page_size)} | ({"state": state} if state else {})
        while True:
            page = _read(schemas.Evaluations, self._ask("GET", "/v1/evaluations", params=query))
            yield from page.data
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    def watch(self, evaluation: str, timeout: float | None = None) -> Iterator[schemas.Evaluation]:
        """The evaluation whenever something about it changed; the last one has ended. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        try:
            for seen in self._events(evaluation, deadline):
                yield seen
                if seen.state in ENDED:
                    return
        except ClientError as error:
            if not _passing(error):
                raise  # else polling finds out whether the service comes back
        yield from self._polls(evaluation, deadline)

    def _events(self, evaluation: str, deadline: float) -> Iterator[schemas.Evaluation]:
        timeout = httpx2.Timeout(CONNECT_SECONDS, read=min(SILENCE, max(0.01, deadline - time.monotonic())))
        with _explained(self._http), self._http.sse(f"/v1/evaluations/{evaluation}/events", timeout=timeout) as source:
            _accept(source.response)
            for event in source:
                yield _valid(schemas.Evaluation, event.data, source.response)
                if time.monotonic() > deadline:
                    return

    def _polls(self, evaluation: str, deadline: float) -> Iterator[schemas.Evaluation]:
        heard = time.monotonic()
        while (left := deadline - time.monotonic()) > 0:
            try:
                seen = self.get(evaluation, wait=round(min(POLL_SECONDS, left), 3))
                heard = time.monotonic()
                yield seen
                if seen.state in ENDED:
                    return
            except ClientError as error:
                if not _passing(error) or time.monotonic() - heard > AWAY_SECONDS:
                    raise
            time.sleep(min(PAUSE, left))
        raise TimeoutError(f"The evaluation {evaluation} has not ended in time; it goes on.")

    def _upload(self, place: str, files: Sequence[Path]) -> httpx2.Response:
        if len(files) > 1:
            with uploading.parts({"file": files}) as parts:
                return self._ask("POST", place, files=parts)
        with uploading.opened(files[0]) as file:
            return self._ask("POST", place, content=file, headers={"Content-Type": uploading.BYTES})

    def _ask(self, method: str, place: str, **request: Any) -> httpx2.Response:
        with _explained(self._http):
            answer = self._http.request(method, place, **request)
        _accept(answer)
        return answer


@contextmanager
def _explained(http: httpx2.Client) -> Iterator[None]:
    try:
        yield
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        why = f"{http.base_url}: {str(error) or type(error).__name__}"
        raise Unreachable(f"No answer from {why}. Is the service running there? `lesion serve` starts one.") from error


def _accept(answer: httpx2.Response) -> None:
    """Raise `Refused` unless the service did as asked."""
    if answer.is_success:
        return
    answer.read()
    with suppress(ValueError):
        if isinstance(problem := answer.json(), dict):
            raise Refused(problem)
    raise _not_understood(answer)


def _read(kind: type[T], answer: httpx2.Response) -> T:
    return _valid(kind, answer.content, answer)


def _valid(kind: type[T], text: str | bytes, answer: httpx2.Response) -> T:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise _not_understood(answer) from error


def _not_understood(answer: httpx2.Response) -> Refused:
    """For a proxy's page, something that is no Lesion, or a Lesion of another time."""
    detail = f"{answer.request.url} answered {answer.status_code}, but not as Lesion does. Is the address right?"
    return Refused({"title": "Not understood", "status": answer.status_code, "detail": detail})


def _passing(error: ClientError) -> bool:
    """Is it one of the errors that a restart of the service brings, and takes away?"""
    return isinstance(error, Unreachable) or (isinstance(error, Refused) and error.problem.get("status") in (502, 503))
