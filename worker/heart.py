"""Keeps a claim alive while its worker computes, and stops the work when the claim is lost."""

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service.store import evaluations
from service.store.evaluations import Claim, ClaimLostError
from service.store.session import transaction

BEATS_PER_LEASE = 3
LOOKS_PER_LEASE = 20
SLOWEST_BEAT = 2.0  # seconds; a cancelled evaluation is noticed no later
TRUST = 0.8  # share of the lease after which a worker that reached no database must assume that it is lost

log = structlog.get_logger()


class Heart:
    """Beats from a thread of its own, because the worker itself waits for the child most of the time.

    `stop_work` is called from a thread of the heart, once: when the claim is `lost`, or when the evaluation has run for
    more than `limit` seconds and so is `late`. It must make the worker's current wait fail.
    """

    def __init__(
        self, engine: Engine, claim: Claim, lease: float, stop_work: Callable[[], None], limit: float = math.inf
    ) -> None:
        self.lost = self.late = False
        self._engine, self._claim, self._lease, self._stop_work = engine, claim, lease, stop_work
        self._limit = limit
        self._last = time.monotonic()
        self._still = threading.Event()
        # Two, since a database that does not answer holds the one that beats for longer than a lease lasts.
        self._threads = [
            threading.Thread(target=target, name=f"heart-{claim.evaluation}", daemon=True)
            for target in (self._beat, self._listen)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._still.set()
        for thread in self._threads:
            thread.join()

    def _beat(self) -> None:
        pause = min(self._lease / BEATS_PER_LEASE, SLOWEST_BEAT)
        while not self._still.wait(pause):
            begun = time.monotonic()
            try:
                with transaction(self._engine) as db:
                    evaluations.beat(db, self._claim, self._lease)
                    seconds = evaluations.seconds_run(db, self._claim.evaluation)
            except ClaimLostError:
                return self._lose("the claim is gone")
            except SQLAlchemyError as error:
                log.warning("beat.failed", evaluation=self._claim.evaluation, error=str(error))
                continue
            self._last = begun  # the lease may count from then on, not from when we heard of it
            if seconds > self._limit:
                self.late = True
                return self._stop_work()
        return None

    def _listen(self) -> None:
        while not self._still.wait(self._lease / LOOKS_PER_LEASE):
            if not self.late and time.monotonic() - self._last > TRUST * self._lease:
                return self._lose("the database does not answer")
        return None

    def _lose(self, why: str) -> None:
        log.info("claim.lost", evaluation=self._claim.evaluation, epoch=self._claim.epoch, why=why)
        self.lost = True
        self._stop_work()
