"""From a staged file to an artifact that a worker has inspected: stored, hinted at, waited for, or withdrawn."""

import time
from dataclasses import dataclass

from anyio import sleep, to_thread

from service import broker
from service.api import answers
from service.api.deps import Backends
from service.api.uploads import Staged
from service.store import artifacts
from service.store.artifacts import Kind
from service.store.session import reading, transaction
from service.store.tables import ArtifactRow

POLL_SECONDS = 0.05  # between looks at a row that a worker is about to change


@dataclass(frozen=True)
class Received:
    """An artifact in the store; `new` if this very request brought it."""

    kind: Kind
    digest: str
    new: bool


def keep(backends: Backends, kind: Kind, staged: Staged) -> Received:
    """Store a staged file as an artifact, unless its bytes are known already."""
    with transaction(backends.engine) as db:
        new = artifacts.receive(db, kind, staged.digest, staged.size)
        if new:
            backends.blobs.put(kind, staged.digest, staged.file)
    return Received(kind, staged.digest, new)


async def inspected(backends: Backends, received: Received) -> ArtifactRow:
    """The artifact's row once a worker has looked at it, or still `received` if none did within the set time.

    No broker, no wait: the upload is kept, and whoever runs the evaluation checks it then.
    """
    row = await to_thread.run_sync(_row, backends, received)
    if row.state != "received":
        return row
    if not await to_thread.run_sync(broker.hint_inspection, received.kind, received.digest):
        return row
    deadline = time.monotonic() + backends.settings.inspect_wait
    while row.state == "received" and time.monotonic() < deadline:
        await sleep(POLL_SECONDS)
        row = await to_thread.run_sync(_row, backends, received)
    return row


def _row(backends: Backends, received: Received) -> ArtifactRow:
    with reading(backends.engine) as db:
        row = artifacts.find(db, received.kind, received.digest)
    if row is None:  # another request asked for the same bytes, and withdrew them on a refusal
        return ArtifactRow(kind=received.kind, digest=received.digest, state="received")
    return row


def withdraw(backends: Backends, received: Received) -> None:
    """Remove an artifact that this request brought, unless somebody uses it by now."""
    if received.new:
        with transaction(backends.engine) as db:
            if artifacts.remove(db, received.kind, received.digest):
                backends.blobs.delete(received.kind, received.digest)


async def admitted(backends: Backends, received: Received) -> ArtifactRow:
    """As `inspected`, but a refused artifact raises its problem and leaves nothing behind."""
    row = await inspected(backends, received)
    if row.state == "refused":
        await to_thread.run_sync(withdraw, backends, Received(received.kind, received.digest, new=True))
        raise answers.refusal(row)
    return row
