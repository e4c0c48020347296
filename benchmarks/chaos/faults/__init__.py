"""All classes of faults, in the order they are run."""

from benchmarks.chaos.arena import Fault
from benchmarks.chaos.faults import kills

ALL: list[Fault] = [*kills.FAULTS]
