"""Networks whose exhaustive score is known by arithmetic, and whole evaluations of them, trials drawn for real."""

from dataclasses import dataclass, field
from itertools import combinations, pairwise, product
from typing import Literal, Protocol

import numpy as np
from scipy.stats import hypergeom

from service.scoring import (
    METRICS,
    Estimate,
    Intact,
    Payload,
    Reference,
    Summary,
    Tally,
    count,
    enough,
    live,
    summarise,
)
from worker.ablation.trials import Bools, Design, Floats, Ints, Trials, cells, chunks, draw


class Network(Protocol):
    """What a simulated network can tell: its sites, what trials give, and A(f) by arithmetic."""

    @property
    def name(self) -> str: ...

    @property
    def separate(self) -> bool: ...

    @property
    def units(self) -> tuple[int, ...]: ...

    @property
    def examples(self) -> int: ...

    def count(self, trials: Trials, plan: Design, index: int) -> Payload: ...

    def heights(self, fraction: float, group: int) -> float: ...

    def reference(self, first: float) -> Reference: ...


@dataclass(frozen=True, eq=False)
class Needs:
    """A network in which an example is right while, at every site, enough of the units it uses are kept.

    uses: bool[N, units] for each site. least: int[N, sites]. always: bool[N], the examples of the class that the
    network falls back on, right whatever is lost. If `separate`, each site is ablated alone.
    """

    name: str
    uses: list[Bools]
    least: Ints
    always: Bools
    separate: bool = False

    @property
    def units(self) -> tuple[int, ...]:
        return tuple(each.shape[1] for each in self.uses)

    @property
    def examples(self) -> int:
        return len(self.always)

    def right(self, trials: Trials) -> Bools:
        right = np.ones(len(trials.examples), bool)
        for site, (kept, uses) in enumerate(zip(trials.masks, self.uses, strict=True)):
            left = np.count_nonzero(kept[trials.lesions] & uses[trials.examples], axis=1)
            right &= left >= self.least[trials.examples, site]
        return right | self.always[trials.examples]

    def intact(self, examples: Ints) -> Bools:
        """What the intact network gives to examples."""
        kept = [np.ones((1, units), bool) for units in self.units]
        nothing = np.zeros(len(examples), np.int64)
        return self.right(Trials(examples, nothing, kept, nothing, np.zeros(1)))

    def count(self, trials: Trials, plan: Design, index: int) -> Payload:
        return counted_with(plan, trials, self.right(trials), self.intact(trials.examples))

    def reference(self, first: float) -> Reference:
        return accuracy(first, self.always, self.intact(np.arange(self.examples)))

    def heights(self, fraction: float, group: int) -> float:
        """A(f): what is left of an example's units when k of n are lost follows the hypergeometric distribution."""
        shares = np.ones(self.examples)
        for site, uses in enumerate(self.uses):
            units = uses.shape[1]
            lost = int(np.floor(fraction * units + 0.5)) if group == site or not self.separate else 0
            shares *= hypergeom.sf(self.least[:, site] - 1, units, uses.sum(axis=1), units - lost)
        return float(np.where(self.always, 1.0, shares).mean())


@dataclass(frozen=True, eq=False)
class Table:
    """A network given as a table, bool[N, 2**units]: its answer for every example and every set of kept units."""

    name: str
    table: Bools
    always: Bools
    separate: bool = False

    @property
    def units(self) -> tuple[int, ...]:
        return (int(np.log2(self.table.shape[1])),)

    @property
    def examples(self) -> int:
        return len(self.always)

    def right(self, trials: Trials) -> Bools:
        sets = trials.masks[0] @ (1 << np.arange(self.units[0]))
        found: Bools = self.table[trials.examples, sets[trials.lesions]]
        return found

    def count(self, trials: Trials, plan: Design, index: int) -> Payload:
        return counted_with(plan, trials, self.right(trials), self.table[trials.examples, -1])

    def reference(self, first: float) -> Reference:
        return accuracy(first, self.always, self.table[:, -1])

    def heights(self, fraction: float, group: int) -> float:
        units = self.units[0]
        kept = units - np.floor(fraction * units + 0.5)
        sizes = np.array([each.bit_count() for each in range(2**units)])
        return float(self.table[:, sizes == kept].mean())


def counted_with(plan: Design, trials: Trials, values: Bools | Floats, intact: Bools | Floats) -> Payload:
    """A chunk as a worker stores it: of `adaptive`, with what the intact network gave to its examples."""
    return count(trials.cells, values, intact if plan.estimator == "adaptive" else None)


def accuracy(first: float, always: Bools, seen: Bools) -> Reference:
    intact = Intact.counted(round(first * len(always)), len(always))
    return Reference(METRICS["accuracy"], intact, float(always.mean()), seen=seen.astype(np.float32))


@dataclass(frozen=True)
class Truth:
    """What counting every ablation of every example gives: of each group, and of their mean."""

    aucs: list[float]
    reference: Reference
    half_life: float | None
    auc: float = field(init=False)
    score: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "auc", float(np.mean(self.aucs)))
        object.__setattr__(self, "score", self.scaled(self.auc))

    def scaled(self, auc: float) -> float:
        """The score of an auc."""
        return (auc - self.reference.chance) / (self.reference.first - self.reference.chance)


def truth(network: Network) -> Truth:
    """A(f) is a staircase that steps where some site loses its next unit, so the sum over its steps is exact."""
    steps = {(lost + 0.5) / units for units in network.units for lost in range(units)}
    edges = sorted({0.0, 1.0, *steps})
    groups = range(len(network.units) if network.separate else 1)
    stairs = np.array([[network.heights((a + b) / 2, group) for a, b in pairwise(edges)] for group in groups])
    reference = network.reference(float(stairs[0, 0]))
    heights = (stairs.mean(axis=0) - reference.chance) / (reference.first - reference.chance)
    low = np.flatnonzero(heights <= 0.5)
    return Truth(
        aucs=[float(each) for each in stairs @ np.diff(edges)],
        reference=reference,
        half_life=edges[low[0]] if len(low) else None,
    )


def design(network: Network, seed: int, estimator: Literal["adaptive", "grid"] = "adaptive") -> Design:
    return Design(seed, network.examples, network.units, estimator, network.separate)


def evaluate(
    network: Network, known: Truth, plan: Design, precision: float = 0.01, confidence: float = 0.95
) -> tuple[Tally, int]:
    """Run an evaluation as a worker would, stop rule included. Returns the tally and the number of chunks."""
    tally, index, last = Tally.empty(cells(plan)), 0, chunks(plan)
    while last is None or index < last:
        trials = draw(plan, index)
        tally, index = tally.add(network.count(trials, plan, index)), index + 1
        if last is None and enough(
            tally,
            estimator=plan.estimator,
            reference=known.reference,
            confidence=confidence,
            precision=precision,
            chunks=index,
        ):
            break
    return tally, index


def payloads(network: Network, plan: Design, first: int) -> list[Payload]:
    """The first chunks' payloads (all of a grid's, if it has fewer)."""
    indices = range(min(first, chunks(plan) or first))
    return [network.count(draw(plan, index), plan, index) for index in indices]


def total(plan: Design, found: list[Payload]) -> Tally:
    return Tally.of(cells(plan), found)


def counted(network: Needs) -> float:
    """The auc of a small network in one group, by enumerating every set of lost units at every fraction."""
    steps = sorted({0.0, 1.0, *((lost + 0.5) / units for units in network.units for lost in range(units))})
    area = 0.0
    for start, end in pairwise(steps):
        losses = [int(np.floor((start + end) / 2 * units + 0.5)) for units in network.units]
        rows = list(product(*(combinations(range(u), k) for u, k in zip(network.units, losses, strict=True))))
        masks = [np.array([~np.isin(np.arange(u), row[s]) for row in rows]) for s, u in enumerate(network.units)]
        pairs = np.indices((network.examples, len(rows))).reshape(2, -1)
        every = Trials(pairs[0], pairs[1], masks, np.zeros_like(pairs[0]), np.zeros(len(rows)))
        area += (end - start) * float(network.right(every).mean())
    return area


def published(tally: Tally, known: Truth, plan: Design, confidence: float = 0.95) -> Summary:
    return summarise(tally, estimator=plan.estimator, reference=known.reference, confidence=confidence)


def score(tally: Tally, known: Truth, plan: Design, confidence: float = 0.95) -> Estimate:
    found = live(tally, estimator=plan.estimator, reference=known.reference, confidence=confidence)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------- shapes


def needs(
    name: str,
    sites: list[tuple[int, int, int, int]],
    *,
    examples: int = 1000,
    chance: float = 0.1,
    wrong: float = 0.01,
    shared: bool = False,
    separate: bool = False,
) -> Needs:
    """Each example uses some units of each site and needs some of those: (units, used, fewest needed, most needed).

    wrong: the share of examples that even the intact network gets wrong. shared: all examples use the same units.
    """
    rng = np.random.default_rng(7)
    uses, least = [], []
    for units, used, fewest, most in sites:
        keys = rng.random((1 if shared else examples, units))
        uses.append(np.broadcast_to(keys.argsort(axis=1).argsort(axis=1) < used, (examples, units)))
        least.append(rng.integers(fewest, most + 1, examples))
    order = rng.permutation(examples)
    always, hopeless = np.zeros(examples, bool), order[: round(wrong * examples)]
    always[order[len(hopeless) : len(hopeless) + round(chance * examples)]] = True
    wanted = np.stack(least, axis=1)
    wanted[hopeless] = sites[0][0] + 1
    return Needs(name, uses, wanted, always, separate)


def table(name: str, units: int, examples: int) -> Table:
    """A table with no order in it at all: losing one more unit may mend what losing one broke."""
    rng = np.random.default_rng(11)
    kept = np.array([each.bit_count() for each in range(2**units)]) / units
    always = np.arange(examples) < examples // 5
    answers = rng.random((examples, 2**units)) < 0.2 + 0.7 * kept**2
    answers[:, -1] = rng.random(examples) < 0.95
    answers[:, 0] = always
    return Table(name, answers, always)


def shapes() -> dict[str, Network]:
    """The curves on which the promises about bias and coverage are checked."""
    networks: list[Network] = [
        needs("like a CNN", [(16, 12, 3, 5), (24, 16, 4, 7)]),
        needs("linear", [(20, 1, 1, 1)]),
        needs("robust", [(32, 32, 1, 2)]),
        needs("near perfect", [(32, 32, 1, 1)], wrong=0.001, examples=2000),
        needs("fragile", [(64, 64, 63, 64)]),
        needs("memorised", [(24, 12, 9, 12), (24, 12, 9, 12)]),
        needs("one vital unit", [(10, 1, 1, 1)], shared=True),
        needs("2 units", [(2, 2, 1, 2)]),
        needs("3 and 2 units", [(3, 2, 1, 2), (2, 1, 1, 1)]),
        needs("8 units, 50 examples", [(8, 4, 2, 3)], examples=50, wrong=0.04, chance=0.2),
        needs("weak", [(16, 8, 3, 5)], chance=0.5, wrong=0.2),
        needs("three layers, each alone", [(8, 6, 2, 3), (12, 12, 1, 1), (6, 2, 1, 2)], separate=True),
        table("no order", 6, 300),
    ]
    return {network.name: network for network in networks}
