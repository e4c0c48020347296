"""Keeps a claim alive while its worker computes, and stops the work when the claim is lost."""

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
SLOWEST_BEAT = 2.0  # seconds; a cancelled evaluation is noticed no later
TRUST = 0.8  # share of the lease after which a worker that reached no database must assume that it is lost

log = structlog.get_logger()


class Heart:
    """Beats from a thread of its own, because the worker itself waits for the child most of the time.

    `stop_work` is called from that thread once the claim is lost; it must make the worker's current wait fail.
    """

    def __init__(self, engine: Engine, claim: Claim, lease: float, stop_work: Callable[[], None]) -> None:
        self.lost = False
        self._engine, self._claim, self._lease, self._stop_work = engine, claim, lease, stop_work
        self._still = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heart-{claim.evaluation}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._still.set()
        self._thread.join()

    def _run(self) -> None:
        pause = min(self._lease / BEATS_PER_LEASE, SLOWEST_BEAT)
        last = time.monotonic()
        while not self._still.wait(pause):
            try:
                with transaction(self._engine) as db:
                    evaluations.beat(db, self._claim, self._lease)
                last = time.monotonic()
            except ClaimLostError:
                return self._lose("the claim is gone")
            except SQLAlchemyError as error:
                log.warning("beat.failed", evaluation=self._claim.evaluation, error=str(error))
                if time.monotonic() - last > TRUST * self._lease:
                    return self._lose("the database does not answer")
        return None

    def _lose(self, why: str) -> None:
        log.info("claim.lost", evaluation=self._claim.evaluation, epoch=self._claim.epoch, why=why)
        self.lost = True
        self._stop_work()
