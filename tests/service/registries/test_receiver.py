"""The receiver: what it answers, what it remembers across restarts, and what it is not made to hold."""

import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.registries import receiver
from service.registries.checker import Choice
from service.registries.inbox import MOST_TRIES, Inbox

SECRET = "secret"
BODY = json.dumps({"model": "models:/digits/3"}).encode()


def headers(body: bytes = BODY) -> dict[str, str]:
    return {"X-Wandb-Signature": hmac.digest(SECRET.encode(), body, "sha256").hex()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "inbox.db"


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def client(file: Path, woken: threading.Event) -> Iterator[TestClient]:
    with closing(Inbox(file)) as inbox:
        yield TestClient(receiver.create_app(inbox, {"signed": SECRET}, woken.set, Choice(("dig*",)).named))


def test_a_delivery_is_answered_at_once_and_taken_once(client, woken):
    """202 says that it is remembered; the second is dropped."""
    first = client.post("/hooks/signed", content=BODY, headers=headers())
    assert (first.status_code, first.json()) == (202, {"state": "taken"})
    assert woken.is_set()
    again = client.post("/hooks/signed", content=BODY, headers=headers())
    assert (again.status_code, again.json()) == (202, {"state": "repeated"})
    assert client.get("/healthz").json() == {"waiting": 1}


def test_other_models_are_passed_over(client, woken):
    """A receiver is for the models that its dataset belongs to."""
    body = json.dumps({"model": "models:/words/1"}).encode()
    answer = client.post("/hooks/signed", content=body, headers=headers(body))
    assert (answer.status_code, answer.json()) == (202, {"state": "passed over"})
    assert not woken.is_set()
    assert client.get("/healthz").json() == {"waiting": 0}


@pytest.mark.parametrize(
    ("place", "body", "signature", "status", "kind"),
    [
        ("/hooks/signed", BODY, {}, 401, "unauthorized"),
        ("/hooks/signed", BODY + b" ", headers(), 401, "unauthorized"),
        ("/hooks/signed", b"{}", headers(b"{}"), 400, "bad-request"),
        ("/hooks/signed", b"x" * 70_000, headers(), 413, "content-too-large"),
        ("/hooks/mlflow", BODY, headers(), 404, "not-found"),
        ("/hooks/nobody", BODY, headers(), 404, "not-found"),
        ("/elsewhere", BODY, headers(), 404, "not-found"),
    ],
)
def test_what_is_refused_says_why(client, place, body, signature, status, kind):
    """As every other error of ours; and nothing of it is kept."""
    answer = client.post(place, content=body, headers=signature)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert client.get("/healthz").json() == {"waiting": 0}
    assert client.get("/hooks/signed").status_code == 405


def test_what_came_survives_a_restart(file):
    """Work that was answered with 202 is still to be done, and its delivery is still known."""
    with closing(Inbox(file)) as inbox:
        assert inbox.take("a", "models:/digits/1")
        assert inbox.take("b", "models:/digits/2")
    with closing(Inbox(file)) as inbox:
        assert not inbox.take("a", "models:/digits/1")
        assert inbox.next() == (1, "models:/digits/1")
        inbox.done(1)
        assert inbox.next() == (2, "models:/digits/2")
        assert inbox.waiting() == 1


def test_a_version_that_cannot_be_reached_waits_its_turn_and_is_given_up_in_the_end(file):
    """One that MLflow does not find now keeps none of the others waiting."""
    with closing(Inbox(file)) as inbox:
        inbox.take("a", "models:/digits/1")
        inbox.take("b", "models:/digits/2")
        assert inbox.later(1, 60)
        assert inbox.next() == (2, "models:/digits/2")
        assert not any(not inbox.later(1, 0) for _ in range(MOST_TRIES - 2))
        assert inbox.later(1, 0) is False
        assert inbox.waiting() == 1


def test_one_of_many_at_once_is_taken(file):
    """MLflow repeats a delivery while the first may still be under way."""
    with closing(Inbox(file)) as inbox:
        taken: list[bool] = []
        threads = [threading.Thread(target=lambda: taken.append(inbox.take("a", "models:/d/1"))) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [False] * 11 + [True]
        assert inbox.waiting() == 1
