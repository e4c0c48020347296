"""Killed at one point of an upload: python -m tests.service.upload_killed POINT DATABASE BLOBS DATA."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from service.api import intake
from service.api.deps import Backends
from service.api.staging import Allowance, StagingFile
from service.settings import Settings
from service.store import artifacts
from service.store.blobs import Blobs, open_blobs
from service.store.session import connect
from service.store.tenants import DEFAULT

POINTS = ("staging", "hashed", "row", "moved", "committed")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after(work: Callable[..., Any]) -> Callable[..., Any]:
    def worked(*arguments: Any) -> Any:
        work(*arguments)
        die()

    return worked


def main(point: str, database: str, blobs: str, data: str) -> None:
    """Upload the bytes `content`, as the API does, but not beyond that point."""
    if point == "row":
        artifacts.receive = dying_after(artifacts.receive)
    if point == "moved":
        Blobs.put = dying_after(Blobs.put)  # type: ignore[method-assign]
    settings = Settings(data=Path(data), database_url=database, blobs_url=blobs)
    used = SimpleNamespace(settings=settings, engine=connect(database), blobs=open_blobs(blobs))
    with StagingFile(settings.scratch / "uploads", Allowance(1000)) as file:
        file.write(b"content")
        if point == "staging":
            die()
        staged = file.done()
        if point == "hashed":
            die()
        intake.keep(cast(Backends, used), DEFAULT, "model", staged)
        die()


if __name__ == "__main__":
    main(*sys.argv[1:])
