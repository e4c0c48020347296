"""The short form of the chaos harness: everything is killed, stopped, cut off, filled up and delayed; nothing is lost.

`make chaos` does the same with a table, `python -m benchmarks.chaos --long` with a thousand kills of each class.
"""

import random
from collections.abc import Iterator

import pytest

from benchmarks.chaos import arena
from benchmarks.chaos.arena import Arena, Fault, Options
from benchmarks.chaos.disks import CannotMountError
from benchmarks.chaos.faults import ALL
from benchmarks.chaos.report import line

SEED = random.SystemRandom().randrange(2**31)
LEASE = 4.0  # seconds: short, and long enough that no claim is lost because this machine is busy
ENOUGH = 45.0  # seconds after which a class adds no more faults, so that a busy machine ends as well
pytestmark = [pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def on_sqlite() -> Iterator[Arena]:
    with arena.opened(Options(SEED, lease=LEASE, seconds=ENOUGH)) as place:
        yield place


@pytest.fixture(scope="module")
def on_postgresql() -> Iterator[Arena]:
    with arena.opened(Options(SEED, "postgresql", LEASE, ENOUGH)) as place:
        yield place


def kept(place: Arena, fault: Fault, count: int) -> None:
    """Every promise, and something that could have broken it."""
    outcome = arena.play(place, fault, count)
    told = f"seed {SEED}: {line(outcome)}"
    print(told)
    assert outcome.verdict.broken == [], told
    assert outcome.faults > 0


# What SQLite and PostgreSQL answer to differently, and everything that only one of them has.
ON_POSTGRESQL = {"worker": 5, "stopped": 1, "postgresql": 3, "restart-db": 1, "lock-db": 1, "cancel": 6}


@pytest.mark.parametrize(
    "fault", [each for each in ALL if "sqlite" in each.databases and each.disk is None], ids=lambda each: each.name
)
def test_nothing_is_lost(fault: Fault, on_sqlite: Arena) -> None:
    """Whatever happens: each accepted evaluation ends, once, with the bytes of an undisturbed run; nothing is left."""
    kept(on_sqlite, fault, fault.short)


@pytest.mark.parametrize("fault", [each for each in ALL if each.name in ON_POSTGRESQL], ids=lambda each: each.name)
def test_nothing_is_lost_on_postgresql(fault: Fault, on_postgresql: Arena) -> None:
    """The same where the rows are PostgreSQL's, which is killed as well."""
    kept(on_postgresql, fault, ON_POSTGRESQL[fault.name])


@pytest.mark.parametrize("fault", [each for each in ALL if each.disk is not None], ids=lambda each: each.name)
def test_a_full_disk_loses_nothing(fault: Fault) -> None:
    """Uploads are refused, reads are served, and what was accepted ends as soon as there is room."""
    try:
        with arena.opened(Options(SEED, lease=LEASE, seconds=ENOUGH), fault.disk) as place:
            kept(place, fault, fault.short)
    except CannotMountError as error:
        pytest.skip(str(error))
