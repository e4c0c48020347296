"""A database that is killed, restarted, or locked."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import text

from benchmarks.chaos.arena import Arena, Fault
from benchmarks.chaos.servers import Postgresql

LOCKED_SECONDS = 10.0


def killed(arena: Arena, count: int) -> None:
    """kill -9 of PostgreSQL."""
    _away(arena, count, Postgresql.kill, 1.0)


def restarted(arena: Arena, count: int) -> None:
    """PostgreSQL is stopped under everyone, and comes back."""
    _away(arena, count, Postgresql.end, 3.0)


def _away(arena: Arena, count: int, how: Callable[[Postgresql], None], longest: float) -> None:
    database = arena.stack.database
    assert isinstance(database, Postgresql)
    with arena.feeding():
        for _ in arena.turns(count):
            epochs = arena.watch.epochs()
            how(database)
            arena.faults += 1
            arena.pause(0.0, longest)
            database.start_again()
            arena.claimed_again(epochs)
            arena.pause(0.0, 0.5)


def locked(arena: Arena, count: int) -> None:
    """Somebody holds the one lock that every writer needs for ten seconds, longer than a lease."""
    with arena.feeding(3):
        for _ in arena.turns(count):
            epochs = arena.watch.epochs()
            _hold(arena)
            arena.faults += 1
            arena.claimed_again(epochs)


def _hold(arena: Arena) -> None:
    if isinstance(arena.stack.database, Postgresql):
        with arena.watch.asking() as db:
            db.execute(text("LOCK TABLE evaluations, claims, chunks, artifacts IN ACCESS EXCLUSIVE MODE"))
            time.sleep(LOCKED_SECONDS)
            db.rollback()
        return
    path = arena.stack.database.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        time.sleep(LOCKED_SECONDS)
        db.execute("ROLLBACK")


FAULTS = [
    Fault("postgresql", killed, "kill -9 of PostgreSQL", 5, 100, databases=("postgresql",)),
    Fault("restart-db", restarted, "PostgreSQL restarted", 2, 20, databases=("postgresql",)),
    Fault("lock-db", locked, "the database locked for 10 s", 1, 20),
]
