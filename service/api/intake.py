"""From a staged file to an artifact that a worker has inspected: stored, hinted at, waited for, or withdrawn."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from anyio import sleep, to_thread

from service import broker
from service.api import admission, answers
from service.api.deps import Backends
from service.api.staging import Staged
from service.store import artifacts
from service.store.artifacts import Kind
from service.store.blobs import flush
from service.store.session import AWAY, reading, transaction
from service.store.tables import ArtifactRow

POLL_SECONDS = 0.05  # between looks at a row that a worker is about to change


@dataclass(frozen=True)
class Received:
    """An artifact in the store; `new` if this very request brought it."""

    tenant: str
    kind: Kind
    digest: str
    new: bool


def keep(backends: Backends, tenant: str, kind: Kind, staged: Staged) -> Received:
    """Store a staged file as an artifact, unless its bytes are there already: known, and not lost since."""
    flush(staged.file)  # before the transaction: on SQLite everybody else waits for its end
    put, quota = False, backends.settings.max_stored_bytes
    try:
        with transaction(backends.engine) as db:
            new = artifacts.receive(db, tenant, kind, staged.digest, staged.size, quota)
            if new or not backends.blobs.holds(tenant, kind, staged.digest):
                backends.blobs.put(tenant, kind, staged.digest, staged.file)
                put = new
    except AWAY:
        if put:
            _take_back(backends, tenant, kind, staged)
        raise
    return Received(tenant, kind, staged.digest, new)


class _NotToBeKeptError(Exception):
    """Ends a transaction that has served its purpose."""


def _take_back(backends: Backends, tenant: str, kind: Kind, staged: Staged) -> None:
    """Delete bytes whose row was not committed, unless somebody has entered it meanwhile; best effort."""
    with suppress(*AWAY, OSError, _NotToBeKeptError), transaction(backends.engine) as db:
        if artifacts.receive(db, tenant, kind, staged.digest, staged.size):  # who else enters it waits for us here
            backends.blobs.delete(tenant, kind, staged.digest)
        raise _NotToBeKeptError


async def inspected(backends: Backends, *brought: Received) -> list[ArtifactRow]:
    """The artifacts' rows once workers have looked at them, or still `received` if none did within the set time.

    No broker, no wait: the upload is kept, and whoever runs the evaluation checks it then. A refusal ends the wait.
    """
    rows = await to_thread.run_sync(_rows, backends, brought)
    for row in rows:
        artifact = (row.tenant, row.kind, row.digest)
        if row.state == "received" and not await to_thread.run_sync(broker.hint_inspection, *artifact):
            return rows
    deadline = time.monotonic() + backends.settings.inspect_wait
    while _undecided(rows) and time.monotonic() < deadline:
        with admission.aside():
            await sleep(POLL_SECONDS)
        rows = await to_thread.run_sync(_rows, backends, brought)
    return rows


def _undecided(rows: list[ArtifactRow]) -> bool:
    states = {row.state for row in rows}
    return "received" in states and "refused" not in states


def _rows(backends: Backends, brought: Sequence[Received]) -> list[ArtifactRow]:
    return [_row(backends, received) for received in brought]


def _row(backends: Backends, received: Received) -> ArtifactRow:
    with reading(backends.engine) as db:
        row = artifacts.find(db, received.tenant, received.kind, received.digest)
    if row is None:  # another request asked for the same bytes, and withdrew them on a refusal
        return ArtifactRow(tenant=received.tenant, kind=received.kind, digest=received.digest, state="received")
    return row


def withdraw(backends: Backends, received: Received) -> None:
    """Remove an artifact that this request brought, unless somebody uses it by now."""
    if received.new:
        with transaction(backends.engine) as db:
            if artifacts.remove(db, received.tenant, received.kind, received.digest):
                backends.blobs.delete(received.tenant, received.kind, received.digest)


def delete(backends: Backends, tenant: str, kind: Kind, digest: str) -> None:
    """Delete an artifact and its bytes. Raises `NotFound`, or `Conflict` while an evaluation needs it."""
    with transaction(backends.engine) as db:
        artifacts.dismiss(db, tenant, kind, digest)
    with transaction(backends.engine) as db:
        if artifacts.bury(db, tenant, kind, digest):
            backends.blobs.delete(tenant, kind, digest)


async def admitted(backends: Backends, *brought: Received) -> list[ArtifactRow]:
    """As `inspected`, but a refused artifact raises its problem and leaves nothing behind."""
    rows = await inspected(backends, *brought)
    for row, received in zip(rows, brought, strict=True):
        if row.state == "refused":
            await to_thread.run_sync(withdraw, backends, replace(received, new=True))
            raise answers.refusal(row)
    return rows
