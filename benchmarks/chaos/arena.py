"""A service to hurt, and a class of faults from start to verdict."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos import disks
from benchmarks.chaos.checks import Verdict, verdict
from benchmarks.chaos.servers import NotInTimeError, until
from benchmarks.chaos.stack import Stack
from benchmarks.chaos.watch import Watch
from benchmarks.chaos.work import Caller, Case, Expected, Feeder, Ledger, cases, references

AGAIN_SECONDS = 180.0  # for the first claim after a fault
HEAL_SECONDS = 300.0  # for the last wounds of a class
CHILD_MEMORY = 1024**3  # bytes of a compute process; more than any of the small networks needs


@dataclass(frozen=True)
class Options:
    """What the command was asked for.

    seconds: after which a class adds no more faults, however few there were. under_way: evaluations kept under way
    while workers are hurt. With no more than 2, one of the 3 workers is free to take up what another lost.
    """

    seed: int
    database: str = "sqlite"
    lease: float = 2.0
    seconds: float = float("inf")
    folder: Path | None = None
    under_way: int = 2


@dataclass
class Arena:
    """What a class of faults works with."""

    stack: Stack
    watch: Watch
    caller: Caller
    cases: list[Case]
    expected: dict[str, Expected]
    options: Options
    drawn: random.Random = field(default_factory=random.Random)
    faults: int = 0
    recoveries: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # for the reader of the table
    broken: list[str] = field(default_factory=list)  # promises of this class alone

    def turns(self, count: int) -> Iterator[int]:
        """So many turns, fewer where the time is over; at least one."""
        deadline = time.monotonic() + self.options.seconds
        for turn in range(count):
            yield turn
            if time.monotonic() > deadline:
                self.said.append(f"{turn + 1} turns of {count}: {self.options.seconds:g} s were over")
                return

    def feeding(self, under_way: int = 4) -> Feeder:
        """Keep evaluations coming while a block lasts."""
        return Feeder(self.caller, self.cases, self.watch, under_way, random.Random(self.drawn.random()).random)

    def pause(self, least: float, most: float) -> None:
        """A moment, at random."""
        time.sleep(self.drawn.uniform(least, most))

    def claimed_again(self, epochs: int) -> None:
        """Wait until there are more claims than there were, and count the time as a recovery's."""
        begun = time.monotonic()
        until(self.watch.claimed_since(epochs), "work is claimed again", AGAIN_SECONDS, 0.05)
        self.recoveries.append(time.monotonic() - begun)

    def promise(self, kept: bool, sentence: str) -> None:
        """Note a promise that was broken."""
        if not kept:
            self.broken.append(sentence)


@dataclass(frozen=True)
class Fault:
    """A class of faults: how it is done, how often in the short form and in the long one, and what it needs.

    disk: the part of the service's folder that lies on a small file system.
    """

    name: str
    run: Callable[[Arena, int], None]
    about: str
    short: int
    long: int
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    disk: str | None = None


@dataclass
class Outcome:
    """A line of the table."""

    fault: str
    options: Options
    faults: int
    accepted: int
    verdict: Verdict
    recoveries: list[float]
    unavailable: int
    seconds: float
    said: list[str]


@contextmanager
def opened(options: Options, disk: str | None = None) -> Iterator[Arena]:
    """The whole service, with nothing to do, and what undisturbed runs of each case stored."""
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="lesion-chaos-", dir=options.folder)))
        if disk is not None:
            ending.enter_context(disks.small(folder / disk))
        stack = ending.enter_context(
            Stack(
                folder,
                database=options.database,
                rows=folder / "database" if disk == "database" else folder,
                lease=options.lease,
                child_memory_bytes=CHILD_MEMORY,
            )
        )
        watch = ending.enter_context(Watch(stack))
        caller = Caller(stack.address, Ledger())
        wanted = cases()
        expected = references(caller, watch, wanted)
        yield Arena(stack, watch, caller, wanted, expected, options)


def play(arena: Arena, fault: Fault, count: int) -> Outcome:
    """Run one class on a service that has nothing to do, and judge it once that has nothing to do again."""
    begun, ledger = time.monotonic(), arena.caller.ledger
    arena.drawn = random.Random(f"{arena.options.seed} {fault.name}")
    arena.faults, arena.recoveries, arena.said, arena.broken = 0, [], [], []
    before, wounds, unavailable = len(ledger.accepted), len(arena.watch.wounds), ledger.unavailable
    found = _judged(arena, fault, count)
    healed = [wound.healed for wound in arena.watch.wounds[wounds:] if wound.healed is not None]
    return Outcome(
        fault=fault.name,
        options=arena.options,
        faults=arena.faults,
        accepted=len(ledger.accepted) - before,
        verdict=found,
        recoveries=arena.recoveries + healed,
        unavailable=ledger.unavailable - unavailable,
        seconds=time.monotonic() - begun,
        said=arena.said,
    )


def _judged(arena: Arena, fault: Fault, count: int) -> Verdict:
    broken: list[str] = []
    try:
        fault.run(arena, count)
        arena.stack.settle()
        until(arena.watch.all_healed, "all that was hurt goes on", HEAL_SECONDS, 0.1)
    except (NotInTimeError, TimeoutError) as error:
        broken.append(str(error))
        arena.stack.settle()
    found = verdict(arena.stack, arena.watch, arena.caller, arena.expected)
    found.faults += broken + arena.broken
    if found.broken:
        found.faults.append(f"the logs: {_kept(arena.stack)}")
    return found


def _kept(stack: Stack) -> str:
    """Where the logs of a class that failed were copied to."""
    place = Path(tempfile.mkdtemp(prefix="lesion-chaos-logs-"))
    for log in stack.folder.glob("*.log"):
        (place / log.name).write_bytes(log.read_bytes())
    return str(place)
