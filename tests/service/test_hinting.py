"""Hints go out behind the callers' backs, and a broker that hangs holds up nobody."""

import threading

import pytest
import redis

from service import broker, hinting
from service.hinting import Hinting
from tests.conftest import use_broker, wait_until


def test_hints_arrive(valkey: str) -> None:
    """As many as workers are wanted."""
    use_broker(valkey)
    before = broker.waiting(broker.EVALUATIONS)
    with Hinting() as hints:
        hints.soon("ev_a", 1)
        hints.soon("ev_b", 3)
    wait_until(lambda: broker.waiting(broker.EVALUATIONS) == before + 4, "four hints")
    broker.celery.control.purge()


def test_a_hanging_broker_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit the backlog is left to the sweeper, at once; so is what waits when the service stops."""
    monkeypatch.setattr(hinting, "BACKLOG", 3)
    monkeypatch.setattr(hinting, "LAST_SECONDS", 0.1)
    hanging = threading.Event()
    monkeypatch.setattr(broker, "hint_evaluation", lambda _: hanging.wait(60))
    with Hinting() as hints:
        for number in range(100):
            hints.soon(f"ev_{number}", 1)
        assert hints._waiting.qsize() <= 3
    hanging.set()
    hints._thread.join(60)
    assert not hints._thread.is_alive()


def test_what_a_library_raises_ends_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next hint is sent all the same."""
    sent = []

    def hint(evaluation: str) -> bool:
        if evaluation == "ev_a":
            raise RuntimeError("Acquire on closed pool")
        sent.append(evaluation)
        return True

    monkeypatch.setattr(broker, "hint_evaluation", hint)
    with Hinting() as hints:
        hints.soon("ev_a", 1)
        hints.soon("ev_b", 2)
        wait_until(lambda: sent == ["ev_b", "ev_b"], "the second evaluation's hints")


def test_many_unread_hints_are_enough(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that follow a hint go on until nothing waits: a queue is not filled with what they need not read. Once it
    is short again, hints are sent again."""
    use_broker(valkey)
    server = redis.Redis(unix_socket_path=valkey.removeprefix("redis+socket://"))
    server.flushall()
    monkeypatch.setattr(hinting, "ENOUGH", 5)
    monkeypatch.setattr(hinting, "LOOK", 0.0)
    with Hinting() as hints:
        for number in range(50):
            hints.soon(f"ev_{number}", 1)
        wait_until(hints._waiting.empty, "all hints are sent or dropped")
        assert broker.waiting(broker.EVALUATIONS) == 5
        server.flushall()
        hints.soon("ev_last", 1)
        wait_until(lambda: broker.waiting(broker.EVALUATIONS) == 1, "the one that is needed")
    server.flushall()
    server.close()
