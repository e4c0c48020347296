"""The Celery tasks: a hint comes in, the row is claimed, the work is done. What Celery itself loses does not matter."""

import mmap
import os
import socket
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from celery import signals
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service import broker, chunk_seconds, logs, tracing
from service.settings import Settings
from service.store import turns
from service.store.artifacts import Kind
from service.store.blobs import Blobs, open_blobs
from service.store.session import connect, transaction
from worker import inspector, runner, scratch
from worker.sandbox import selftest, walls

app = broker.celery  # where `celery -A worker.tasks` looks for it
log = structlog.get_logger()


@dataclass(frozen=True)
class Workplace:
    """What one pool process works with."""

    settings: Settings
    engine: Engine
    blobs: Blobs
    name: str


@cache
def workplace() -> Workplace:
    """This pool process's workplace, made at its first task: connections must not be shared across a fork."""
    settings = Settings()
    tracing.start("worker")
    name = f"{socket.gethostname()}:{os.getpid()}"
    return Workplace(settings, connect(settings.database), open_blobs(settings.blobs), name)


class Stopping:
    """A flag that the main process raises and its pool process sees: memory that a fork shares."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def __bool__(self) -> bool:
        return self._byte[0] != 0

    def set(self) -> None:
        """Ask for the work under way to be left at the next chunk."""
        self._byte[0] = 1


@cache
def stopping() -> Stopping:
    """The flag of this worker; made in the main process, before it forks."""
    return Stopping()


@signals.worker_init.connect
def _prepare(**_: Any) -> None:
    logs.configure()
    try:
        stopping()
        settings = Settings()
        swept = scratch.sweep(settings.scratch)
        _check_walls(settings)
        _check_device(settings)
    except Exception as error:  # Celery would log it and go on: to take work behind walls that nobody has tried
        log.error("worker.cannot_start", exc_info=error)
        raise SystemExit(f"The worker cannot start: {error}") from error
    log.info("worker.ready", swept=swept)


def _check_walls(settings: Settings) -> None:
    """Refuse all work, and end, where a hostile model could get out. Other systems than Linux have no walls to ask."""
    leaks = selftest.leaks(settings.device) if sys.platform == "linux" else ["has no walls but its limits"]
    if not leaks:
        broker.refuse(socket.gethostname(), None)
        return
    why = f"A hostile model here {', '.join(leaks)}. {selftest.HOW}"
    if settings.walls == "offered" or sys.platform != "linux":
        log.warning("worker.weak_walls", leaks=leaks)
        return
    broker.refuse(socket.gethostname(), why)
    log.error("worker.refuses", why=why)
    raise SystemExit(why)


def _check_device(settings: Settings) -> None:
    """Refuse all work, and end, where there is no such GPU: on the CPU, results would say what is not so."""
    why = selftest.unusable(settings.device)
    if why is not None:
        why = f"LESION_DEVICE is {settings.device}, and nothing can be computed on it: {why}."
        broker.refuse(socket.gethostname(), why)
        log.error("worker.refuses", why=why)
        raise SystemExit(why)


@signals.worker_process_init.connect
def _follow_parent(**_: Any) -> None:
    """A pool process, and so its child, must not outlive a worker that was killed; one before it may have been."""
    walls.die_with_parent()
    scratch.sweep(Settings().scratch)


@signals.worker_shutting_down.connect
def _leave_at_next_chunk(**_: Any) -> None:
    stopping().set()


@app.task(name=broker.EVALUATE)
def evaluate(evaluation: str) -> None:
    """Work on the evaluation whose turn it is, then on the next, until nothing waits: of many hints few are needed."""
    place = workplace()
    try:
        while not stopping():
            began = time.time()
            with transaction(place.engine) as db:
                claim = turns.claim_next(db, place.name, place.settings.lease_seconds)
            if claim is None:
                return
            structlog.contextvars.bind_contextvars(evaluation=claim.evaluation)
            about: dict[str, str | int] = {"lesion.evaluation": claim.evaluation, "lesion.claim": claim.epoch}
            with tracing.span("evaluate", about, claim.trace, "consumer"):
                tracing.past("claim", began)
                going_on = runner.run(place.settings, place.engine, place.blobs, claim, stopping())
            tracing.flush()
            if not going_on:
                return
    except (SQLAlchemyError, OSError) as error:  # the lease runs out, and the sweeper asks somebody else
        log.warning("evaluation.left", evaluation=evaluation, error=str(error))
    finally:
        structlog.contextvars.unbind_contextvars("evaluation")
        chunk_seconds.stopwatch().tell()


@app.task(name=broker.INSPECT)
def inspect(tenant: str, kind: Kind, digest: str) -> None:
    """Inspect an upload, if nobody has yet."""
    place = workplace()
    try:
        inspector.inspect(place.settings, place.engine, place.blobs, tenant, kind, digest)
    except (SQLAlchemyError, OSError) as error:
        log.warning("inspection.left", tenant=tenant, kind=kind, digest=digest, error=str(error))
