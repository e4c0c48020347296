"""The short form of the chaos harness: everything is killed, stopped, cut off, filled up and delayed; nothing is lost.

`make chaos` does the same with a table, `python -m benchmarks.chaos --long` with a thousand kills of each class.
"""

import random
from collections.abc import Mapping

import pytest

from benchmarks.chaos import arena, report
from benchmarks.chaos.arena import Arena, Options
from benchmarks.chaos.disks import CannotMountError
from benchmarks.chaos.faults import ALL

LEASE = 4.0  # seconds: short, and long enough that no claim is lost because this machine is busy
CROWD = 6  # evaluations under way for three workers: one that is started again has work at once
ENOUGH = 60.0  # seconds after which a class adds no more faults, so that a busy machine ends as well
BY_NAME = {fault.name: fault for fault in ALL}
ON_SQLITE = {fault.name: fault.short for fault in ALL if "sqlite" in fault.databases and fault.disk is None}
# What only PostgreSQL has, or where it differs.
ON_POSTGRESQL = {"worker": 5, "stopped": 1, "postgresql": 3, "restart-db": 1, "lock-db": 1, "cancel": 6}
DISKS = [fault for fault in ALL if fault.disk is not None]
pytestmark = [pytest.mark.timeout(3600), pytest.mark.alone]


@pytest.fixture
def seed() -> int:
    """Another one each time; the table says which."""
    return random.SystemRandom().randrange(2**31)


def kept(place: Arena, classes: Mapping[str, int]) -> None:
    """Play the classes one after the other: every promise is kept, and each had something that could have broken it."""
    broken = []
    print(f"seed {place.options.seed}\n{report.HEAD}")
    for name, count in classes.items():
        outcome = arena.play(place, BY_NAME[name], count)
        print(report.line(outcome), *outcome.said, sep="\n    ")
        broken += [f"{name}: {each}" for each in outcome.verdict.broken]
        assert outcome.faults > 0, name
    assert broken == [], f"seed {place.options.seed}"


@pytest.mark.parametrize(("database", "classes"), [("sqlite", ON_SQLITE), ("postgresql", ON_POSTGRESQL)])
def test_nothing_is_lost(database: str, classes: Mapping[str, int], seed: int) -> None:
    """Whatever happens: each accepted evaluation ends, once, with the bytes of an undisturbed run; nothing is left."""
    with arena.opened(Options(seed, database, LEASE, ENOUGH, under_way=CROWD)) as place:
        kept(place, classes)


@pytest.mark.parametrize("fault", DISKS, ids=lambda fault: fault.name)
def test_a_full_disk_loses_nothing(fault: arena.Fault, seed: int) -> None:
    """Uploads are refused, reads are served, and what was accepted ends as soon as there is room."""
    try:
        with arena.opened(Options(seed, lease=LEASE, seconds=ENOUGH), fault.disk) as place:
            kept(place, {fault.name: fault.short})
    except CannotMountError as error:
        pytest.skip(str(error))
