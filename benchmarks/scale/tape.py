"""A tape: what a real evaluation's chunks gave, and how long each took. Recorded once, by the worker's own code."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from service import examples, schemas
from service.settings import Settings
from service.store import artifacts, submissions, turns
from service.store.blobs import Blobs, open_blobs
from service.store.evaluations import Asked
from service.store.session import connect, migrate, transaction
from service.store.tenants import DEFAULT
from worker import inspector, runner
from worker.computing import Computing
from worker.course import Course, Subject

BEYOND = 64  # chunks after the last one that counted, for workers that are ahead when it is decided


@dataclass
class Tape:
    """One evaluation: its subject, payloads by chunk, seconds of each, and seconds until its model was open."""

    subject: Subject | None = None
    opening: float = 0.0
    payloads: list[Mapping[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def record(precision: float) -> Tape:
    """Evaluate the shipped network to this precision, with the real worker code, and keep all it computes."""
    tape = Tape()

    class Recording(Computing):
        """The worker's, which notes what it does."""

        course: Course | None = None

        def open(self) -> Subject:
            began = time.perf_counter()
            tape.subject = super().open()
            tape.opening = time.perf_counter() - began
            return tape.subject

        def compute(self, course: Course, index: int) -> Mapping[str, Any]:
            self.course, began = course, time.perf_counter()
            payload = super().compute(course, index)
            tape.payloads.append(payload)
            tape.seconds.append(time.perf_counter() - began)
            return payload

        def close(self) -> None:
            if self.course is not None and self.ready:
                for index in range(len(tape.payloads), len(tape.payloads) + BEYOND):
                    self.compute(self.course, index)
            super().close()

    with _place() as (settings, engine, blobs), _instead(Recording):
        digests = [_uploaded(settings, engine, blobs, kind, path) for kind, path in _files()]
        submit(engine, digests, {"precision": precision})
        with transaction(engine) as db:
            claim = turns.claim_next(db, "recorder", settings.lease_seconds)
        assert claim is not None
        runner.run(settings, engine, blobs, claim, _Never())
    assert tape.subject is not None
    return tape


def submit(engine: Engine, digests: Sequence[str], config: Mapping[str, Any]) -> str:
    """Enter an evaluation of two uploads; its id."""
    asked = schemas.Config.model_validate(config)
    model, dataset = digests
    entry = Asked(model, dataset, asked.model_dump_json(), asked.limits.workers, schemas.digest(str(time.time_ns())))
    with transaction(engine) as db:
        return submissions.create(db, DEFAULT, entry)[0].id


class _Never:
    def __bool__(self) -> bool:
        return False


def _files() -> list[tuple[artifacts.Kind, Path]]:
    model, dataset = examples.paths("learned")
    return [("model", model), ("dataset", dataset)]


@contextmanager
def _place() -> Iterator[tuple[Settings, Engine, Blobs]]:
    with tempfile.TemporaryDirectory(prefix="lesion-scale-") as folder:
        settings = Settings(data=Path(folder), threads=1)
        engine = connect(settings.database)
        migrate(engine)
        yield settings, engine, open_blobs(settings.blobs)
        engine.dispose()


@contextmanager
def _instead(kind: type[Computing]) -> Iterator[None]:
    vars(runner)["Computing"] = kind
    try:
        yield
    finally:
        vars(runner)["Computing"] = Computing


def _uploaded(settings: Settings, engine: Engine, blobs: Blobs, kind: artifacts.Kind, path: Path) -> str:
    with path.open("rb") as source:
        digest = f"sha256:{file_digest(source, 'sha256').hexdigest()}"
    settings.scratch.mkdir(parents=True, exist_ok=True)
    copy = Path(shutil.copy(path, settings.scratch / path.name))  # the store of uploads takes the file
    blobs.put(DEFAULT, kind, digest, copy)
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, kind, digest, path.stat().st_size)
    inspector.inspect(settings, engine, blobs, DEFAULT, kind, digest)
    return digest
