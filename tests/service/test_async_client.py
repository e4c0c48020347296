"""The client for asyncio: against the real application behind a real socket, and against servers that misbehave."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from service import exchanges, schemas
from service.async_client import AsyncClient, AsyncEvaluation, Refused, Unreachable
from service.client import Client, Evaluation
from tests.service import answers


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are repeated as often as ever, but at once."""
    monkeypatch.setattr(exchanges, "RETRIES", (0.0, 0.0, 0.0))


def talk(address: str, what: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    """Run a coroutine with a client of that address."""

    async def main() -> Any:
        async with AsyncClient(address) as client:
            return await what(client)

    return asyncio.run(main())


def misbehaving(handler: Callable[[httpx2.Request], httpx2.Response]) -> AsyncClient:
    """A client whose service is this function."""
    http = httpx2.AsyncClient(base_url="http://lesion.test", transport=httpx2.MockTransport(handler))
    return AsyncClient(http=http)


@pytest.mark.parametrize(("plain", "waiting"), [(Client, AsyncClient), (Evaluation, AsyncEvaluation)])
def test_both_clients_have_the_same_methods(plain, waiting):
    """With the same parameters, and each with a word about it."""

    def methods(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(one).parameters) for name, one in found if not name.startswith("_")}

    assert methods(plain) == methods(waiting)
    assert all(getattr(waiting, name).__doc__ for name in methods(waiting))


def test_files_are_evaluated_and_waited_for(server, files, worker):
    """From two files to a result, with progress told to a function and to a coroutine function."""
    told: list[str] = []

    async def in_turn(seen: schemas.Evaluation) -> None:
        await asyncio.sleep(0)
        told.append(f"async {seen.state}")

    async def main(client: AsyncClient) -> schemas.Evaluation:
        evaluation = await client.evaluate(files[0], files[1], {"seed": 7})
        assert evaluation.now.config.seed == 7
        thread = worker(answers.result())
        answer = await evaluation.wait(in_turn, timeout=20)
        await asyncio.to_thread(thread.join)
        assert await evaluation.wait(lambda seen: told.append(seen.state), timeout=20) == answer
        assert await evaluation.reload() == answer
        with pytest.raises(Refused, match="Not possible in this state"):
            await evaluation.cancel()
        return answer

    answer = talk(server.address, main)
    assert answer.result.score == answers.estimate(0.612)
    assert told[-2:] == ["async succeeded", "succeeded"]


def test_uploads_name_what_was_sent(server, files, tmp_path):
    """One file as it is, several as a form, a folder as a zip; and what is deleted is gone."""
    weights, folder = tmp_path / "model.onnx.data", tmp_path / "images" / "cat"
    weights.write_bytes(b"weights")
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"an image")

    async def main(client: AsyncClient) -> None:
        model = await client.upload_model(files[0])
        assert model.size == files[0].stat().st_size
        assert (await client.upload_model(files[0], weights)).size > model.size
        images = await client.upload_dataset(tmp_path / "images")
        evaluation = await client.evaluate(model.id, images.id)
        again = await client.evaluate(model.id, tmp_path / "images")
        assert again.now.dataset == images.id
        with pytest.raises(Refused, match="in use"):
            await client.delete("dataset", images.id)
        await again.cancel()
        assert (await evaluation.cancel()).state == "cancelled"
        await client.delete("dataset", images.id)
        assert [one.id async for one in client.evaluations(state="cancelled")] == [again.id, evaluation.id]
        await client.forget(evaluation.id)
        with pytest.raises(Refused, match="There is no evaluation"):
            await client.get(evaluation.id)

    talk(server.address, main)


def test_many_are_waited_for_at_once(server, files, worker):
    """Thirty evaluations on one client: each hears of its own end."""

    async def main(client: AsyncClient) -> list[str]:
        model, dataset = (await client.upload_model(files[0])).id, (await client.upload_dataset(files[1])).id
        made = [await client.evaluate(model, dataset, {"seed": seed}) for seed in range(30)]
        waits = [asyncio.create_task(one.wait(timeout=60)) for one in made]
        await asyncio.to_thread(_all, worker, len(made))
        ended = await asyncio.gather(*waits)
        assert [one.id for one in ended] == [one.id for one in made]
        return [one.state for one in ended]

    assert talk(server.address, main) == ["succeeded"] * 30


def _all(worker: Any, count: int) -> None:
    for _ in range(count):
        worker(answers.result()).join()


def test_policies_and_reports(server, files, worker):
    """The rest of what is one request each."""

    async def main(client: AsyncClient) -> None:
        assert (await client.make_policy("production", {"min_score": 0.3})).id == "production@1"
        assert (await client.policy("production")).rules.min_score == 0.3
        assert [one.id async for one in client.policies()] == ["production@1"]
        evaluation = await client.evaluate(files[0], files[1], {"seed": 1})
        thread = worker(answers.result())
        await evaluation.wait(timeout=20)
        await asyncio.to_thread(thread.join)
        assert (await client.report(evaluation.id, "xml")).startswith(b"<?xml")
        assert b"<html" in await client.report(evaluation.id, "html")
        with pytest.raises(Refused, match="`noise` was not asked for"):
            await client.analysis(evaluation.id, "noise", "csv")
        with pytest.raises(Refused, match="cannot be compared"):
            await client.compare(evaluation.id, evaluation.id)
        await client.retire_policy("production")

    talk(server.address, main)


def test_a_task_that_is_cancelled_leaves_the_evaluation_alone(server, files):
    """Nobody waits any more, and still it is queued."""

    async def main(client: AsyncClient) -> str:
        evaluation = await client.evaluate(*files)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(evaluation.wait(), 0.2)
        return (await client.get(evaluation.id)).state

    assert talk(server.address, main) == "queued"


def test_waiting_ends_at_its_timeout(server, files):
    """The error says that the evaluation goes on."""

    async def main(client: AsyncClient) -> None:
        evaluation = await client.evaluate(*files)
        with pytest.raises(TimeoutError, match="goes on"):
            await evaluation.wait(timeout=0.2)

    talk(server.address, main)


def test_nobody_there_says_what_to_do():
    """As the other client says it."""
    with pytest.raises(Unreachable, match="lesion serve"):
        talk("http://127.0.0.1:9", lambda client: client.get("ev_1"))


def test_a_broken_stream_falls_back_to_polling():
    """The events break off, the service is away for a moment, and still the end is heard."""
    running, ended = answers.evaluation("running"), answers.evaluation("succeeded")
    asked: list[str] = []

    async def stream() -> AsyncIterator[bytes]:
        yield f"event: progress\ndata: {running.model_dump_json()}\n\n: ping\n\n".encode()
        raise httpx2.ReadError("connection reset")

    def service(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        if request.url.path.endswith("/events"):
            return httpx2.Response(200, content=stream(), headers={"Content-Type": "text/event-stream"})
        if len(asked) == 2:
            raise httpx2.ConnectError("away")
        return httpx2.Response(200, text=ended.model_dump_json())

    async def main() -> list[str]:
        return [one.state async for one in misbehaving(service).watch("ev_1", timeout=20)]

    assert asyncio.run(main()) == ["running", "succeeded"]
    assert len(asked) == 3


def test_requests_are_repeated_with_their_key(files):
    """What a restart breaks off is sent again, whole, and once only is it another evaluation."""
    seen: list[tuple[str, int]] = []

    def service(request: httpx2.Request) -> httpx2.Response:
        seen.append((request.headers["Idempotency-Key"], len(request.content)))
        if len(seen) < 3:
            raise httpx2.ReadError("connection reset")
        return httpx2.Response(202, text=answers.evaluation("queued").model_dump_json())

    asyncio.run(misbehaving(service).evaluate(*files))
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0][1] > 2000
