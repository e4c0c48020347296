"""Finds what kill -9 leaves: staging files of dead processes, bytes without a row, rows without their bytes.

An upload stores its bytes inside the transaction that enters its row. So who holds the row, or its place, knows that
no upload of the same bytes is under way: that is how bytes are deleted here, and why no upload is ever raced.
"""

import structlog
from sqlalchemy import Engine

from service import problems
from service.api import staging
from service.settings import Settings
from service.store import artifacts
from service.store.artifacts import Kind
from service.store.blobs import Blobs
from service.store.session import reading, transaction

AGE = 600.0  # seconds that anything is left alone: to wait at the rows of uploads under way would only hold up both

log = structlog.get_logger()


def run_once(engine: Engine, blobs: Blobs, settings: Settings, age: float = AGE) -> dict[str, int]:
    """Remove what nobody owns. Returns how much, by what it was."""
    staged = staging.sweep(settings.scratch / "uploads")
    bytes_gone, present = 0, set[tuple[str, Kind, str]]()
    for blob in blobs.listing():
        if blob.artifact is None:
            if blob.age >= 6 * age:  # it is written to while somebody copies
                blobs.discard(blob)
                bytes_gone += 1
            continue
        present.add(blob.artifact)
        if blob.age >= age:
            bytes_gone += _remove_orphan(engine, blobs, *blob.artifact)
    return {"staged": staged, "blobs": bytes_gone, "lost": _lost(engine, blobs, present, age)}


def _remove_orphan(engine: Engine, blobs: Blobs, tenant: str, kind: Kind, digest: str) -> bool:
    with reading(engine) as db:
        if artifacts.holds(db, tenant, kind, digest):
            return False
    with transaction(engine) as db:
        is_nobodys = artifacts.seize(db, tenant, kind, digest)
        if is_nobodys:
            blobs.delete(tenant, kind, digest)
            artifacts.bury(db, tenant, kind, digest)
    return is_nobodys


def _lost(engine: Engine, blobs: Blobs, present: set[tuple[str, Kind, str]], age: float) -> int:
    """Delete rows whose bytes are not there. If most are missing, the store itself is: then nothing is touched."""
    with reading(engine) as db:
        rows = artifacts.kept(db, age)
    missing = [row for row in rows if row not in present]
    if len(missing) * 2 > len(rows) and len(missing) > 1:
        log.error("orphans.store_missing", rows=len(rows), missing=len(missing))
        return 0
    return sum(_give_up(engine, blobs, *row) for row in missing)


def _give_up(engine: Engine, blobs: Blobs, tenant: str, kind: Kind, digest: str) -> bool:
    try:
        with transaction(engine) as db:
            if not artifacts.holds(db, tenant, kind, digest, locked=True) or blobs.holds(tenant, kind, digest):
                return False
            artifacts.dismiss(db, tenant, kind, digest)
            artifacts.bury(db, tenant, kind, digest)
    except problems.Conflict:  # an evaluation waits for it, and will fail
        return False
    log.warning("orphans.bytes_lost", tenant=tenant, kind=kind, digest=digest)
    return True
