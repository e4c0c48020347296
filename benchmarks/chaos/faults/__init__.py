"""All classes of faults, in the order they are run."""

from benchmarks.chaos.arena import Fault
from benchmarks.chaos.faults import callers, databases, full, kills, models, network, stops

ALL: list[Fault] = [
    *kills.FAULTS,
    *stops.FAULTS,
    *network.FAULTS,
    *databases.FAULTS,
    *callers.FAULTS,
    *models.FAULTS,
    *full.FAULTS,
]
