"""The heart: work stops when its claim is lost, or may be, or when the evaluation has had its time."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service.store import evaluations
from service.store.evaluations import Claim
from service.store.session import clock, connect, migrate, transaction
from service.store.tables import EvaluationRow
from tests.conftest import wait_until
from tests.service.store.test_evaluations import claimed, new
from worker.heart import Heart


@pytest.fixture
def claim(engine: Engine) -> Claim:
    """A claim on an evaluation that runs."""
    return claimed(engine, new(engine))


def test_work_stops_before_its_lease_can_run_out_unseen(tmp_path: Path) -> None:
    """A database that holds every beat for longer than a lease: the worker stops while it is still held."""
    engine = connect(f"sqlite:///{tmp_path}/lesion.db")
    migrate(engine)
    locker = sqlite3.connect(tmp_path / "lesion.db", isolation_level=None, check_same_thread=False)
    stopped = threading.Event()
    with Heart(engine, claimed(engine, new(engine)), 1.0, stopped.set) as heart:
        locker.execute("BEGIN EXCLUSIVE")
        wait_until(stopped.is_set, "the work is told to stop", 10)  # a beat waits for the lock for 20 s
        assert heart.lost
        locker.execute("ROLLBACK")
    locker.close()
    engine.dispose()


def test_work_stops_when_the_evaluation_has_had_its_time(engine: Engine, claim: Claim) -> None:
    """However long the child takes: `limits.seconds` ends the work, and the claim still lives to say so."""
    with transaction(engine) as db:
        db.execute(update(EvaluationRow).values(started_at=clock() - 60))
    stopped = threading.Event()
    with Heart(engine, claim, 1.0, stopped.set, limit=59.0) as heart:
        wait_until(stopped.is_set, "the work is told to stop")
        assert heart.late
        assert not heart.lost
    with transaction(engine) as db:
        evaluations.beat(db, claim, 30)


def test_work_in_time_goes_on(engine: Engine, claim: Claim) -> None:
    """Beats renew the lease; nothing stops the work."""
    told: list[str] = []
    with Heart(engine, claim, 0.6, lambda: told.append("stop"), limit=1e6) as heart:
        beats = heart._last
        wait_until(lambda: heart._last > beats, "a beat")
    assert told == []
