"""A worker asks itself whether its walls hold, before it takes work."""

import pytest
from celery import signals

from service import broker
from service.settings import Settings
from worker import tasks
from worker.sandbox import selftest


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What the worker tells the broker."""
    told: dict[str, str | None] = {}
    monkeypatch.setattr(broker, "refuse", told.__setitem__)
    return told


def test_a_worker_whose_walls_leak_refuses_all_work(said, monkeypatch):
    """It ends, and says what leaks and what to do, to the log and to whoever asks /readyz."""
    monkeypatch.setattr(selftest.Probe, "MODULE", "tests.worker.sandbox.without_seccomp")
    with pytest.raises(SystemExit, match=r"opens network sockets.*LESION_WALLS=offered"):
        tasks._check_walls(Settings())
    assert all(why and "starts processes" in why for why in said.values())
    assert len(said) == 1


def test_weaker_walls_may_be_accepted(said, monkeypatch):
    """Knowingly, by a setting."""
    monkeypatch.setattr(selftest.Probe, "MODULE", "tests.worker.sandbox.without_landlock")
    tasks._check_walls(Settings(walls="offered"))
    assert said == {}


def test_a_worker_whose_walls_hold_takes_its_refusal_back(said):
    """After a restart on a better kernel, say."""
    tasks._check_walls(Settings())
    assert list(said.values()) == [None]


def test_a_worker_that_cannot_ask_takes_no_work(said, monkeypatch, tmp_path):
    """A self-test that dies says nothing good of the walls: the worker ends, where Celery alone would go on."""
    monkeypatch.setattr(selftest.Probe, "MODULE", "tests.worker.sandbox.no_such_module")
    monkeypatch.setenv("LESION_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="cannot start"):
        signals.worker_init.send(sender=None)
    assert said == {}
