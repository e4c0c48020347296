"""Deliveries reach real receivers: signed, again after failures, across kill -9, and past receivers that are dead."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update
from standardwebhooks import Webhook

from service import notify
from service.api.webhooks import LOST
from service.app import create_app
from service.courier import Answer, trusting
from service.settings import Settings
from service.store import webhooks
from service.store.session import connect, migrate, transaction
from service.store.tables import DeliveryRow
from service.store.tenants import DEFAULT
from tests.conftest import wait_until
from tests.service.conftest import LESION
from tests.service.ending import ENDS, queue, running
from tests.service.receivers import Asked, Authority, Behaviour, Receiver, receiving, takes

HERE = "127.0.0.1"


@dataclass
class Site:
    """A running service that may send to this machine, and its receivers."""

    settings: Settings
    client: TestClient
    authority: Authority
    closing: ExitStack

    @property
    def engine(self) -> Engine:
        engine: Engine = self.client.app.state.backends.engine  # type: ignore[attr-defined]
        return engine

    def receiver(self, behaviour: Behaviour = takes) -> Receiver:
        """One more receiver."""
        started = Receiver(behaviour, self.authority.context)
        return self.closing.enter_context(receiving(started))

    def register(self, receiver: Receiver) -> Any:
        """A webhook that leads there."""
        made = self.client.post("/v1/webhooks", json={"url": url(receiver)})
        assert made.status_code == 201, made.text
        return made.json()

    def end(self, state: str = "succeeded", fingerprint: str = "f") -> str:
        """An evaluation ends; its id."""
        claim = running(self.engine, fingerprint)
        with transaction(self.engine) as db:
            ENDS[state](db, claim)
        return claim.evaluation

    def deliveries(self, webhook: Any) -> Any:
        """What became of them, newest first."""
        return self.client.get(f"/v1/webhooks/{webhook['id']}/deliveries").json()["data"]

    def settled(self, webhook: Any, attempts: int) -> Any:
        """The one delivery, once so many attempts are written down."""

        def written() -> bool:
            told = self.deliveries(webhook)[0]["attempts"]
            return len(told) == attempts and told[-1]["seconds"] is not None

        wait_until(written, f"{attempts} attempts are written down")
        return self.deliveries(webhook)[0]

    def hurry(self) -> None:
        """Let what waits be due, and every lease have run out."""
        with transaction(self.engine) as db:
            db.execute(update(DeliveryRow).values(due_at=0.0))
            db.execute(update(DeliveryRow).where(DeliveryRow.lease_until.is_not(None)).values(lease_until=0.0))


def url(receiver: Receiver) -> str:
    return f"https://{HERE}:{receiver.port}/hook?token=t0ken"


@pytest.fixture
def configured(settings: Settings, tmp_path: Path, database: str) -> Settings:
    """A service on either database that may send to this machine."""
    return Settings(
        data=settings.data,
        database_url=database,
        inspect_wait=0,
        sweep_seconds=0.1,
        webhook_allow=HERE,
        webhook_ca=tmp_path / "ca.pem",
    )


@contextmanager
def opened(settings: Settings, folder: Path) -> Iterator[Site]:
    """The service, in process."""
    authority = Authority(folder)
    if not authority.ca.exists():
        authority.issue(HERE)
    with ExitStack() as closing:
        client = closing.enter_context(TestClient(create_app(settings), f"http://{HERE}"))
        yield Site(settings, client, authority, closing)


@pytest.fixture
def site(configured: Settings, tmp_path: Path) -> Iterator[Site]:
    with opened(configured, tmp_path) as one:
        yield one


@pytest.mark.parametrize("state", ENDS)
def test_end_is_delivered_and_verifies(site: Site, state: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A receiver gets each way to end, once, signed so that the library of Standard Webhooks accepts it."""
    receiver = site.receiver()
    webhook = site.register(receiver)
    evaluation = site.end(state)
    delivery = site.settled(webhook, 1)
    assert (delivery["state"], delivery["evaluation"], delivery["next_attempt_at"]) == ("delivered", evaluation, None)
    assert delivery["attempts"][0]["status"] == 204
    (post,) = receiver.posts
    event = Webhook(webhook["secret"]).verify(post.body, post.headers)
    assert event["type"] == delivery["event"] == f"evaluation.{state}"
    assert event["data"]["id"] == evaluation
    assert post.headers["webhook-id"] == delivery["id"]
    assert post.headers["content-type"] == "application/json"
    with pytest.raises(Exception, match="signature"):
        Webhook(webhook["secret"]).verify(post.body.replace(b'"data"', b'"date"'), post.headers)
    logged = "".join(capfd.readouterr())
    assert delivery["id"] in logged
    assert webhook["secret"] not in logged
    assert "t0ken" not in logged


def answering(*statuses: int, headers: dict[str, str] | None = None) -> Behaviour:
    """Answers one status after the other; the last one stays."""
    left = list(statuses)
    return lambda asked: asked.answer(left.pop(0) if len(left) > 1 else left[0], headers)


def test_failures_are_tried_again(site: Site) -> None:
    """A receiver that fails twice gets the same delivery a third time, signed anew; all of it is shown."""
    receiver = site.receiver(answering(500, 503, 200))
    webhook = site.register(receiver)
    site.end()
    delivery = site.settled(webhook, 1)
    assert (delivery["state"], delivery["attempts"][0]["status"]) == ("pending", 500)
    assert delivery["next_attempt_at"] == delivery["attempts"][0]["next_attempt_at"] is not None
    for attempts in (2, 3):
        site.hurry()
        delivery = site.settled(webhook, attempts)
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 503, 200]
    assert len({post.headers["webhook-id"] for post in receiver.posts}) == 1
    assert len({post.body for post in receiver.posts}) == 1
    for post in receiver.posts:
        Webhook(webhook["secret"]).verify(post.body, post.headers)


def test_tests_are_sent_and_listed(site: Site) -> None:
    """A test is a delivery like others: it reaches the receiver, and is listed newest first, by pages."""
    receiver = site.receiver()
    webhook = site.register(receiver)
    place = f"/v1/webhooks/{webhook['id']}"
    tests = []
    for _ in range(3):
        made = site.client.post(f"{place}/test")
        assert (made.status_code, made.json()["event"], made.json()["evaluation"]) == (202, "webhook.test", None)
        tests.append(made.json()["id"])
    wait_until(lambda: len(receiver.posts) == 3, "three tests have arrived")
    for post in receiver.posts:
        assert Webhook(webhook["secret"]).verify(post.body, post.headers)["type"] == "webhook.test"
    first = site.client.get(f"{place}/deliveries", params={"limit": 2}).json()
    second = site.client.get(f"{place}/deliveries", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["id"] for one in first["data"] + second["data"]] == sorted(tests, reverse=True)
    assert second["next_cursor"] is None


def test_gone_is_believed(site: Site) -> None:
    """A receiver that answers 410 is left alone from then on, and the webhook says so."""
    receiver = site.receiver(answering(410))
    webhook = site.register(receiver)
    site.end()
    assert site.settled(webhook, 1)["state"] == "failed"
    assert site.client.get(f"/v1/webhooks/{webhook['id']}").json()["disabled_at"] is not None
    assert site.client.post(f"/v1/webhooks/{webhook['id']}/test").status_code == 409
    site.end("failed", "another")
    assert len(site.deliveries(webhook)) == 1


def test_kill_between_attempt_and_record(configured: Settings, tmp_path: Path) -> None:
    """kill -9 of the API while a receiver holds the request: another process sends it again, under the same id."""
    arrived = threading.Event()

    def holding(asked: Asked) -> None:
        arrived.set()
        asked.server.released.wait(120)

    migrated = connect(configured.database)
    migrate(migrated)
    authority = Authority(tmp_path)
    authority.issue(HERE)
    with receiving(Receiver(holding, authority.context)) as receiver:
        api = _apart(configured)
        try:
            # The webhook and the end come from a process that sends nothing: this one, by the rows.
            secret, evaluation = _row_and_end(migrated, url(receiver))
            assert arrived.wait(120), "the API has sent nothing"
        finally:
            api.send_signal(signal.SIGKILL)
            api.wait()
        receiver.behaviour = takes
        with opened(configured, tmp_path) as site:
            (webhook,) = site.client.get("/v1/webhooks").json()["data"]
            assert site.deliveries(webhook)[0]["state"] == "pending"
            site.hurry()
            delivery = site.settled(webhook, 2)
        assert delivery["state"] == "delivered"
        assert [attempt["error"] for attempt in delivery["attempts"]] == [LOST, None]
        assert [post.headers["webhook-id"] for post in receiver.posts] == [delivery["id"]] * 2
        assert Webhook(secret).verify(receiver.posts[1].body, receiver.posts[1].headers)["data"]["id"] == evaluation
    migrated.dispose()


def _apart(settings: Settings) -> "subprocess.Popen[bytes]":
    told = {f"LESION_{name.upper()}": str(value) for name, value in settings.model_dump().items() if value is not None}
    return subprocess.Popen([LESION, "api"], env=os.environ | told | {"LESION_PORT": "0"}, stdout=subprocess.DEVNULL)


def _row_and_end(engine: Engine, place: str) -> tuple[str, str]:
    with transaction(engine) as db:
        secret = webhooks.create(db, DEFAULT, place, ["evaluation.succeeded"]).secret
    claim = running(engine)
    with transaction(engine) as db:
        ENDS["succeeded"](db, claim)
    return secret, claim.evaluation


def test_a_dead_receiver_delays_no_one(site: Site) -> None:
    """A thousand deliveries to a receiver that never answers: another receiver gets its own, and evaluations end."""

    def silent(asked: Asked) -> None:
        asked.server.released.wait(120)

    dead = site.receiver(silent)
    heap = site.register(dead)
    with transaction(site.engine) as db:
        queue(db, heap["id"], 1000)
    wait_until(lambda: len(dead.posts) == 2, "the dead receiver has its two")
    living = site.receiver()
    webhook = site.register(living)
    for number in range(5):
        site.end(fingerprint=str(number))
    wait_until(lambda: len(living.posts) == 5, "the living receiver has its five")
    wait_until(lambda: {one["state"] for one in site.deliveries(webhook)} == {"delivered"}, "all are written down")
    assert len(dead.posts) < 100


RETRIES = [30, 300, 1_800, 7_200, 28_800, 86_400]


@pytest.mark.parametrize(("failures", "delay"), list(enumerate(RETRIES)))
def test_patience_grows(failures: int, delay: float) -> None:
    """Each failure is followed by a longer pause, no two the same, for a day and a half in all."""
    found = {notify.judged(Answer(500), failures, 0.1).delay for _ in range(20)}
    assert all(one is not None and 0.8 * delay <= one <= 1.2 * delay for one in found)
    assert len(found) > 10


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(301), Answer(404), Answer(error="It could not be connected to.")]
)
def test_patience_ends(answer: Answer) -> None:
    """After the last pause a failure is the end."""
    assert notify.judged(answer, len(RETRIES) - 1, 0.1).end is None
    assert notify.judged(answer, len(RETRIES), 0.1).end == "failed"


@pytest.mark.parametrize(
    ("retry_after", "low", "high"), [(10, 24, 36), (600, 600, 600), (10**9, 86_400, 86_400), (None, 24, 36)]
)
def test_retry_after_is_kept_within_bounds(retry_after: float | None, low: float, high: float) -> None:
    """A receiver may ask for a longer pause, up to a day, and not for a shorter one."""
    delay = notify.judged(Answer(503, retry_after=retry_after), 0, 0.1).delay
    assert delay is not None
    assert low <= delay <= high


def test_stops_at_once(configured: Settings) -> None:
    """A process that is told to stop does not first wait for the next look."""
    engine = connect(configured.database)
    migrate(engine)
    stop = threading.Event()
    thread = threading.Thread(target=notify.run, args=(engine, configured, trusting(None), stop))
    thread.start()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    engine.dispose()
