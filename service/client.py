"""The Python client: models and datasets up, evaluations back. Speaks HTTP alone.

In short: `with Client(url) as client: client.evaluate(Path("model.onnx"), Path("test.npz")).wait().result`.
What is said is in `exchanges.py`, the errors are in `answered.py`, and `async_client.py` has the same for asyncio.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, assert_never

import httpx2

from service import exchanges, schemas, uploading
from service.addresses import is_here
from service.answered import ClientError, Refused, Unreachable, explained, read
from service.exchanges import Asked, Course, Drawn, Exchange, Files, Found, Next, Open, Pause, Report, Send, Tell

__all__ = ["Client", "ClientError", "Evaluation", "Refused", "Unreachable"]

T = TypeVar("T")
Seen = Callable[[schemas.Evaluation], None]


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
    """A connection to one service. Every method raises `Refused` or `Unreachable`.

    What a restart of the service breaks off is sent again, three times within some seconds; nothing is done twice.
    """

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", http: httpx2.Client | None = None, key: str | None = None
    ) -> None:
        """`key` is what the service asks for, unless it listens on loopback alone.

        `http` replaces the HTTP client, for other timeouts, certificates or an application in process.
        """
        with explained(base_url):
            self._http = http or httpx2.Client(
                base_url=base_url, timeout=exchanges.TIMEOUT, trust_env=not is_here(base_url)
            )
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
        return self._run(exchanges.upload(schemas.Model, [path, *weights]))

    def upload_dataset(self, path: Path) -> schemas.Dataset:
        """Upload a dataset: a file, or a folder of class folders, which is sent as a zip."""
        return self._run(exchanges.upload(schemas.Dataset, [path]))

    def inspected(self, uploaded: Found, timeout: float | None = None) -> Found:
        """An upload once a worker has looked at it; raises `Refused` if it is no good, or `TimeoutError`."""
        return self._run(exchanges.inspected(uploaded, timeout))

    def evaluate(
        self, model: Path | Files, dataset: Path | str, config: Asked = None, idempotency_key: str | None = None
    ) -> Evaluation:
        """Start an evaluation of files, or of uploads by digest (or of one of each).

        A model may be several files: an .onnx and those its weights lie in. A dataset may be a folder of class folders.
        The same `idempotency_key` again, by whatever process, gives the same evaluation; without one, each call makes
        its own.
        """
        return Evaluation(self, self._run(exchanges.evaluate(model, dataset, config, idempotency_key)))

    def get(self, evaluation: str, wait: float = 0) -> schemas.Evaluation:
        """One evaluation, once it has ended or `wait` seconds have passed."""
        return self._run(exchanges.evaluation(evaluation, wait))

    def standing(self, evaluation: str) -> schemas.Standing:
        """Where the score stands among networks of its kind; raises `Refused` while there is none."""
        return read(schemas.Standing, self._ask("GET", f"/v1/evaluations/{evaluation}/standing"))

    def cancel(self, evaluation: str) -> schemas.Evaluation:
        """Cancel an evaluation; raises `Refused` if it has succeeded or failed already."""
        return read(schemas.Evaluation, self._ask("DELETE", f"/v1/evaluations/{evaluation}"))

    def compare(self, baseline: str, candidate: str, **how: float | None) -> schemas.Comparison:
        """The candidate's score minus the baseline's, and with `max_drop` a verdict; raises `Refused`, saying why.

        how: `max_drop`, `confidence`, `memorisation`, as in `NewComparison`.
        """
        asked = {"baseline": baseline, "candidate": candidate, **how}
        return read(schemas.Comparison, self._ask("POST", "/v1/comparisons", json=asked))

    def comparison(self, baseline: str, candidate: str, kind: Drawn = "json", **how: float | None) -> bytes:
        """The same, such as CSV or a picture of both curves; raises `Refused`, saying why."""
        send = exchanges.comparison(baseline, candidate, kind, how)
        return self._run(exchanges.ask(send)).content

    def report(self, evaluation: str, kind: Report) -> bytes:
        """A report of an ended evaluation, such as JUnit XML or Markdown."""
        return self._ask("GET", f"/v1/evaluations/{evaluation}/report.{kind}").content

    def analysis(self, evaluation: str, name: schemas.Analysis, kind: Drawn = "json") -> bytes:
        """What one of its `analyses` found, such as CSV or a picture; raises `Refused` if it was not asked for."""
        return self._ask("GET", f"/v1/evaluations/{evaluation}/analyses/{name}.{kind}").content

    def make_policy(self, name: str, rules: schemas.Rules | dict[str, float], note: str = "") -> schemas.Policy:
        """Let a policy have these rules: a new version, unless it has them already. Wants `policies:write`."""
        return self._run(exchanges.make_policy(name, rules, note))

    def policy(self, reference: str) -> schemas.Policy:
        """NAME in its newest version, or NAME@VERSION."""
        return read(schemas.Policy, self._ask("GET", f"/v1/policies/{reference}"))

    def policies(self) -> Iterator[schemas.Policy]:
        """All policies by name, each in its newest version."""
        return self._told(Course(exchanges.every_policy()))

    def retire_policy(self, reference: str) -> None:
        """Retire a policy: no new evaluation can name it. NAME@VERSION only while that is the newest version."""
        self._ask("DELETE", f"/v1/policies/{reference}")

    def forget(self, evaluation: str) -> None:
        """Delete an ended evaluation with its result; raises `Refused` if it has not ended."""
        self._ask("DELETE", f"/v1/evaluations/{evaluation}", params={"forget": "true"})

    def delete(self, kind: Literal["model", "dataset"], digest: str) -> None:
        """Delete an upload; raises `Refused` while an evaluation needs it."""
        self._ask("DELETE", f"/v1/{kind}s/{digest}")

    def evaluations(self, state: schemas.State | None = None, page_size: int = 100) -> Iterator[schemas.Evaluation]:
        """All evaluations, newest first, asked for page by page as they are read."""
        return self._told(Course(exchanges.every(state, page_size)))

    def watch(self, evaluation: str, timeout: float | None = None) -> Iterator[schemas.Evaluation]:
        """The evaluation whenever something about it changed; the last one has ended. Raises `TimeoutError`."""
        return self._told(Course(exchanges.watch(evaluation, timeout)))

    def _ask(self, method: str, place: str, **request: Any) -> httpx2.Response:
        return self._run(exchanges.ask(Send(method, place, **request)))

    def _run(self, exchange: Exchange[T]) -> T:
        course = Course(exchange)
        for _ in self._told(course):
            pass
        return course.value

    def _told(self, course: Course[Any]) -> Iterator[Any]:
        """Carry out an exchange, step by step."""
        with _Line(self._http) as line:
            while (step := course.step) is not None:
                if isinstance(step, Tell):
                    yield step.what
                    course.answer(None)
                    continue
                try:
                    answer = line.do(step)
                except ClientError as error:
                    course.fail(error)
                else:
                    course.answer(answer)


class _Line:
    """The I/O of one exchange."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self._open = ExitStack()
        self._events: Iterator[httpx2.ServerSentEvent] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def do(self, step: Send | Open | Next | Pause) -> Any:
        with explained(self._http.base_url):
            match step:
                case Send():
                    return self._send(step)
                case Open():
                    return self._stream(step)
                case Next():
                    event = next(self._events, None)
                    return None if event is None else event.data
                case Pause():
                    time.sleep(step.seconds)
                    return None
                case _:
                    assert_never(step)

    def _send(self, request: Send) -> httpx2.Response:
        with ExitStack() as stack:
            arguments = request.arguments()
            if request.files:
                arguments["files"] = stack.enter_context(uploading.parts(request.files))
            if request.body is not None:
                arguments["content"] = stack.enter_context(uploading.opened(request.body))
            return self._http.request(request.method, request.place, **arguments)

    def _stream(self, step: Open) -> httpx2.Response:
        source = self._open.enter_context(self._http.sse(step.place, timeout=step.timeout))
        if not source.response.is_success:
            source.response.read()
        self._events = iter(source)
        return source.response
