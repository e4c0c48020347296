"""Evaluations that callers ask for, written many at once: one commit, one wait for the disk, serves all of a lot."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Engine

from service import tracing
from service.api.lots import Lots
from service.api.queueing import Queue
from service.api.shown import Showing, Shown
from service.hinting import Hinting
from service.problems import Problem
from service.store import submissions
from service.store.session import transaction
from service.store.submissions import Submission

MOST = 32  # of one transaction
PAUSE = 0.008  # seconds between two transactions under load: a third of the work for a wait that nobody feels


class Submitting:
    """Writes submissions. Belongs to one event loop."""

    def __init__(self, engine: Engine, queue: Queue, hinting: Hinting, showing: Showing) -> None:
        self._engine, self._queue, self._hinting, self._showing = engine, queue, hinting, showing
        self._lots: Lots[Submission, Shown] = Lots(self._write, MOST, PAUSE)

    async def enter(self, submission: Submission) -> Shown:
        """The evaluation that answers, once it is on disk; raises the problem for which there is none."""
        with tracing.span("submit") as traced:
            if traced is not None:
                submission = replace(submission, trace=tracing.carried())
            shown = await self._lots.ask(submission)
            if traced is not None:
                traced.set_attribute("lesion.evaluation", shown.id)
            return shown

    def _write(self, lot: Sequence[Submission]) -> list[Shown | Exception]:
        allowed = self._queue.allowed()
        with transaction(self._engine) as db:
            outcomes = submissions.enter(db, lot, allowed)
        answers: list[Shown | Exception] = []
        for outcome in outcomes:
            if isinstance(outcome, Problem):
                answers.append(outcome)
                continue
            if outcome.new:  # and committed
                self._hinting.soon(outcome.row.id, outcome.row.workers, outcome.row.trace)
            answers.append(self._showing.show(outcome.row))
        return answers
