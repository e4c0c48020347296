"""The chunks that an evaluation's analyses take, and what they say so far. They come before the chunks of trials.

Which chunks there are follows from the config and from the chunks before them alone, so the answer is the same whoever
computed them. A stage that depends on what an earlier one found is planned once all of that is taken.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service import scoring
from service.schemas import Config, Order
from worker.ablation import ordered

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Curves = Literal["targeted", "classes", "noise"]
MOST_NOISE = 2.0  # standard deviations at the end of the curve
PASSES = 200_000  # of `importance`, where the config says nothing
LEAST_EXAMPLES = 16  # that each unit meets, however many units there are
# Orders in which `targeted` loses units: what each is called, by which property, and whether its largest go first.
ORDERS: tuple[tuple[Order, str, int], ...] = (
    ("most_selective", "selectivity", 1),
    ("least_selective", "selectivity", -1),
    ("largest", "size", 1),
    ("most_important", "importance", 1),
)
FIRST_ROUND = 128  # examples after which units that are certain are left out for the first time
LEAST_ROUND = 64  # the same where `passes` are few; of fewer examples, nobody can tell which units need more
ROUNDS = 6  # after the first, without `top`: what they mend is told anew after each
CHUNK = 16_384  # pairs of a unit and an example in a chunk, about
WIDTH = 256  # units of which a chunk is, at most
MASKS = 2**24  # booleans of masks in a chunk
TABLES = 2**23  # numbers that the sums of one pass may take


@dataclass(frozen=True, eq=False)
class Job:
    """What a chunk of an analysis is computed from. units: int64[U], rising, counted through all sites.

    start, stop: the part of the examples, in the order of `worker.ablation.alone.order`. ranked: int64[orders, U],
    when each unit is lost within its site. alive: bool[U], units that are lost at all. deviations:
    float64[U], of the noise at strength 1.
    """

    kind: Literal["selectivity", "importance", "targeted", "classes", "noise"]
    units: Ints
    start: int
    stop: int
    ranked: Ints | None = None
    alive: NDArray[np.bool_] | None = None
    deviations: Floats | None = None


class Survey:
    """The analyses of one evaluation. `take` the payloads of its chunks in order; then ask."""

    def __init__(self, config: Config, examples: int, units: Sequence[int], classes: int) -> None:
        self.config, self.examples, self.classes = config, examples, classes
        self.units = tuple(units)
        self.jobs: list[Job] = []
        self.taken = 0
        self.columns: dict[str, Floats] = {}
        self.importance = scoring.Importance(self.total, classes)
        self.passes = self.intact_passes = 0
        self.undecided: Ints = np.arange(self.total)  # with `top`: units that may or may not be among them
        self._met: Ints = np.zeros(self.total, np.int64)  # examples that each unit has met, once all jobs are done
        self._planned_pairs = self._rounds = 0
        self.targeted = scoring.Orders(len(ORDERS), classes)
        self.by_class = scoring.Orders(0, classes)
        self.noise = scoring.Orders(0, classes)
        self._ordered = False
        self._plan()

    @property
    def total(self) -> int:
        """How many units there are in scope."""
        return sum(self.units)

    @property
    def done(self) -> bool:
        """Are all chunks taken, and is none to come?"""
        return self.taken == len(self.jobs)

    def wants(self, analysis: str) -> bool:
        """Was it asked for, or does something need it that was?"""
        return analysis in (self.config.analyses or [])

    @property
    def share(self) -> float:
        """Share of the known work that is done."""
        return 1.0 if self.done else self.taken / len(self.jobs)

    def take(self, payload: Mapping[str, Any]) -> None:
        """Take in the next chunk, and plan what follows from it."""
        self.taken += 1
        self.passes += payload["passes"]
        self.intact_passes += payload["intact_passes"]
        if payload["analysis"] == "selectivity":
            low, high = payload["units"]
            for name, text in payload["columns"].items():
                self.columns.setdefault(name, np.full(self.total, np.nan))[low:high] = unpacked(text)
        elif payload["analysis"] == "targeted":
            self.targeted.add(payload)
        elif payload["analysis"] == "noise":
            self.noise.add(payload)
        elif payload["analysis"] == "classes":
            self.by_class.add(payload)
        else:
            self.importance.add(payload)
        if self.done:
            self._plan_more()

    def _plan(self) -> None:
        if self.wants("selectivity"):
            bins = scoring.bins(self.examples, self.classes)
            step = max(TABLES // (self.classes * (bins + 1)), 1)
            every = np.arange(self.total)
            for start in range(0, self.total, step):
                self.jobs.append(Job("selectivity", every[start : start + step], 0, self.examples))
        if self.wants("importance"):
            self._plan_round(np.arange(self.total), self._first())
        if not self.jobs:
            self._plan_more()

    def _plan_more(self) -> None:
        """What follows from all that is taken."""
        if self._ordered:
            return
        if self.wants("importance") and self.config.top is not None:
            self._plan_another_round()
        elif self.wants("importance"):
            self._plan_where_undecided()
        if self.done:
            self._ordered = True
            self._plan_orders()

    def _plan_orders(self) -> None:
        """Curves in chosen orders, which are known by now, and in random ones.

        Units that never fire are lost in none of those that are compared: chosen orders would spare them, random ones
        would not, and any order would seem to hurt more than a random one.
        """
        if self.wants("targeted"):
            added = self.importance.total / np.maximum(self.importance.examples, 1)
            keys = {"selectivity": self.columns["selectivity"], "size": self.columns["size"], "importance": added}
            alive = self.columns["dead"] == 0
            chosen = [np.where(alive, sign * keys[name], np.nan) for _, name, sign in ORDERS]
            # Signed units that fire nowhere have no selectivity; they come last, before the dead.
            chosen = [np.where(alive & np.isnan(each), -np.inf, each) for each in chosen]
            self._plan_curves("targeted", np.stack([ordered.ranks(each, self.units) for each in chosen]), alive)
        if self.wants("classes"):
            self._plan_curves("classes", np.empty((0, self.total), np.int64), np.ones(self.total, np.bool_))
        if self.wants("noise"):
            self._plan_curves("noise", np.empty((0, self.total), np.int64), None)

    def _plan_curves(self, kind: Curves, ranked: Ints, alive: NDArray[np.bool_] | None) -> None:
        tries = scoring.STEPS * (len(ranked) + scoring.REPEATS)
        most = min(self.examples, max(self._budget // tries, LEAST_EXAMPLES))
        rows = scoring.STEPS * scoring.REPEATS * self.total
        step = max(min(CHUNK // tries, MASKS // rows), 1)
        for start in range(0, most, step):
            self.jobs.append(
                Job(kind, np.arange(self.total), start, min(start + step, most), ranked, alive, self.columns.get("std"))
            )

    def _first(self) -> int:
        """Examples that every unit meets before any is chosen for more.

        All that there are, if `passes` allow; all that they allow, where those are too few to choose by.
        """
        most = self._affordable(self.total, 0)
        if self.config.top is not None:
            return min(most, FIRST_ROUND)
        return most if most == self.examples or most < 2 * LEAST_ROUND else min(most // 2, FIRST_ROUND)

    def _plan_another_round(self) -> None:
        """For the units of which it is not certain yet whether they are among the most important."""
        assert self.config.top is not None
        spread = (1 - self.config.confidence) / (self.total * max(self.examples.bit_length(), 1))
        self.undecided = scoring.undecided(self.importance, self.config.top, self.examples, spread)
        met = int(self._met.max())
        stop = min(2 * met, self._affordable(len(self.undecided), met))
        if len(self.undecided) and stop > met:
            self._plan_round(self.undecided, stop)

    def _plan_where_undecided(self) -> None:
        """Twice as many examples for the units whose place in the ranking that mends most, for its share of the passes.

        Each round but the last leaves passes for those after it; the last ones spend what is left.
        """
        if self._first() == self._affordable(self.total, 0):
            return
        more = np.minimum(self._met, self.examples - self._met)
        gain = scoring.mended(self.importance, more, self.examples)
        chosen = np.argsort(-gain, kind="stable")
        chosen = chosen[gain[chosen] > 0]
        left = self._budget - self._planned_pairs
        spent = np.cumsum(more[chosen])
        count = max(int(np.searchsorted(spent, left // max(ROUNDS - self._rounds, 1), "right")), 1)
        for units in self._alike(chosen[:count][spent[:count] <= left]):
            met = int(self._met[units[0]])
            self._plan_round(units, min(2 * met, self.examples))
        self._rounds += 1

    def _alike(self, units: Ints) -> list[Ints]:
        """Units in rising order, apart by how many examples they have met."""
        return [np.sort(units[self._met[units] == met]) for met in np.unique(self._met[units])]

    @property
    def _budget(self) -> int:
        return self.config.passes or PASSES

    def _affordable(self, units: int, met: int) -> int:
        """How many examples so many units can have met when the passes are spent."""
        if units == 0:
            return met
        left = self._budget - (self._planned_pairs if met else 0)
        least = LEAST_EXAMPLES if met == 0 else 0
        return min(self.examples, met + max(left // units, least))

    def _plan_round(self, units: Ints, stop: int) -> None:
        """Let these units, which have met equally many examples, meet those up to `stop`."""
        # Few units, so of few sites, and many examples: what comes before a site is computed once an example.
        width = max(min(len(units), MASKS // self.total, WIDTH), 1)
        step = max(CHUNK // width, 1)
        met = int(self._met[units[0]])
        for start in range(met, stop, step):
            end = min(start + step, stop)
            for first in range(0, len(units), width):
                self.jobs.append(Job("importance", units[first : first + width], start, end))
        self._planned_pairs += len(units) * (stop - met)
        self._met[units] = stop


def packed(column: NDArray[Any]) -> str:
    """Numbers as a text for JSON, to the last bit."""
    return base64.b64encode(zlib.compress(np.asarray(column, "<f8").tobytes())).decode()


def unpacked(text: str) -> Floats:
    """What `packed` was given, float64[n]."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<f8").astype(np.float64)
