"""Hints sent behind the callers' backs: who submitted has an answer as soon as the row is on disk.

What gets lost on the way, the sweeper repeats. A worker that follows a hint goes on until nothing waits, so where many
hints lie unread already, one more would wake nobody.
"""

import queue
import threading
import time

import structlog

from service import broker, tracing

BACKLOG = 1_000  # hints that wait to be sent; more would only tell a slow broker what the sweeper tells it later
LAST_SECONDS = 2.0  # to send what waits when the service stops
ENOUGH = 200  # hints unread in the queue, beyond which none is sent
LOOK = 0.1  # seconds between looks at how many there are; in so short a time workers read far less than enough

log = structlog.get_logger()


class Hinting:
    """A thread that sends. A context manager."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[str, int, str | None] | None] = queue.Queue(BACKLOG)
        self._over = False
        self._thread = threading.Thread(target=self._run, name="hinting", daemon=True)
        self._enough, self._looked = False, 0.0
        self._sent = 0  # since the last look

    def __enter__(self) -> "Hinting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.soon(None, 0)
        self._thread.join(LAST_SECONDS)
        self._over = True

    def soon(self, evaluation: str | None, workers: int, trace: str | None = None) -> None:
        """Hint at an evaluation that wants so many workers; None: no more will come. Never waits."""
        try:
            self._waiting.put_nowait(None if evaluation is None else (evaluation, workers, trace))
        except queue.Full:
            log.warning("hint.postponed", evaluation=evaluation)

    def _run(self) -> None:
        while (wanted := self._waiting.get()) is not None and not self._over:
            evaluation, workers, trace = wanted
            try:
                if not self._are_enough():
                    with tracing.span("hint", {"lesion.evaluation": evaluation}, trace, "producer"):
                        self._send(evaluation, workers)
            except Exception:  # one hint is lost, and the sweeper repeats it; without this thread, all would be
                log.exception("hint.failed", evaluation=evaluation)

    def _send(self, evaluation: str, workers: int) -> None:
        for _ in range(workers):
            self._sent += 1
            if not broker.hint_evaluation(evaluation):
                break

    def _are_enough(self) -> bool:
        """Do so many hints lie unread that one more is of no use? Looked up only where we send many ourselves."""
        now = time.monotonic()
        if now - self._looked < LOOK or not (self._enough or self._sent >= ENOUGH):
            return self._enough
        self._looked, self._sent = now, 0
        try:
            self._enough = broker.waiting(broker.EVALUATIONS) >= ENOUGH
        except broker.AWAY as error:
            log.warning("hints.uncounted", error=str(error))
            self._enough = False
        return self._enough
