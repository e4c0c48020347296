"""Repeats hints that were lost: for what is queued, for what a dead worker left, for uploads nobody inspected."""

import threading

import structlog
from sqlalchemy import Engine

from service import broker
from service.settings import Settings
from service.store import artifacts, deliveries, evaluations
from service.store.session import transaction

PATIENCE = 30.0  # seconds before a hint that nobody acted on is repeated
BATCH = 100  # evaluations hinted at in one sweep
BACKLOG = 1_000  # hints unread in a queue, beyond which repeating them only feeds the pile
DELIVERIES_KEPT = 30 * 86_400.0  # seconds that what became of a delivery can still be asked for

log = structlog.get_logger()


def run_once(engine: Engine, patience: float = PATIENCE) -> int:
    """One sweep: hint again at all that waits for a worker. Returns how many hints were sent."""
    hints = 0
    if _room(broker.EVALUATIONS):
        with transaction(engine) as db:
            wanted = evaluations.neglected(db, patience, BATCH)
        hints += sum(broker.hint_evaluation(evaluation) for evaluation, missing in wanted for _ in range(missing))
    if _room(broker.INSPECTIONS):
        with transaction(engine) as db:
            uninspected = artifacts.uninspected(db, patience, BATCH)
        hints += sum(broker.hint_inspection(*artifact) for artifact in uninspected)
    with transaction(engine) as db:
        deliveries.forget(db, DELIVERIES_KEPT)
    return hints


def _room(queue: str) -> bool:
    """Is the broker there, and its queue short enough to take more?"""
    try:
        return broker.waiting(queue) < BACKLOG
    except broker.AWAY as error:
        log.warning("sweep.no_broker", queue=queue, error=str(error))
        return False


def run(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Sweep until told to stop. Nothing ends it: a sweep that failed is repeated, whatever the reason."""
    while not stop.wait(settings.sweep_seconds):
        try:
            run_once(engine, min(PATIENCE, settings.lease_seconds))
        except Exception as error:  # this thread is all that finds lost work again; a fault of ours must not end it
            log.warning("sweep.failed", error=str(error), kind=type(error).__name__)
