"""Keeps the lease of an inspection while its child reads, so that only who vanishes is followed by another."""

import threading
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service.store import artifacts
from service.store.artifacts import Kind
from service.store.session import transaction

BEATS_PER_LEASE = 3

log = structlog.get_logger()


class Pulse:
    """A thread that renews. Who loses the lease all the same does no harm: a verdict depends on the bytes alone."""

    def __init__(self, engine: Engine, lease: float, tenant: str, kind: Kind, digest: str, attempt: int) -> None:
        self._engine, self._lease, self._attempt = engine, lease, attempt
        self._tenant, self._kind, self._digest = tenant, kind, digest
        self._still = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse-{digest[:15]}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._still.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._still.wait(self._lease / BEATS_PER_LEASE):
            try:
                with transaction(self._engine) as db:
                    artifacts.keep_inspecting(db, self._tenant, self._kind, self._digest, self._attempt, self._lease)
            except SQLAlchemyError as error:
                log.warning("inspection.beat_failed", digest=self._digest, error=str(error))
