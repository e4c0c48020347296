"""A worker that stands still beyond its lease, and one whose clock is wrong: neither may change what others do."""

import signal
from contextlib import suppress

from benchmarks.chaos.arena import Arena, Fault
from benchmarks.chaos.faults.victims import busy, hurt
from benchmarks.chaos.servers import until

# Python imports a module of this name at its start, from wherever PYTHONPATH says.
SITECUSTOMIZE = """
import os, time
SHIFT = float(os.environ["CHAOS_CLOCK"])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + SHIFT
time.time_ns = lambda: _time_ns() + int(SHIFT * 1e9)
"""


def stopped(arena: Arena, count: int) -> None:
    """SIGSTOP of a whole worker for more than its lease, then CONT: another goes on, and the sleeper writes nothing."""
    with arena.feeding(arena.options.under_way):
        for _ in arena.turns(count):
            part, held = busy(arena)
            part.signal(signal.SIGSTOP)
            hurt(arena, held)
            try:
                arena.pause(1.2 * arena.options.lease, 3 * arena.options.lease)
            finally:
                with suppress(ProcessLookupError):
                    part.signal(signal.SIGCONT)
            arena.pause(0.0, 0.5)


def clocks(arena: Arena, count: int) -> None:
    """Workers whose clock is an hour ahead, or behind: leases are the database's, and nobody's ends sooner or later."""
    place = arena.stack.folder / "clock"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(SITECUSTOMIZE)
    part = arena.stack.workers[0]
    plain = part.environment
    with arena.feeding():
        for turn in arena.turns(count):
            shift = (3600.0, -3600.0)[turn % 2]
            part.end()
            part.environment = {**plain, "PYTHONPATH": str(place), "CHAOS_CLOCK": str(shift)}
            part.start()
            before = arena.watch.epochs()
            leases: list[float] = []

            def goes_on(before: int = before, leases: list[float] = leases) -> bool:
                leases += arena.watch.leases()
                return arena.watch.epochs() >= before + 6

            until(goes_on, "work goes on", 180, 0.05)
            arena.faults += 1
            odd = [lease for lease in leases if abs(lease) > abs(shift) / 2]
            arena.promise(not odd, f"leases had {odd} s left where clocks were off by {shift:g} s")
    arena.said.append("a worker's clock, not the machine's: SQLite's clock is the machine's, PostgreSQL's its server's")
    part.environment = plain


FAULTS = [
    Fault("stopped", stopped, "SIGSTOP of a worker beyond its lease, then CONT", 3, 30),
    Fault("clock", clocks, "a worker's clock an hour ahead or behind", 2, 4),
]
