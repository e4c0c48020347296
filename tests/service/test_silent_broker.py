"""A broker that takes connections and never answers holds up no caller for long, and ends no sweeper."""

import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from benchmarks.chaos.proxy import Proxy
from service import broker, sweeper
from service.settings import Settings
from tests.conftest import use_broker, wait_until


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a broker whose machine vanished: the kernel takes connections, nobody reads them."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_a_hint_is_given_up(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller goes on, although the connection would be waited for much longer; the sweeper repeats the hint."""
    monkeypatch.setattr(broker, "SEND_SECONDS", 0.2)
    use_broker(silent)
    begun = time.monotonic()
    assert not broker.hint_evaluation("ev_1")
    assert not broker.hint_inspection("default", "model", "sha256:1")
    assert time.monotonic() - begun < broker.options()["broker_transport_options"]["socket_timeout"]


def test_a_sweep_survives(silent: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds no room for hints, and says so."""
    monkeypatch.setattr(broker, "ANSWER_SECONDS", 0.2)
    use_broker(silent)
    assert sweeper.run_once(engine) == 0


def test_a_connection_that_breaks_at_the_wrong_moment_leaves_the_worker_able_to_work(valkey: str) -> None:
    """It breaks between a hint and its acknowledgement: the worker may take another one all the same."""
    proxy = Proxy(valkey.removeprefix("redis+socket://"))
    proxy.start()
    use_broker(proxy.url)
    with broker.celery.connection_for_write() as connection:
        queue = connection.SimpleQueue(f"broken-{uuid.uuid4().hex}")
        queue.channel.basic_qos(prefetch_count=broker.celery.conf.worker_prefetch_multiplier)  # of one process
        queue.put({"a": "hint"})
        message = queue.get(timeout=30)
        proxy.refusing = True
        proxy.cut()
        message.ack_log_error(logging.getLogger(), (*connection.connection_errors, *connection.channel_errors))
        assert not message.acknowledged
        assert queue.channel.qos.can_consume()
    proxy.close()


def test_sweeping_goes_on_after_any_fault(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a sweep raises, the next one comes: nothing else finds lost work again."""
    sweeps: list[float] = []

    def fail(*_: Any) -> int:
        sweeps.append(time.monotonic())
        raise ValueError("a fault of ours")

    monkeypatch.setattr(sweeper, "run_once", fail)
    stop = threading.Event()
    sweeping = threading.Thread(target=sweeper.run, args=(engine, Settings(sweep_seconds=0.01), stop))
    sweeping.start()
    try:
        wait_until(lambda: len(sweeps) > 2, "a third sweep")
    finally:
        stop.set()
        sweeping.join()
