"""How long chunks took, added up at the broker by all workers. Best effort: a broker that forgets starts at zero."""

from bisect import bisect_left
from collections import Counter
from functools import cache
from time import monotonic

from service import broker

KEY = "lesion.chunk_seconds"
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SUM = "sum"
EVERY = 15.0  # seconds between tellings
AWAY = 60.0  # seconds a broker that did not answer is left alone


class Stopwatch:
    """What one worker saw and has not told yet."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._seconds = 0.0
        self._due = monotonic() + EVERY

    def took(self, seconds: float) -> None:
        """One chunk was computed in so many seconds. Told of now and then: work must not wait for the broker."""
        self._seen[str(bisect_left(BOUNDS, seconds))] += 1
        self._seconds += seconds
        if monotonic() >= self._due:
            self.tell()

    def tell(self) -> None:
        """Add what was seen to what all workers saw; what a broker did not take is kept for the next time."""
        if not self._seen or monotonic() < self._due - EVERY:
            return
        if broker.add(KEY, {**self._seen, SUM: self._seconds}):
            self._seen, self._seconds, self._due = Counter(), 0.0, monotonic() + EVERY
        else:
            self._due = monotonic() + AWAY + EVERY


@cache
def stopwatch() -> Stopwatch:
    """This process's."""
    return Stopwatch()


def told() -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets as Prometheus has them, and the sum. Raises one of `broker.AWAY`."""
    fields = broker.added(KEY)
    total, buckets = 0.0, []
    for number, bound in enumerate([*map(str, BOUNDS), "+Inf"]):
        total += fields.get(str(number), 0.0)
        buckets.append((bound, total))
    return buckets, fields.get(SUM, 0.0)
