"""The store's promises under every order of steps that Hypothesis can think of, on both databases.

The long form, 2,000 runs of up to 60 steps on each: `make machine`. A failure prints the steps that lead to it, and
`--hypothesis-seed` repeats a run.
"""

import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine, event

from service.store.session import connect
from tests.service.store.machine import StoreMachine

SHORT = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def careless(database: str) -> Engine:
    """A connection that does not wait for the disk: thousands of transactions, and no power to fail."""
    if not database.startswith("sqlite"):
        return connect(f"{database}&options=-c%20synchronous_commit%3Doff")
    engine = connect(database)

    def relax(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(engine, "connect", relax)
    return engine


@pytest.mark.timeout(6 * 3600)  # the long form; the short one takes half a minute on two idle cores
def test_the_store_keeps_its_promises(engine: Engine, database: str, request: Any) -> None:
    """One ending that stays, no stale write, no chunk that changes, nothing waits unseen, whatever happens when."""
    fast = careless(database)
    machine = type("Machine", (StoreMachine,), {"engine": fast})
    long = request.config.getoption("--hypothesis-profile") == "long"
    try:
        run_state_machine_as_test(machine, settings=settings() if long else SHORT)
    finally:
        fast.dispose()
