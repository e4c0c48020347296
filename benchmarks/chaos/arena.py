"""One class of faults from start to verdict: the service, its work, the faults, what became of it."""

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.checks import Verdict, verdict
from benchmarks.chaos.servers import NotInTimeError, until
from benchmarks.chaos.stack import Stack
from benchmarks.chaos.watch import Watch
from benchmarks.chaos.work import Caller, Case, Expected, Feeder, Ledger, cases, references

HEAL_SECONDS = 240.0  # for the last wounds of a class


@dataclass(frozen=True)
class Options:
    """What the command was asked for."""

    kills: int
    seed: int
    database: str
    lease: float
    folder: Path | None = None


@dataclass
class Arena:
    """What a class of faults works with."""

    stack: Stack
    watch: Watch
    caller: Caller
    cases: list[Case]
    expected: dict[str, Expected]
    random: random.Random
    lease: float
    faults: int = 0
    recoveries: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # for the reader of the table
    broken: list[str] = field(default_factory=list)  # promises of this class alone

    def feeding(self, under_way: int = 4, wanted: list[Case] | None = None) -> Feeder:
        """Keep evaluations coming while a block lasts."""
        return Feeder(self.caller, wanted or self.cases, self.watch, under_way, self.random.random)

    def pause(self, least: float, most: float) -> None:
        """A moment, at random."""
        time.sleep(self.random.uniform(least, most))

    def promise(self, kept: bool, sentence: str) -> None:
        """Note a promise that was broken."""
        if not kept:
            self.broken.append(sentence)


@dataclass(frozen=True)
class Fault:
    """A class of faults: how it is done, how often in the short form, and what it needs."""

    name: str
    run: Callable[[Arena, int], None]
    about: str
    short: int
    long: int
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    proxied: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    workers: int = 2


@dataclass
class Outcome:
    """A line of the table."""

    fault: str
    database: str
    lease: float
    seed: int
    faults: int
    accepted: int
    verdict: Verdict
    recoveries: list[float]
    unavailable: int
    seconds: float
    said: list[str]


def play(fault: Fault, options: Options, count: int) -> Outcome:
    """Run one class on a service of its own."""
    begun = time.monotonic()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="lesion-chaos-", dir=options.folder)))
        stack = ending.enter_context(
            Stack(
                folder,
                database=options.database,
                lease=options.lease,
                workers=fault.workers,
                proxied=fault.proxied,
                **fault.settings,
            )
        )
        watch = ending.enter_context(Watch(stack))
        caller = Caller(stack.address, Ledger(), fault.name)
        wanted = cases()
        expected = references(caller, watch, wanted)
        drawn = random.Random(f"{options.seed} {fault.name}")
        arena = Arena(stack, watch, caller, wanted, expected, drawn, options.lease)
        found = _judged(arena, fault, count)
    healed = [wound.healed for wound in watch.wounds if wound.healed is not None]
    return Outcome(
        fault=fault.name,
        database=options.database,
        lease=options.lease,
        seed=options.seed,
        faults=arena.faults,
        accepted=len(caller.ledger.accepted),
        verdict=found,
        recoveries=arena.recoveries + healed,
        unavailable=caller.ledger.unavailable,
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
    found = verdict(arena.stack, arena.watch, arena.caller, arena.expected)
    found.faults += broken + arena.broken
    if found.broken:
        found.faults += [f"the logs: {_kept(arena.stack)}"]
    return found


def _kept(stack: Stack) -> str:
    """Where the logs of a class that failed were copied to."""
    place = Path(tempfile.mkdtemp(prefix="lesion-chaos-logs-"))
    for log in stack.folder.glob("*.log"):
        (place / log.name).write_bytes(log.read_bytes())
    return str(place)
