"""Drives one claimed evaluation: chunk -> child -> count -> store -> stop rule -> the next chunk.

The labels and the metric stay in this process; the child that holds the model only maps inputs and masks to outputs.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import chunk_seconds, compared, problems, tracing
from service.schemas import Config, canonical
from service.settings import Settings
from service.store import chunks, evaluations, turns, units
from service.store.blobs import Blobs
from service.store.chunks import Held
from service.store.evaluations import Claim, ClaimLostError
from service.store.session import reading, transaction
from worker import scratch
from worker.computing import Computing
from worker.course import FIRST, Course
from worker.formats.refusals import Refused
from worker.heart import Heart
from worker.judging import Rival, Role
from worker.outcomes import as_problem
from worker.sandbox import selftest
from worker.sandbox.parent import Crashed, TimedOut

PAUSE = 0.1  # seconds before looking again when all chunks within reach are in other workers' hands

log = structlog.get_logger()


class Stopping(Protocol):
    """True once this worker shall leave its work to others."""

    def __bool__(self) -> bool: ...


def run(settings: Settings, engine: Engine, blobs: Blobs, claim: Claim, stopping: Stopping) -> bool:
    """Work on a claimed evaluation until it is decided, lost, cancelled, or this worker stops.

    False if this worker had better take no other at once, since its disk is full, or its GPU is gone.
    """
    with ExitStack() as stack:
        run = Run(settings, engine, blobs, claim, stack.enter_context(scratch.folder(settings.scratch)))
        stack.callback(run.close)
        limit = run.config.limits.seconds
        heart = stack.enter_context(Heart(engine, claim, settings.lease_seconds, run.kill, limit))
        try:
            run.work(stopping)
        except ClaimLostError:
            if heart.late:
                _fail(engine, claim, _too_late(limit))
            else:
                log.info("evaluation.lost", evaluation=claim.evaluation, epoch=claim.epoch)
        except problems.Problem as problem:
            _fail(engine, claim, problem)
        except OSError as error:
            if not scratch.is_full(error):
                raise
            log.warning("evaluation.no_room", evaluation=claim.evaluation, error=str(error))
            run.release()
            return False
        except DeviceGoneError as gone:
            log.error("evaluation.no_gpu", evaluation=claim.evaluation, why=str(gone))
            run.release()
            return False
        except (Crashed, TimedOut):
            if not heart.lost:  # a lost heart kills the child; anything else is a fault of ours
                raise
    return True


class DeviceGoneError(Exception):
    """This worker's GPU computes nothing any more, whatever the model; others may go on."""


def _too_late(limit: float) -> problems.Problem:
    return problems.DeadlineExceeded(
        f"The evaluation may take {limit:g} s, and these are over. Raise `limits.seconds`, ask for less precision, or "
        "start more workers."
    )


def _fail(engine: Engine, claim: Claim, problem: problems.Problem) -> None:
    log.info("evaluation.failed", evaluation=claim.evaluation, problem=problem.body())
    try:
        with tracing.span("fail", {"lesion.problem": problem.type}), transaction(engine) as db:
            evaluations.fail(db, claim, problem)
    except ClaimLostError:
        log.info("evaluation.lost", evaluation=claim.evaluation, epoch=claim.epoch)


class Run:
    """One claim's work: which chunk is next, and what becomes of it."""

    def __init__(self, settings: Settings, engine: Engine, blobs: Blobs, claim: Claim, folder: Path) -> None:
        self.engine, self.claim, self._device = engine, claim, settings.device
        self.config = Config.model_validate_json(claim.config)
        self._computing = Computing(settings, blobs, claim, self.config, folder)
        self._wanted_elsewhere = False

    def kill(self) -> None:
        """Make whatever this worker waits for fail at once. Called from another thread."""
        self._computing.kill()

    def close(self) -> None:
        """End the processes."""
        self._computing.close()

    def work(self, stopping: Stopping) -> None:
        """Take chunk after chunk. The first is held before anything is read, so that every crash has a place."""
        held = self._hold_any()
        course: Course | None = None
        while True:
            if stopping or self._wanted_elsewhere:
                return self.release()
            try:
                if course is None or not self._computing.ready:
                    with tracing.span("prepare"):
                        course = self._prepare(course)
                if course.decided:
                    with tracing.span("finish"):
                        return self._finish(course)
                if held is None or not course.may_compute(held.index):
                    time.sleep(PAUSE)
                    held = self._next(course)
                    continue
                began = time.monotonic()
                with tracing.span("chunk", {"lesion.chunk": held.index}):
                    payload = self._computing.compute(course, held.index)
                chunk_seconds.stopwatch().took(time.monotonic() - began)
            except Crashed as crash:
                self._crashed(crash, held)
                continue
            except (TimedOut, Refused) as error:
                raise as_problem(error) from error
            held = self._store(course, held, payload)

    def _prepare(self, course: Course | None) -> Course:
        """Start the process that holds the model. What it finds must fit the dataset and the config."""
        subject = self._computing.open()
        if course is None:
            course = Course(subject, self._rivals())
            with reading(self.engine) as db:
                course.take(chunks.computed(db, self.claim, course.next))
        self._computing.load(course)
        return course

    def _rivals(self) -> dict[Role, Rival]:
        """The evaluations that the config names. Raises `NotFound` for one that was forgotten meanwhile."""
        named: dict[Role, str | None] = {"baseline": self.config.baseline, "training": self.config.training}
        with reading(self.engine) as db:
            sides = {role: compared.side(db, self.claim.tenant, id) for role, id in named.items() if id is not None}
        return {role: Rival.of(side) for role, side in sides.items()}

    def _hold_any(self) -> Held | None:
        """Hold the first chunk that is free, before anything is known of the model.

        Where the config says that the rest waits for chunk 0, that one. It may turn out so later (`agreement`, of a
        dataset without labels); then another chunk that is held waits.
        """
        config = self.config
        first = config.estimator == "adaptive" or config.clamp == "mean" or config.metric == "agreement"
        end = FIRST if first else None
        with transaction(self.engine) as db:
            self._in_time(evaluations.seconds_run(db, self.claim.evaluation))
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

    def _store(self, course: Course, held: Held, payload: Mapping[str, Any]) -> Held | None:
        """Store a chunk, take in what is new, show progress and hold the next chunk, all in one transaction."""
        with transaction(self.engine) as db:
            chunks.add_chunk(db, self.claim, held.index, dict(payload))
            course.take(chunks.computed(db, self.claim, course.next))
            evaluations.show_progress(db, self.claim, course.progress())
            self._in_time(evaluations.seconds_run(db, self.claim.evaluation))
            following = self._hold(db, course)
            self._wanted_elsewhere = not course.decided and turns.gives_way(db, self.claim)
        return self._checked(following)

    def _in_time(self, seconds: float) -> None:
        if seconds > self.config.limits.seconds:
            raise _too_late(self.config.limits.seconds)

    def _crashed(self, crash: Crashed, held: Held | None) -> None:
        """Count a crash at the chunk it happened at; the third ends the evaluation."""
        self.close()
        if self._computing.killed or held is None:
            raise ClaimLostError from crash
        if crash.of_device and (why := selftest.unusable(self._device)) is not None:
            raise DeviceGoneError(why) from crash
        with transaction(self.engine) as db:
            crashes = chunks.crashed(db, self.claim, held.index)
        log.warning(
            "child.crashed", evaluation=self.claim.evaluation, chunk=held.index, crashes=crashes, how=str(crash)
        )
        if crashes >= chunks.CRASHES:
            raise as_problem(crash) from crash

    def _finish(self, course: Course) -> None:
        found = course.findings()
        lines = [] if found is None else found.lines()
        analyses = None if found is None else found.summary(lines)
        result = canonical(course.result(analyses).model_dump(mode="json"))
        with transaction(self.engine) as db:
            evaluations.finish(db, self.claim, result, course.next)
            units.keep(db, self.claim.evaluation, lines)
        log.info("evaluation.succeeded", evaluation=self.claim.evaluation, chunks=course.next)

    def release(self) -> None:
        """Give the claim back, for any worker to go on at once."""
        with transaction(self.engine) as db:
            evaluations.release(db, self.claim)
        log.info("evaluation.released", evaluation=self.claim.evaluation)
