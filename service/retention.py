"""Deletes what the policies say, and what nobody needs any more, in small lots: each a short transaction.

Beside the sweeper, in a thread of its own: the store of uploads may be slow, and hints must not wait for it.
"""

import threading
from collections.abc import Callable

import structlog
from obstore.exceptions import BaseError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import orphans, problems
from service.settings import Settings
from service.store import artifacts, retention
from service.store.artifacts import Kind
from service.store.blobs import Blobs
from service.store.session import AWAY, reading, transaction

LOT = 50  # rows deleted in one transaction: on SQLite everybody who writes waits for it
MOST_LOTS = 200  # of one kind in one pass; the next pass takes the rest
PASS_SECONDS = 60.0
ORPHAN_SECONDS = 3_600.0
DAY = 86_400.0
REFUSALS_KEPT = 3_600.0  # seconds that the answer to a refused upload can still be asked for
KEYS_KEPT = DAY  # seconds that an Idempotency-Key gives the same evaluation

log = structlog.get_logger()


def run_once(engine: Engine, blobs: Blobs, settings: Settings) -> dict[str, int]:
    """One pass over all that may have to go. Returns how much went, by what it was."""
    gone = {"uploads": _bury(engine, blobs)}
    if settings.keep_evaluations is not None:
        age = settings.keep_evaluations * DAY
        gone["evaluations"] = _in_lots(engine, lambda db: retention.forget_evaluations(db, age, LOT))
    if settings.keep_uploads is not None:
        gone["uploads"] += _expire_uploads(engine, blobs, settings.keep_uploads * DAY)
    gone["keys"] = _in_lots(engine, lambda db: retention.forget_keys(db, KEYS_KEPT, LOT))
    gone["refusals"] = _in_lots(engine, lambda db: retention.forget_refused(db, REFUSALS_KEPT, LOT))
    with transaction(engine) as db:
        gone["claims"] = retention.forget_claims(db, DAY)
    return gone


def _in_lots(engine: Engine, forget: Callable[[Session], int]) -> int:
    total = 0
    for _ in range(MOST_LOTS):
        with transaction(engine) as db:
            count = forget(db)
        total += count
        if count < LOT:
            break
    return total


def _expire_uploads(engine: Engine, blobs: Blobs, age: float) -> int:
    with reading(engine) as db:
        found = retention.unused(db, age, LOT * MOST_LOTS)
    count = 0
    for artifact in found:
        try:
            with transaction(engine) as db:
                artifacts.dismiss(db, *artifact, unused=age)
        except (problems.NotFound, problems.Conflict):  # somebody wants it again, or deleted it
            continue
        count += bury(engine, blobs, *artifact)
    return count


def _bury(engine: Engine, blobs: Blobs) -> int:
    with reading(engine) as db:
        found = retention.dying(db, LOT * MOST_LOTS)
    return sum(bury(engine, blobs, *artifact) for artifact in found)


def bury(engine: Engine, blobs: Blobs, tenant: str, kind: Kind, digest: str) -> bool:
    """Finish the deleting of an artifact: its bytes, then what need not stay of its row."""
    with transaction(engine) as db:
        is_dying = artifacts.bury(db, tenant, kind, digest)
        if is_dying:
            blobs.delete(tenant, kind, digest)
    return is_dying


def run(engine: Engine, blobs: Blobs, settings: Settings, stop: threading.Event) -> None:
    """Pass after pass, until told to stop. A database or a store that is away for a while ends nothing."""
    passes = 0
    while not stop.wait(PASS_SECONDS):
        try:
            gone = run_once(engine, blobs, settings)
            if passes % (ORPHAN_SECONDS // PASS_SECONDS) == 0:
                gone |= orphans.run_once(engine, blobs, settings)
            if any(gone.values()):
                log.info("retention.gone", **{what: count for what, count in gone.items() if count})
        except (*AWAY, BaseError, OSError) as error:
            log.warning("retention.failed", error=str(error))
        passes += 1
