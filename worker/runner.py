"""Drives one claimed evaluation: chunk -> child -> count -> store -> stop rule -> the next chunk.

The labels and the metric stay in this process; the child that holds the model only maps inputs and masks to outputs.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import pairing, problems, scoring
from service.schemas import Config, canonical
from service.settings import Settings
from service.store import chunks, evaluations
from service.store.blobs import Blobs
from service.store.chunks import Held
from service.store.evaluations import Claim, ClaimLostError
from service.store.session import reading, transaction
from worker import scratch
from worker.ablation import trials
from worker.ablation.graft import Clamp
from worker.course import FIRST, Course, Subject, intact_payload
from worker.formats.datasets import UNPACKED_LIMIT
from worker.formats.refusals import Refused
from worker.heart import Heart
from worker.outcomes import as_problem
from worker.sandbox.parent import MIB, Child, Crashed, TimedOut

PAUSE = 0.1  # seconds before looking again when all chunks within reach are in other workers' hands
INTACT_BLOCK = 4096  # examples of the intact pass asked for at once; small enough to notice a lost claim soon

log = structlog.get_logger()


class Stopping(Protocol):
    """True once this worker shall leave its work to others."""

    def __bool__(self) -> bool: ...


@dataclass(frozen=True)
class Dataset:
    """A dataset as the reading child left it: inputs in a raw file, labels here."""

    inputs: Path
    found: dict[str, Any]
    labels: NDArray[np.int64]


def run(settings: Settings, engine: Engine, blobs: Blobs, claim: Claim, stopping: Stopping) -> None:
    """Work on a claimed evaluation until it is decided, lost, cancelled, or this worker stops."""
    with ExitStack() as stack:
        run = Run(settings, engine, blobs, claim, stack.enter_context(scratch.folder(settings.scratch)))
        stack.callback(run.close)
        heart = stack.enter_context(Heart(engine, claim, settings.lease_seconds, run.kill))
        try:
            run.work(stopping)
        except ClaimLostError:
            log.info("evaluation.lost", evaluation=claim.evaluation, epoch=claim.epoch)
        except problems.Problem as problem:
            log.info("evaluation.failed", evaluation=claim.evaluation, problem=problem.body())
            _fail(engine, claim, problem)
        except (Crashed, TimedOut):
            if not heart.lost:  # a lost heart kills the child; anything else is a fault of ours
                raise


def _fail(engine: Engine, claim: Claim, problem: problems.Problem) -> None:
    try:
        with transaction(engine) as db:
            evaluations.fail(db, claim, problem)
    except ClaimLostError:
        log.info("evaluation.lost", evaluation=claim.evaluation, epoch=claim.epoch)


class Run:
    """One claim's work, and the child that does the computing."""

    def __init__(self, settings: Settings, engine: Engine, blobs: Blobs, claim: Claim, folder: Path) -> None:
        self.settings, self.engine, self.blobs, self.claim, self.folder = settings, engine, blobs, claim, folder
        self.config = Config.model_validate_json(claim.config)
        self._child: Child | None = None
        self._dead = False
        self._masks_means = False

    def kill(self) -> None:
        """Make whatever this worker waits for fail at once. Called from another thread."""
        self._dead = True
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def work(self, stopping: Stopping) -> None:
        """Take chunk after chunk. The first is held before anything is read, so that every crash has a place."""
        held = self._hold_any()
        dataset: Dataset | None = None
        course: Course | None = None
        while True:
            if stopping:
                return self._release()
            try:
                if dataset is None:
                    dataset = self._read_dataset()
                if self._child is None:
                    course = self._load(dataset, course)
                assert course is not None
                if course.decided:
                    return self._finish(course)
                if held is None:
                    time.sleep(PAUSE)
                    held = self._next(course)
                    continue
                payload = self._compute(course, dataset, held.index)
            except Crashed as crash:
                self._crashed(crash, held)
                continue
            except (TimedOut, Refused) as error:
                raise as_problem(error) from error
            held = self._store(course, held, payload)

    def _read_dataset(self) -> Dataset:
        """Unpack the dataset in a child of its own, so that labels never meet a model."""
        file = self.blobs.fetch("dataset", self.claim.dataset, self.folder)
        inputs = self.folder / "inputs"
        with self._new_child(UNPACKED_LIMIT) as child:
            self._child = child
            try:
                found, labels = child.read_dataset(file, inputs_out=inputs)
            finally:
                self._child = None
        return Dataset(inputs, found, labels)

    def _new_child(self, file_bytes: int = MIB) -> Child:
        if self._dead:
            raise ClaimLostError
        settings = self.settings
        return Child(
            memory_bytes=settings.child_memory_bytes,
            seconds=settings.child_seconds,
            threads=settings.compute_threads,
            device=settings.device,
            file_bytes=file_bytes,
        )

    def _load(self, dataset: Dataset, course: Course | None) -> Course:
        """Start the child that holds the model. What it finds must fit the dataset and the config."""
        file = self.blobs.fetch("model", self.claim.model, self.folder)
        self._child = self._new_child()
        found = self._child.open_model(file)
        pairing.check(found, dataset.found, self.config)
        sites = pairing.scoped(found["sites"], self.config)
        if course is None:
            course = Course(self._subject(found, sites, dataset))
            with reading(self.engine) as db:
                course.take(chunks.computed(db, self.claim, course.next))
        self._load_network(course, dataset)
        return course

    def _load_network(self, course: Course, dataset: Dataset) -> None:
        assert self._child is not None
        clamp: Clamp = "mean" if course.means is not None else "zero"  # before the means are known, only to find them
        self._masks_means = clamp == "mean"
        self._child.load(
            dataset.inputs,
            tuple(dataset.found["inputs"][0]["shape"]),
            sites=[site["site"] for site in course.subject.sites],
            clamp=clamp,
            means=course.means,
        )

    def _subject(self, found: dict[str, Any], sites: list[dict[str, Any]], dataset: Dataset) -> Subject:
        return Subject(
            model=self.claim.model,
            dataset=self.claim.dataset,
            config=self.config,
            examples=dataset.found["examples"],
            most_frequent=dataset.found["labels"]["most_frequent"],
            sites=sites,
            warnings=[*found["warnings"], *dataset.found.get("warnings", [])],
            versions=found["versions"],
            device=self.settings.device,
        )

    def _compute(self, course: Course, dataset: Dataset, index: int) -> dict[str, Any]:
        assert self._child is not None
        if index < FIRST:
            return self._intact(course, dataset)
        if self.config.clamp == "mean" and not self._masks_means:
            self._load_network(course, dataset)
        drawn = trials.draw(course.design, index - FIRST)
        outputs = self._child.outputs(drawn.examples, drawn.lesions, drawn.masks)
        right = outputs.argmax(axis=1) == dataset.labels[drawn.examples]
        return dict(scoring.count(drawn.cells, right))

    def _intact(self, course: Course, dataset: Dataset) -> dict[str, Any]:
        assert self._child is not None
        right = 0
        for start in range(0, course.subject.examples, INTACT_BLOCK):
            stop = min(start + INTACT_BLOCK, course.subject.examples)
            outputs = self._child.intact(start, stop)
            right += int(np.count_nonzero(outputs.argmax(axis=1) == dataset.labels[start:stop]))
        means = self._child.means(course.design.units) if self.config.clamp == "mean" else None
        return intact_payload(right, course.subject.examples, means)

    def _hold_any(self) -> Held | None:
        """Hold the first chunk that is free, before anything is known of the model: with `mean`, that is chunk 0."""
        end = FIRST if self.config.clamp == "mean" else None
        with transaction(self.engine) as db:
            held = chunks.hold(db, self.claim, 0, end, self.config.limits.workers)
        return self._checked(held)

    def _checked(self, held: Held | None) -> Held | None:
        if held is not None and held.losses >= chunks.LOSSES:
            raise problems.WorkerLost(
                f"{held.losses} workers vanished while they computed chunk {held.index}. Submit the evaluation again; "
                "if it happens again, the model may be taking its workers' memory."
            )
        return held

    def _next(self, course: Course) -> Held | None:
        with transaction(self.engine) as db:
            course.take(chunks.computed(db, self.claim, course.next))
            held = self._hold(db, course)
        return self._checked(held)

    def _hold(self, db: Session, course: Course) -> Held | None:
        if course.decided:
            return None
        return chunks.hold(db, self.claim, course.next, course.end, self.config.limits.workers)

    def _store(self, course: Course, held: Held, payload: dict[str, Any]) -> Held | None:
        """Store a chunk, take in what is new, show progress and hold the next chunk, all in one transaction."""
        with transaction(self.engine) as db:
            chunks.add_chunk(db, self.claim, held.index, payload)
            course.take(chunks.computed(db, self.claim, course.next))
            evaluations.show_progress(db, self.claim, course.progress())
            self._in_time(evaluations.seconds_run(db, self.claim.evaluation))
            following = self._hold(db, course)
        return self._checked(following)

    def _in_time(self, seconds: float) -> None:
        if seconds > self.config.limits.seconds:
            raise problems.DeadlineExceeded(
                f"The evaluation ran for {seconds:.0f} s and may take {self.config.limits.seconds:.0f}. Raise "
                "`limits.seconds`, ask for less precision, or start more workers."
            )

    def _crashed(self, crash: Crashed, held: Held | None) -> None:
        """Count a crash at the chunk it happened at; the third ends the evaluation."""
        self.close()
        if self._dead or held is None:
            raise ClaimLostError from crash
        with transaction(self.engine) as db:
            crashes = chunks.crashed(db, self.claim, held.index)
        log.warning(
            "child.crashed", evaluation=self.claim.evaluation, chunk=held.index, crashes=crashes, how=str(crash)
        )
        if crashes >= chunks.CRASHES:
            raise as_problem(crash) from crash

    def _finish(self, course: Course) -> None:
        result = canonical(course.result().model_dump(mode="json"))
        with transaction(self.engine) as db:
            evaluations.finish(db, self.claim, result)
        log.info("evaluation.succeeded", evaluation=self.claim.evaluation, chunks=course.next)

    def _release(self) -> None:
        with transaction(self.engine) as db:
            evaluations.release(db, self.claim)
        log.info("evaluation.released", evaluation=self.claim.evaluation)
