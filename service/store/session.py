"""Connections and transactions: the only place that commits, and the only clock that leases trust."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Float

BUSY_SECONDS = 20  # how long a writer waits for SQLite's one write lock
# A server that vanished without a word is noticed within 20 s, whether we wait for its answer or it for our data.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
AWAY = (DBAPIError, NoConnectionError)  # what is raised where the database does not answer; `fault_of_ours` tells
NO_ROOM = {"SQLITE_FULL", "53100"}  # names of SQLite, states of PostgreSQL
# SQLite has one writer at a time, and who finds it busy sleeps, up to 100 ms, before it looks again; with many writers
# some never get in. So those of one process queue up here.
_turns: WeakKeyDictionary[Engine, threading.Lock] = WeakKeyDictionary()
MIGRATION_LOCK = 0x1E510  # any number; PostgreSQL's advisory lock of whoever migrates


class clock(FunctionElement[float]):  # noqa: N801 - it is written like the SQL functions beside it
    """Seconds since 1970 by the database's clock, the one clock that all workers share."""

    type = Float(53)
    inherit_cache = True


@compiles(clock, "sqlite")
def _sqlite_clock(_element: clock, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(clock, "postgresql")
def _postgresql_clock(_element: clock, _compiler: SQLCompiler, **_: Any) -> str:
    # Not now(): that is the transaction's start, and a claim may have waited for a lock since then.
    return "extract(epoch from clock_timestamp())::float8"


_NOW = select(clock())


def now(db: Session) -> float:
    """The database's clock, read once for much that is written together."""
    return float(db.connection().execute(_NOW).scalar_one())


def connect(url: str) -> Engine:
    """An engine for SQLite (one machine) or PostgreSQL (many). Nothing is opened before the first transaction."""
    parsed = make_url(url)
    # hide_parameters: what is written has secrets in it, and errors are logged.
    if parsed.get_backend_name() != "sqlite":
        return create_engine(
            url, hide_parameters=True, pool_pre_ping=True, pool_size=10, max_overflow=30, connect_args=PATIENCE
        )
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    waiting = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(url, hide_parameters=True, connect_args=waiting)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    _turns[engine] = threading.Lock()
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions behind our back
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a transaction that upgrades later can fail half way."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def fault_of_ours(error: Exception) -> bool:
    """Was it the statement that was wrong, and not the database that did not answer?"""
    return isinstance(error, DataError | IntegrityError | NotSupportedError | ProgrammingError)


def no_room(error: Exception) -> bool:
    """Did the database find no room on its disk?"""
    cause = error.orig if isinstance(error, DBAPIError) else None
    return {getattr(cause, "sqlite_errorname", None), getattr(cause, "sqlstate", None)} & NO_ROOM != set()


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Wait for this process's other writers, where there may be one at a time; no longer than for those elsewhere."""
    lock = _turns.get(engine)
    if lock is None:
        yield
        return
    if not lock.acquire(timeout=BUSY_SECONDS):
        raise NoConnectionError(f"this process's other writers took longer than {BUSY_SECONDS} s")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session whose work is committed at the end of the block, or not at all."""
    with _turn(engine), Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads, and so never waits for a writer.

    On SQLite, all that it reads is of one moment. On PostgreSQL each statement is of its own, in a transaction or not
    (read committed), so there is none: to begin and end it would be two more ways there and back.
    """
    options: dict[str, Any] = {"reading": True}
    if engine.dialect.name != "sqlite":
        options["isolation_level"] = "AUTOCOMMIT"
    with Session(engine.execution_options(**options), expire_on_commit=False) as session, session.begin():
        yield session


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables up to date, or to a revision. Safe to call from several processes at once."""
    from alembic import command  # here, since workers never migrate, and would pay for it at their start
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
