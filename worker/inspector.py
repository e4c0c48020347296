"""Looks at one upload in a child process and writes down what it is, or why it is refused."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service import problems
from service.settings import Settings
from service.store import artifacts
from service.store.artifacts import Kind
from service.store.blobs import Blobs
from service.store.session import transaction
from worker import scratch
from worker.formats.refusals import Refused
from worker.outcomes import as_problem
from worker.pulse import Pulse
from worker.sandbox import conversion
from worker.sandbox.parent import Child, Crashed, TimedOut

INSPECT_SECONDS = 120.0  # a file that takes longer is refused

log = structlog.get_logger()


def inspect(settings: Settings, engine: Engine, blobs: Blobs, tenant: str, kind: Kind, digest: str) -> None:
    """Inspect an artifact that is `received`: it becomes `ready` or `refused`. Does nothing for any other.

    A crash of the child is tried again; a file that crashes it every time, or whose every inspector vanished, is
    refused.
    """
    attempt = None
    while True:
        with transaction(engine) as db:
            attempt = artifacts.begin_inspection(db, tenant, kind, digest, settings.lease_seconds, attempt)
        if attempt is None:
            return
        if attempt > artifacts.INSPECTIONS:
            return _refuse(engine, blobs, tenant, kind, digest, _lost(kind))
        try:
            with Pulse(engine, settings.lease_seconds, tenant, kind, digest, attempt):
                found = _look(settings, blobs, tenant, kind, digest)
        except (Crashed, TimedOut, Refused) as error:
            problem = as_problem(error)
            if isinstance(error, Crashed) and attempt < artifacts.INSPECTIONS:
                log.warning(
                    "inspection.crashed", tenant=tenant, kind=kind, digest=digest, attempt=attempt, how=str(error)
                )
                continue
            return _refuse(engine, blobs, tenant, kind, digest, problem)
        except Exception:  # a disk or a store that fails says nothing of the file
            with suppress(SQLAlchemyError), transaction(engine) as db:
                artifacts.leave_inspection(db, tenant, kind, digest, attempt)
            raise
        with transaction(engine) as db:
            artifacts.accept(db, tenant, kind, digest, found)
        return


def _lost(kind: Kind) -> problems.Problem:
    return problems.ModelCrashed(
        f"{artifacts.INSPECTIONS} workers died while they read this {kind}: it may have taken their memory."
    )


def _look(settings: Settings, blobs: Blobs, tenant: str, kind: Kind, digest: str) -> dict[str, Any]:
    with scratch.folder(settings.scratch) as folder:
        file, memory = blobs.fetch(tenant, kind, digest, folder), settings.child_memory_bytes
        program = conversion.kind_of(file) if kind == "model" else None
        report: dict[str, Any] | None = None
        if program is not None:
            onnx = folder / "converted.onnx"
            report = conversion.converted(file, program, onnx, memory_bytes=memory, seconds=INSPECT_SECONDS)
            file = onnx
        with Child(memory_bytes=memory, seconds=INSPECT_SECONDS, threads=1) as child:
            if kind == "model":
                found = child.open_model(file)
                return found if report is None else {**found, "format": program, "converted": report}
            found, _labels = child.read_dataset(file, inputs_out=Path(os.devnull), reading=None)
            return found


def _refuse(engine: Engine, blobs: Blobs, tenant: str, kind: Kind, digest: str, problem: problems.Problem) -> None:
    """Refuse first, delete the bytes after: no rollback of a full database brings bytes back.

    Where the second step fails, the bytes are nobody's, and swept up as such.
    """
    with transaction(engine) as db:
        refused = artifacts.refuse(db, tenant, kind, digest, problem.body())
    if refused:
        with transaction(engine) as db:
            if artifacts.seize(db, tenant, kind, digest):  # unless they were uploaded again in this very moment
                blobs.delete(tenant, kind, digest)
                artifacts.bury(db, tenant, kind, digest)
