"""The Python client for asyncio (and trio): the same methods as `client.py`, to be awaited.

In short: `async with AsyncClient(url) as client: answer = await (await client.evaluate(model, dataset)).wait()`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from inspect import isawaitable
from os import fstat
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypeVar, assert_never

import anyio
import httpx2
from anyio import to_thread

from service import exchanges, schemas, uploading
from service.addresses import is_here
from service.answered import ClientError, Refused, Unreachable, explained, read
from service.exchanges import Asked, Course, Drawn, Exchange, Files, Found, Next, Open, Pause, Report, Send, Tell

__all__ = ["AsyncClient", "AsyncEvaluation", "ClientError", "Refused", "Unreachable"]

T = TypeVar("T")
Seen = Callable[[schemas.Evaluation], Awaitable[None] | None]
PIECE = 256 * 1024  # bytes read of a file at a time, in a thread


class AsyncEvaluation:
    """One evaluation on the service; `now` is what was last heard of it."""

    def __init__(self, client: "AsyncClient", now: schemas.Evaluation) -> None:
        self._client = client
        self.now = now

    def __repr__(self) -> str:
        return f"<AsyncEvaluation {self.now.id} {self.now.state}>"

    @property
    def id(self) -> str:
        """Its id, to come back with later."""
        return self.now.id

    async def reload(self) -> schemas.Evaluation:
        """Ask how it is."""
        self.now = await self._client.get(self.id)
        return self.now

    async def wait(self, on_progress: Seen | None = None, timeout: float | None = None) -> schemas.Evaluation:
        """Wait until it has ended, telling `on_progress`, a function or a coroutine function, of all that is heard.

        A stream that breaks and a service that restarts are put up with. Raises `TimeoutError` after `timeout` seconds;
        the evaluation goes on, as it does when the task that waits is cancelled.
        """
        async for seen in self._client.watch(self.id, timeout):
            self.now = seen
            if on_progress is not None and isawaitable(done := on_progress(seen)):
                await done
        return self.now

    async def cancel(self) -> schemas.Evaluation:
        """Cancel it; raises `Refused` if it has succeeded or failed already."""
        self.now = await self._client.cancel(self.id)
        return self.now


class AsyncClient:
    """A connection to one service, as `Client` is; many evaluations may be waited for at once."""

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", http: httpx2.AsyncClient | None = None, key: str | None = None
    ) -> None:
        """`key` is what the service asks for; `http` replaces the HTTP client."""
        with explained(base_url):
            self._http = http or httpx2.AsyncClient(
                base_url=base_url, timeout=exchanges.TIMEOUT, trust_env=not is_here(base_url)
            )
        if key is not None:
            self._http.headers["Authorization"] = f"Bearer {key}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def upload_model(self, path: Path, *weights: Path) -> schemas.Model:
        """Upload a model, with the files its weights lie in if there are any; the same bytes are not stored twice."""
        return await self._run(exchanges.upload(schemas.Model, [path, *weights]))

    async def upload_dataset(self, path: Path) -> schemas.Dataset:
        """Upload a dataset: a file, or a folder of class folders, which is sent as a zip."""
        return await self._run(exchanges.upload(schemas.Dataset, [path]))

    async def inspected(self, uploaded: Found, timeout: float | None = None) -> Found:
        """An upload once a worker has looked at it; raises `Refused` if it is no good, or `TimeoutError`."""
        return await self._run(exchanges.inspected(uploaded, timeout))

    async def evaluate(
        self, model: Path | Files, dataset: Path | str, config: Asked = None, idempotency_key: str | None = None
    ) -> AsyncEvaluation:
        """Start an evaluation of files, or of uploads by digest (or of one of each), as `Client.evaluate` does."""
        return AsyncEvaluation(self, await self._run(exchanges.evaluate(model, dataset, config, idempotency_key)))

    async def get(self, evaluation: str, wait: float = 0) -> schemas.Evaluation:
        """One evaluation, once it has ended or `wait` seconds have passed."""
        return await self._run(exchanges.evaluation(evaluation, wait))

    async def standing(self, evaluation: str) -> schemas.Standing:
        """Where the score stands among networks of its kind; raises `Refused` while there is none."""
        return read(schemas.Standing, await self._ask("GET", f"/v1/evaluations/{evaluation}/standing"))

    async def cancel(self, evaluation: str) -> schemas.Evaluation:
        """Cancel an evaluation; raises `Refused` if it has succeeded or failed already."""
        return read(schemas.Evaluation, await self._ask("DELETE", f"/v1/evaluations/{evaluation}"))

    async def compare(self, baseline: str, candidate: str, **how: float | None) -> schemas.Comparison:
        """The candidate's score minus the baseline's, and with `max_drop` a verdict; raises `Refused`, saying why.

        how: `max_drop`, `confidence`, `memorisation`, as in `NewComparison`.
        """
        asked = {"baseline": baseline, "candidate": candidate, **how}
        return read(schemas.Comparison, await self._ask("POST", "/v1/comparisons", json=asked))

    async def comparison(self, baseline: str, candidate: str, kind: Drawn = "json", **how: float | None) -> bytes:
        """The same, such as CSV or a picture of both curves; raises `Refused`, saying why."""
        send = exchanges.comparison(baseline, candidate, kind, how)
        return (await self._run(exchanges.ask(send))).content

    async def report(self, evaluation: str, kind: Report) -> bytes:
        """A report of an ended evaluation, such as JUnit XML or Markdown."""
        return (await self._ask("GET", f"/v1/evaluations/{evaluation}/report.{kind}")).content

    async def analysis(self, evaluation: str, name: schemas.Analysis, kind: Drawn = "json") -> bytes:
        """What one of its `analyses` found, such as CSV or a picture; raises `Refused` if it was not asked for."""
        return (await self._ask("GET", f"/v1/evaluations/{evaluation}/analyses/{name}.{kind}")).content

    async def make_policy(self, name: str, rules: schemas.Rules | dict[str, float], note: str = "") -> schemas.Policy:
        """Let a policy have these rules: a new version, unless it has them already. Wants `policies:write`."""
        return await self._run(exchanges.make_policy(name, rules, note))

    async def policy(self, reference: str) -> schemas.Policy:
        """NAME in its newest version, or NAME@VERSION."""
        return read(schemas.Policy, await self._ask("GET", f"/v1/policies/{reference}"))

    def policies(self) -> AsyncIterator[schemas.Policy]:
        """All policies by name, each in its newest version."""
        return self._told(Course(exchanges.every_policy()))

    async def retire_policy(self, reference: str) -> None:
        """Retire a policy: no new evaluation can name it. NAME@VERSION only while that is the newest version."""
        await self._ask("DELETE", f"/v1/policies/{reference}")

    async def forget(self, evaluation: str) -> None:
        """Delete an ended evaluation with its result; raises `Refused` if it has not ended."""
        await self._ask("DELETE", f"/v1/evaluations/{evaluation}", params={"forget": "true"})

    async def delete(self, kind: Literal["model", "dataset"], digest: str) -> None:
        """Delete an upload; raises `Refused` while an evaluation needs it."""
        await self._ask("DELETE", f"/v1/{kind}s/{digest}")

    def evaluations(
        self, state: schemas.State | None = None, page_size: int = 100
    ) -> AsyncIterator[schemas.Evaluation]:
        """All evaluations, newest first, asked for page by page as they are read."""
        return self._told(Course(exchanges.every(state, page_size)))

    def watch(self, evaluation: str, timeout: float | None = None) -> AsyncIterator[schemas.Evaluation]:
        """The evaluation whenever something about it changed; the last one has ended. Raises `TimeoutError`."""
        return self._told(Course(exchanges.watch(evaluation, timeout)))

    async def _ask(self, method: str, place: str, **request: Any) -> httpx2.Response:
        return await self._run(exchanges.ask(Send(method, place, **request)))

    async def _run(self, exchange: Exchange[T]) -> T:
        course = Course(exchange)
        async for _ in self._told(course):
            pass
        return course.value

    async def _told(self, course: Course[Any]) -> AsyncIterator[Any]:
        """Carry out an exchange, step by step."""
        async with _Line(self._http) as line:
            while (step := course.step) is not None:
                if isinstance(step, Tell):
                    yield step.what
                    course.answer(None)
                    continue
                try:
                    answer = await line.do(step)
                except ClientError as error:
                    course.fail(error)
                else:
                    course.answer(answer)


class _Line:
    """The I/O of one exchange."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._open = AsyncExitStack()
        self._events: AsyncIterator[httpx2.ServerSentEvent] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def do(self, step: Send | Open | Next | Pause) -> Any:
        with explained(self._http.base_url):
            match step:
                case Send():
                    return await self._send(step)
                case Open():
                    return await self._stream(step)
                case Next():
                    return await self._next()
                case Pause():
                    await anyio.sleep(step.seconds)
                    return None
                case _:
                    assert_never(step)

    async def _send(self, request: Send) -> httpx2.Response:
        async with AsyncExitStack() as stack:
            arguments = request.arguments()
            # Opening a folder packs it, which may take long; so it's done in a thread.
            if request.files:
                parts = uploading.parts(request.files)
                arguments["files"] = await to_thread.run_sync(stack.enter_context, parts)
            if request.body is not None:
                file = await to_thread.run_sync(stack.enter_context, uploading.opened(request.body))
                length = {"Content-Length": str(fstat(file.fileno()).st_size)}
                arguments |= {"content": _pieces(file), "headers": {**request.headers, **length}}
            return await self._http.request(request.method, request.place, **arguments)

    async def _stream(self, step: Open) -> httpx2.Response:
        source = await self._open.enter_async_context(self._http.sse(step.place, timeout=step.timeout))
        if not source.response.is_success:
            await source.response.aread()
        self._events = aiter(source)
        return source.response

    async def _next(self) -> str | None:
        assert self._events is not None, "a stream was opened before"
        event = await anext(self._events, None)
        return None if event is None else event.data


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await to_thread.run_sync(partial(file.read, PIECE)):
        yield piece
