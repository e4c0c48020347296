"""The Python client against the real application, in process; and against servers that misbehave."""

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from service import exchanges, problems, schemas
from service.app import create_app
from service.client import Client, Refused, Unreachable
from service.settings import Settings
from service.store import artifacts, evaluations
from service.store.session import connect, transaction
from service.store.tenants import DEFAULT
from tests.conftest import HERE
from tests.service import answers


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are repeated as often as ever, but at once."""
    monkeypatch.setattr(exchanges, "RETRIES", (0.0, 0.0, 0.0))


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """A client that drives the real application in process."""
    with TestClient(create_app(settings), HERE) as http:
        yield Client(http=http)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two files to upload. Nobody inspects them here."""
    model, dataset = tmp_path / "model.onnx", tmp_path / "test.npz"
    model.write_bytes(np.random.default_rng(0).bytes(300_000))
    dataset.write_bytes(np.random.default_rng(1).bytes(200_000))
    return model, dataset


def in_background(work: Callable[[], None]) -> threading.Thread:
    """Run something beside the test."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def as_a_worker(settings: Settings, evaluation: str) -> None:
    """Take an evaluation to its end as a worker does, through the store."""
    engine = connect(settings.database)
    with transaction(engine) as db:
        claim = evaluations.claim(db, evaluation, "test", 30)
    assert claim is not None
    with transaction(engine) as db:
        evaluations.show_progress(db, claim, schemas.Progress(trials=512, score=answers.estimate(0.6), share=0.3))
    with transaction(engine) as db:
        evaluations.finish(db, claim, answers.result().model_dump_json(), 0)
    engine.dispose()


def test_uploads_are_named_by_their_bytes(client, files):
    """The same file twice is one artifact."""
    first, again = client.upload_model(files[0]), client.upload_model(files[0])
    assert first.id == again.id
    assert first.size == 300_000
    assert client.upload_dataset(files[1]).kind == "dataset"


def test_files_are_evaluated_and_waited_for(client, files, settings):
    """From two files to a result, with progress told on the way."""
    evaluation = client.evaluate(files[0], files[1], {"precision": 0.02, "seed": 7})
    assert evaluation.now.state == "queued"
    assert evaluation.now.config.seed == 7
    worker = in_background(lambda: as_a_worker(settings, evaluation.id))
    seen: list[schemas.Evaluation] = []
    answer = evaluation.wait(seen.append, timeout=20)
    worker.join()
    assert answer.state == "succeeded"
    assert answer.result is not None
    assert answer.result.score == answers.estimate(0.612)
    assert seen[-1] == answer == evaluation.now
    assert client.get(evaluation.id) == answer


def test_uploads_are_evaluated_by_digest(client, files):
    """Files and digests may be mixed; a config may be a schema."""
    model = client.upload_model(files[0]).id
    evaluation = client.evaluate(model, files[1], schemas.Config(clamp="mean"))
    assert evaluation.now.model == model
    assert evaluation.now.config.clamp == "mean"


def test_a_model_of_several_files_is_one_artifact(client, files, tmp_path):
    """The same files give the same model, uploaded first or along with a dataset."""
    weights = tmp_path / "model.onnx.data"
    weights.write_bytes(b"weights")
    model = client.upload_model(files[0], weights)
    assert model.size > 300_000
    assert client.evaluate([files[0], weights], files[1]).now.model == model.id
    assert client.evaluate([files[0], weights], client.upload_dataset(files[1]).id).now.model == model.id


def test_a_folder_of_images_is_sent_as_one_file(client, files, tmp_path):
    """Its id depends on names and bytes alone, so it can be asked for again."""
    for place in ("first", "second"):
        folder = tmp_path / place / "cat"
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(b"an image")
    first, second = (client.upload_dataset(tmp_path / place) for place in ("first", "second"))
    assert first.id == second.id
    assert client.evaluate(files[0], tmp_path / "first").now.dataset == first.id


def test_what_was_found_is_waited_for(client, files, settings):
    """An upload is answered before a worker has looked: the client asks until one has."""
    received = client.upload_dataset(files[1])
    assert received.state == "received"
    with pytest.raises(TimeoutError, match="dataset"):
        client.inspected(received, timeout=0)
    inspect(settings, "dataset", received.id, {"format": "csv", "examples": 3, "inputs": [], "labels": None})
    found = client.inspected(received, timeout=20).found
    assert found is not None
    assert (found.format, found.examples, found.labels) == ("csv", 3, None)


def test_an_upload_that_is_refused_later_says_why(client, files, settings):
    """The refusal is raised, whenever it comes."""
    received = client.upload_model(files[0])
    inspect(settings, "model", received.id, problems.ModelUnsupported("It has no unit."))
    with pytest.raises(Refused, match="It has no unit"):
        client.inspected(received, timeout=20)


def inspect(settings: Settings, kind: artifacts.Kind, digest: str, found: dict[str, Any] | problems.Problem) -> None:
    """Play the worker that looks at an upload."""
    engine = connect(settings.database)
    with transaction(engine) as db:
        if isinstance(found, problems.Problem):
            artifacts.refuse(db, DEFAULT, kind, digest, found.body())
        else:
            artifacts.accept(db, DEFAULT, kind, digest, found)
    engine.dispose()


def test_cancel_ends_an_evaluation(client, files):
    """What is cancelled has ended, and can be listed by that."""
    evaluation = client.evaluate(*files)
    evaluation.cancel()
    assert evaluation.wait(timeout=20).state == "cancelled"
    assert [one.id for one in client.evaluations(state="cancelled")] == [evaluation.id]


def test_what_has_succeeded_cannot_be_cancelled(client, files, settings):
    """The refusal says so."""
    evaluation = client.evaluate(*files)
    as_a_worker(settings, evaluation.id)
    with pytest.raises(Refused, match="Not possible in this state"):
        evaluation.cancel()


def test_all_evaluations_are_listed_page_by_page(client, files):
    """More than one page is read to its end, newest first."""
    made = [client.evaluate(files[0], files[1], {"seed": seed}).id for seed in range(3)]
    assert [one.id for one in client.evaluations(page_size=2)] == made[::-1]


def test_policies_are_kept_in_versions(client, files):
    """Made, changed, named by an evaluation, retired."""
    first = client.make_policy("production", {"min_score": 0.3}, "agreed in May")
    assert (first.id, first.note) == ("production@1", "agreed in May")
    assert client.make_policy("production", schemas.Rules(min_score=0.3)).id == "production@1"
    assert client.make_policy("production", {"min_score": 0.5}).id == "production@2"
    assert client.policy("production@1").rules.min_score == 0.3
    assert [one.id for one in client.policies()] == ["production@2"]
    judged = client.evaluate(files[0], files[1], {"gate": {"policy": "production"}}).now
    assert judged.config.gate.policy == "production@2"
    client.retire_policy("production")
    assert list(client.policies()) == []


def test_a_refusal_says_why(client, files):
    """The problem of the service reaches the caller as an exception that can be read."""
    with pytest.raises(Refused, match="precision") as refusal:
        client.evaluate(files[0], files[1], {"precision": 7})
    assert refusal.value.problem["status"] == 422
    assert refusal.value.problem["type"] == "/problems/validation-error"
    with pytest.raises(Refused, match="There is no evaluation"):
        client.get("ev_none")
    with pytest.raises(Refused, match="There is no evaluation"):
        list(client.watch("ev_none"))


def test_nobody_there_says_what_to_do():
    """A refused connection names the address and the command that starts a service."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as lesion, pytest.raises(Unreachable, match="lesion serve") as error:
        lesion.get("ev_1")
    assert str(port) in str(error.value)


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "http://[", "ftp://127.0.0.1"])
def test_an_address_that_is_none_is_unreachable(address):
    """A mistyped address is answered with a sentence, not a traceback from the depths."""
    with pytest.raises(Unreachable), Client(address) as lesion:
        lesion.get("ev_1")


def misbehaving(handler: Callable[[httpx2.Request], httpx2.Response]) -> Client:
    """A client whose service is this function."""
    return Client(http=httpx2.Client(base_url="http://lesion.test", transport=httpx2.MockTransport(handler)))


def always(answer: httpx2.Response, _request: httpx2.Request) -> httpx2.Response:
    """Whatever is asked, this is the answer."""
    return answer


def test_an_answer_that_is_not_lesions_is_refused():
    """A proxy's page or another service is recognised, whatever its status."""
    for odd in (
        httpx2.Response(502, text="<html>Bad gateway</html>"),
        httpx2.Response(200, text="hello"),
        httpx2.Response(200, json={"id": 1}),
        httpx2.Response(500, json=["no", "object"]),
    ):
        with pytest.raises(Refused, match="Is the address right"):
            misbehaving(partial(always, odd)).get("ev_1")


@pytest.mark.parametrize("breaks", ["ends", "fails", "is busy"])
def test_a_broken_stream_falls_back_to_polling(breaks):
    """The events break off, the service is away for a moment, and still the end is heard."""
    running, ended = answers.evaluation("running"), answers.evaluation("succeeded")
    busy = httpx2.Response(503, json={"title": "Temporarily unavailable", "status": 503, "detail": "wait"})
    asked: list[str] = []

    def stream() -> Iterator[bytes]:
        yield f"event: progress\ndata: {running.model_dump_json()}\n\n: ping\n\n".encode()
        if breaks == "fails":
            raise httpx2.ReadError("connection reset")

    def service(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        if request.url.path.endswith("/events"):
            events = httpx2.Response(200, content=stream(), headers={"Content-Type": "text/event-stream"})
            return busy if breaks == "is busy" else events
        if len(asked) == 2:
            raise httpx2.ConnectError("away")
        return busy if len(asked) == 3 else httpx2.Response(200, text=ended.model_dump_json())

    seen = list(misbehaving(service).watch("ev_1", timeout=20))
    assert [one.state for one in seen][-1] == "succeeded"
    assert [one.state for one in seen][:-1] == ([] if breaks == "is busy" else ["running"])
    assert len(asked) == 4


def test_waiting_ends_at_its_timeout():
    """Nothing happens for too long: an error that says so, even if the service answers without waiting."""
    queued = answers.evaluation("queued").model_dump_json()

    def service(request: httpx2.Request) -> httpx2.Response:
        stream = request.url.path.endswith("/events")
        text = f"event: progress\ndata: {queued}\n\n" if stream else queued
        return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"} if stream else {})

    with pytest.raises(TimeoutError, match="goes on"):
        list(misbehaving(service).watch("ev_1", timeout=0.2))


def test_uploads_are_streamed(tmp_path):
    """A file is sent in pieces, with its length announced, and never held in memory as a whole."""
    model, dataset = tmp_path / "model.onnx", tmp_path / "test.npz"
    model.write_bytes(b"m" * 3_000_000)
    dataset.write_bytes(b"d" * 10)
    pieces: list[int] = []

    def service(request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.SyncByteStream)
        pieces.extend(len(piece) for piece in request.stream)
        assert sum(pieces) == int(request.headers["Content-Length"])
        return httpx2.Response(202, text=answers.evaluation("queued").model_dump_json())

    class Unread(httpx2.BaseTransport):
        """Hands the request on unread; MockTransport would read it."""

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return service(request)

    lesion = Client(http=httpx2.Client(base_url="http://lesion.test", transport=Unread()))
    lesion.evaluate(model, dataset, {})
    assert sum(pieces) > 3_000_000
    assert max(pieces) <= 64 * 1024


class Losing(httpx2.HTTPTransport):
    """Hands requests on to a real service, and loses the answers to the first ones of a method."""

    def __init__(self, method: str, answers: int) -> None:
        super().__init__()
        self.method, self.left = method, answers
        self.keys: list[str | None] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = super().handle_request(request)
        if request.method != self.method:
            return answer
        self.keys.append(request.headers.get("Idempotency-Key"))
        if self.left:
            self.left -= 1
            answer.read()
            raise httpx2.ReadError("connection reset")
        return answer


def test_an_evaluation_whose_answer_was_lost_is_made_once(server, files):
    """The request is repeated with the same Idempotency-Key and the same files, and one evaluation comes of it."""
    losing = Losing("POST", 2)
    with Client(http=httpx2.Client(base_url=server.address, transport=losing)) as lesion:
        evaluation = lesion.evaluate(files[0], files[1], {"seed": 1})
        assert [one.id for one in lesion.evaluations()] == [evaluation.id]
        assert len(losing.keys) == 3
        assert len(set(losing.keys)) == 1
        again = lesion.evaluate(files[0], files[1], {"seed": 2})
        assert again.id != evaluation.id
        assert len(set(losing.keys)) == 2


def test_a_raw_upload_is_repeated_from_its_beginning(server, files):
    """The second attempt sends the whole file again."""
    with Client(http=httpx2.Client(base_url=server.address, transport=Losing("POST", 1))) as lesion:
        assert lesion.upload_model(files[0]).size == 300_000


def test_a_callers_own_key_gives_the_same_evaluation(client, files):
    """A job that was started again after it had asked finds what it asked for."""
    first = client.evaluate(files[0], files[1], {"seed": 1}, idempotency_key="nightly-7")
    assert client.evaluate(files[0], files[1], {"seed": 1}, idempotency_key="nightly-7").id == first.id
    with pytest.raises(Refused, match="Idempotency-Key"):
        client.evaluate(files[0], files[1], {"seed": 2}, idempotency_key="nightly-7")


def test_what_was_forgotten_is_forgotten_though_the_answer_was_lost(server, files):
    """The second DELETE meets a 404, which is what the first one was to bring about."""
    losing = Losing("DELETE", 0)
    with Client(http=httpx2.Client(base_url=server.address, transport=losing)) as lesion:
        evaluation = lesion.evaluate(*files)
        evaluation.cancel()
        losing.left = 1
        lesion.forget(evaluation.id)
        assert len(losing.keys) == 3
        with pytest.raises(Refused, match="There is no evaluation"):
            lesion.forget(evaluation.id)


@pytest.mark.parametrize(
    ("status", "headers", "attempts"),
    [(503, {}, 4), (502, {}, 4), (429, {"Retry-After": "0"}, 4), (429, {"Retry-After": "3600"}, 1), (409, {}, 1)],
)
def test_what_may_pass_is_asked_again(status, headers, attempts):
    """Four times in all; at once given up is what the service wants asked in an hour, or what would not change."""
    asked: list[str] = []

    def service(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(status, json={"title": "No", "status": status, "detail": "so"}, headers=headers)

    with pytest.raises(Refused):
        misbehaving(service).compare("ev_1", "ev_2")
    assert len(asked) == attempts


def test_how_long_to_wait_is_what_the_service_says(monkeypatch):
    """`Retry-After` is obeyed where it is longer than the client's own pause."""
    monkeypatch.setattr(exchanges, "RETRIES", (0.5, 0.5))
    course = exchanges.Course(exchanges.ask(exchanges.Send("GET", "/v1/policies")))
    body = {"title": "Busy", "status": 503, "detail": "so"}
    course.answer(httpx2.Response(503, json=body, headers={"Retry-After": "7"}))
    assert course.step == exchanges.Pause(7.0)
    course.answer(None)
    course.answer(httpx2.Response(503, json=body))
    assert isinstance(course.step, exchanges.Pause)
    assert 0.5 <= course.step.seconds < 0.75
