"""Hints sent behind the callers' backs: who submitted has an answer as soon as the row is on disk.

What gets lost on the way, the sweeper repeats.
"""

import queue
import threading

import structlog

from service import broker

BACKLOG = 1_000  # hints that wait to be sent; more would only tell a slow broker what the sweeper tells it later
LAST_SECONDS = 2.0  # to send what waits when the service stops

log = structlog.get_logger()


class Hinting:
    """A thread that sends. A context manager."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[str, int] | None] = queue.Queue(BACKLOG)
        self._over = False
        self._thread = threading.Thread(target=self._run, name="hinting", daemon=True)

    def __enter__(self) -> "Hinting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.soon(None, 0)
        self._thread.join(LAST_SECONDS)
        self._over = True

    def soon(self, evaluation: str | None, workers: int) -> None:
        """Hint at an evaluation that wants so many workers; None: no more will come. Never waits."""
        try:
            self._waiting.put_nowait(None if evaluation is None else (evaluation, workers))
        except queue.Full:
            log.warning("hint.postponed", evaluation=evaluation)

    def _run(self) -> None:
        while (wanted := self._waiting.get()) is not None and not self._over:
            evaluation, workers = wanted
            try:
                for _ in range(workers):
                    if not broker.hint_evaluation(evaluation):
                        break
            except Exception:  # one hint is lost, and the sweeper repeats it; without this thread, all would be
                log.exception("hint.failed", evaluation=evaluation)
