"""Deliveries that came, in a SQLite file of the receiver's own: each taken once, its work kept until it is done."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT_DAYS = 30  # that a delivery is remembered; MLflow repeats one for minutes
MOST_TRIES = 20  # of one version, while MLflow or the service is away; then it is given up

_TABLES = """
CREATE TABLE IF NOT EXISTS delivery (id TEXT PRIMARY KEY, came REAL NOT NULL);
CREATE TABLE IF NOT EXISTS work (
    id INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0
);
"""


class Inbox:
    """What came and what is still to be done. One connection, shared by the threads of one process."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")  # what was answered with 202 survives a power cut
        self._database.executescript(_TABLES)
        self._lock = threading.Lock()

    def take(self, delivery: str, version: str | None) -> bool:
        """Remember a delivery and the version to be checked, in one transaction; false if it came before."""
        with self._transaction() as database:
            now = time.time()
            database.execute("DELETE FROM delivery WHERE came < ?", [now - KEPT_DAYS * 86_400])
            insert = "INSERT INTO delivery (id, came) VALUES (?, ?) ON CONFLICT DO NOTHING"
            new = database.execute(insert, [delivery, now])
            if new.rowcount and version is not None:
                database.execute("INSERT INTO work (version) VALUES (?)", [version])
            return new.rowcount == 1

    def next(self) -> tuple[int, str] | None:
        """The oldest version that is due, and the number of its work."""
        with self._transaction() as database:
            due = "SELECT id, version FROM work WHERE due <= ? ORDER BY id LIMIT 1"
            row = database.execute(due, [time.time()]).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    def done(self, work: int) -> None:
        """It is checked, or not worth another try."""
        with self._transaction() as database:
            database.execute("DELETE FROM work WHERE id = ?", [work])

    def later(self, work: int, seconds: float) -> bool:
        """Try it again after `seconds`; false if that was its last try, and it is given up."""
        with self._transaction() as database:
            put_off = "UPDATE work SET tries = tries + 1, due = ? WHERE id = ?"
            database.execute(put_off, [time.time() + seconds, work])
            gone = database.execute("DELETE FROM work WHERE id = ? AND tries >= ?", [work, MOST_TRIES])
            return gone.rowcount == 0

    def waiting(self) -> int:
        """How many versions are still to be checked."""
        with self._transaction() as database:
            return int(database.execute("SELECT count(*) FROM work").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
