"""Looks into the database while things happen: who holds what, how far it is, when work goes on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.chaos.servers import NotInTimeError
from benchmarks.chaos.stack import CHILD, Stack, children
from service.store.session import clock, connect
from service.store.tables import ClaimRow

LOOK = 0.05  # seconds between looks: recovery times are no finer
UNENDED = "('queued', 'running')"
SPARED = 3  # losses of one chunk, after which its evaluation is left alone: five end it, as promised
SPARED_CRASHES = 1  # the same for crashes of the child: three end it


@dataclass
class Wound:
    """An evaluation that lost its worker, or its child, at some moment."""

    evaluation: str
    epoch: int
    chunks: int | None  # where the claim lives on, and progress is what shows recovery
    at: float = field(default_factory=time.monotonic)
    healed: float | None = None


class Watch:
    """Questions to the database, each answered anew; none while it is away."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._engine = connect(stack.database.url)
        self.wounds: list[Wound] = []
        self.seen: set[psutil.Process] = set()  # every process that was ever below a part of the service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._engine.dispose()

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """A connection that only reads."""
        with self._engine.connect().execution_options(reading=True) as db:
            yield db

    def rows(self, query: str, **values: Any) -> list[Any]:
        """What a query gives; asked again for a minute while the database does not answer."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.asking() as db:
                    return list(db.execute(text(query), values))
            except SQLAlchemyError as error:
                if time.monotonic() > deadline:
                    raise NotInTimeError(f"the database does not answer: {error}") from error
                time.sleep(0.1)

    def unended(self) -> int:
        """How many evaluations are queued or running."""
        return int(self.rows(f"SELECT count(*) FROM evaluations WHERE state IN {UNENDED}")[0][0])

    def epochs(self) -> int:
        """How many claims there ever were."""
        return int(self.rows("SELECT coalesce(sum(epoch), 0) FROM evaluations")[0][0])

    def claimed_since(self, epochs: int) -> Callable[[], bool]:
        """Was anything claimed beyond so many claims?"""
        return lambda: self.epochs() > epochs

    def stored(self, evaluation: str) -> tuple[str, list[str]]:
        """An evaluation's result, and its chunks in order."""
        [[result]] = self.rows("SELECT result FROM evaluations WHERE id = :id", id=evaluation)
        chunks = self.rows("SELECT payload FROM chunks WHERE evaluation = :id ORDER BY idx", id=evaluation)
        return result, [payload for [payload] in chunks]

    def leases(self) -> list[float]:
        """Seconds that each claim has left, by the database's clock."""
        with suppress(SQLAlchemyError), self.asking() as db:
            return list(db.scalars(select(ClaimRow.lease_until - clock())))
        return []

    def held_by(self, pids: set[int]) -> list[tuple[str, int, int]]:
        """(evaluation, epoch, how many may share it) of live claims by these pool processes."""
        rows = self.rows(
            "SELECT c.evaluation, c.epoch, c.worker, e.workers FROM claims c JOIN evaluations e ON e.id = c.evaluation "
            f"WHERE e.state IN {UNENDED}"
        )
        return [(row[0], row[1], row[3]) for row in rows if int(row[2].rpartition(":")[2]) in pids]

    def may_be_hurt(self, evaluation: str) -> bool:
        """Has no chunk of it lost so many workers, or crashed so often, that the next would rightly end it?"""
        [(losses, crashes)] = self.rows(
            "SELECT coalesce(max(losses), 0), coalesce(max(crashes), 0) FROM chunks "
            "WHERE evaluation = :id AND payload IS NULL",
            id=evaluation,
        )
        return int(losses) < SPARED and int(crashes) <= SPARED_CRASHES

    def computed(self, evaluation: str) -> int:
        """How many chunks it has."""
        query = "SELECT count(*) FROM chunks WHERE evaluation = :id AND payload IS NOT NULL"
        return int(self.rows(query, id=evaluation)[0][0])

    def has_computed(self, evaluation: str, chunks: int) -> Callable[[], bool]:
        """Has it more chunks than this?"""
        return lambda: self.computed(evaluation) > chunks

    def wound(self, evaluation: str, epoch: int, chunks: int | None = None) -> None:
        """From now on, until a new claim (or a new chunk), an evaluation is out of work."""
        self.wounds.append(Wound(evaluation, epoch, chunks))

    def all_healed(self) -> bool:
        """Does everything that was hurt go on?"""
        return all(wound.healed is not None for wound in self.wounds)

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            for part in self._stack.workers + self._stack.inspectors:
                with suppress(AttributeError):  # not started yet
                    self.seen.update(children(part))
            with suppress(SQLAlchemyError, NotInTimeError):
                for wound in self.wounds:
                    if wound.healed is None and self._goes_on(wound):
                        wound.healed = time.monotonic() - wound.at

    def _goes_on(self, wound: Wound) -> bool:
        with self.asking() as db:
            row = db.execute(
                text("SELECT epoch, state FROM evaluations WHERE id = :id"), {"id": wound.evaluation}
            ).one()
            if row.state not in ("queued", "running") or row.epoch > wound.epoch:
                return True
        return wound.chunks is not None and self.computed(wound.evaluation) > wound.chunks

    def orphans(self) -> list[str]:
        """Compute processes that outlived their worker."""
        ours = {process.pid for part in self._stack.parts for process in part.family()}
        found = []
        for process in self.seen:
            with suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE and process.pid not in ours:
                    found.append(f"process {process.pid}: {' '.join(process.cmdline())}")
        return [each for each in found if CHILD in each]
