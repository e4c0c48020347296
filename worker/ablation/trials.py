"""Which trials make up a chunk: examples, fractions, orderings, masks. Knows no network, no labels, no score."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Purposes: the first word of a stream's spawn key. To renumber them, or to change what is read from a stream and
# in which order, is to change every published score.
EXAMPLES, FRACTIONS, ORDERINGS, GRID_ORDERINGS = range(4)

BLOCK = 32_768  # units whose keys are sorted at a time; they stay in the cache. Has no influence on what is drawn
GRID_CHUNK = 16_384  # trials in a chunk of the grid, about: seconds of work, so that a crash costs little


@dataclass(frozen=True)
class Design:
    """All that the chunks of an evaluation depend on, besides the model and the dataset themselves.

    seed: any non-negative integer. examples: N, the size of the dataset. units: units of each site in scope, in
    network order. separate: each trial ablates one site alone, and every site is a group of its own; otherwise one
    group, every site at the same fraction, each with an ordering of its own. strata, trials_per_chunk: `adaptive`
    only; a chunk has at least trials_per_chunk trials, rounded up until they cover groups and strata evenly.
    orderings, fractions: `grid` only.
    Raises ValueError for a design that has no trials.
    """

    seed: int
    examples: int
    units: tuple[int, ...]
    estimator: Literal["adaptive", "grid"]
    separate: bool
    strata: int = 32
    trials_per_chunk: int = 512
    orderings: int = 10
    fractions: int = 21

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("the seed must not be negative")
        if self.examples < 1 or not self.units or min(self.units) < 1:
            raise ValueError("there must be an example, a site, and a unit in every site")
        if min(self.strata, self.trials_per_chunk, self.orderings) < 1 or self.fractions < 2:
            raise ValueError("strata, trials_per_chunk and orderings start at 1, fractions at 2")

    @property
    def groups(self) -> int:
        """How many curves are measured: one a site when they are ablated separately, else one."""
        return len(self.units) if self.separate else 1


@dataclass(frozen=True)
class Trials:
    """A chunk's trials. T trials share L lesions; trial t pushes examples[t] through masks[site][lesions[t]].

    examples: int64[T] in [0, N). lesions: int64[T] in [0, L). masks: a bool[L, units] for each site, True = kept.
    cells: int64[T], the cell of the flattened tally that each trial counts in. fractions: float64[L] in [0, 1].
    """

    examples: Ints
    lesions: Ints
    masks: list[Bools]
    cells: Ints
    fractions: Floats


def draw(design: Design, index: int) -> Trials:
    """Draw chunk `index` (from 0): a pure function of its two arguments, on any machine, in any process.

    Only SeedSequence and Philox's raw output are used: numpy promises both never to change, and promises nothing of
    the kind for Generator's methods (NEP 19).
    Raises IndexError beyond the last chunk of a grid.
    """
    last = chunks(design)
    if index < 0 or (last is not None and index >= last):
        raise IndexError(f"there is no chunk {index}")
    return _adaptive(design, index) if design.estimator == "adaptive" else _grid(design, index)


def chunks(design: Design) -> int | None:
    """How many chunks there are; None where there is no end (`adaptive` goes on until the interval is narrow)."""
    if design.estimator == "adaptive":
        return None
    blocks = _blocks(design)
    return design.orderings * design.groups * blocks.fractions * blocks.examples


def cells(design: Design) -> tuple[int, ...]:
    """The tally's shape: (groups, strata) for `adaptive`, (groups, orderings, fractions) for `grid`."""
    if design.estimator == "adaptive":
        return (design.groups, design.strata)
    return (design.groups, design.orderings, design.fractions)


def chunk_size(design: Design) -> int:
    """How many trials a chunk of `adaptive` has."""
    return _per_cell(design) * design.strata * design.groups


def pushed(design: Design, index: int) -> Ints:
    """int64[T], the examples of a chunk of `adaptive`, without all else that `draw` draws."""
    size = chunk_size(design)
    return _examples(design, index * size, size)


# ------------------------------------------------------------------------------------------------- adaptive


def _per_cell(design: Design) -> int:
    return -(-design.trials_per_chunk // (design.groups * design.strata))


def _adaptive(design: Design, index: int) -> Trials:
    """Trials in order of group, then of fraction: each group covers [0, 1] with one trial a sub-stratum."""
    per_cell = _per_cell(design)
    each = per_cell * design.strata
    size = each * design.groups
    jitter = _uniform(_stream(design.seed, FRACTIONS, index), size)
    fractions = (np.tile(np.arange(each), design.groups) + jitter) / each
    groups = np.repeat(np.arange(design.groups), each)
    return Trials(
        examples=pushed(design, index),
        lesions=np.arange(size),
        masks=[_masks(design, index, site, fractions, groups) for site in range(len(design.units))],
        cells=np.repeat(np.arange(design.groups * design.strata), per_cell),
        fractions=fractions,
    )


def _examples(design: Design, start: int, size: int) -> Ints:
    """The dataset in a new random order each epoch, read on from trial number `start` of the evaluation.

    Every example is used once before any is used twice, which takes the examples' own part out of the variance.
    """
    epochs, places = np.divmod(np.arange(start, start + size), design.examples)
    shelves, rows = np.divmod(epochs, _shelf(design.examples))
    drawn = np.empty(size, np.int64)
    for shelf in np.unique(shelves):
        now = shelves == shelf
        drawn[now] = _epochs(design.seed, int(shelf), design.examples)[rows[now], places[now]]
    return drawn


def _shelf(examples: int) -> int:
    """How many epochs share a stream: a stream costs as much to start as 7,000 words do to draw."""
    return max(4096 // examples, 1)


@lru_cache(maxsize=2)  # consecutive chunks of a large dataset share an epoch, and sorting it is their largest cost
def _epochs(seed: int, shelf: int, examples: int) -> Ints:
    """int64[epochs, N], each row an order of the whole dataset."""
    return _permutations(_stream(seed, EXAMPLES, shelf), _shelf(examples), examples)


def _masks(design: Design, index: int, site: int, fractions: Floats, groups: Ints) -> Bools:
    """bool[T, units] of one site; with separate sites, only its own group's trials lose any of it."""
    units = design.units[site]
    kept = np.ones((len(fractions), units), np.bool_)
    start, stop = np.searchsorted(groups, (site, site + 1)) if design.separate else (0, len(groups))
    stream = _stream(design.seed, ORDERINGS, index, site)
    step = max(BLOCK // units, 1)
    for low in range(start, stop, step):
        rows = slice(low, min(low + step, stop))
        dropped = _dropped(fractions[rows], units)
        kept[rows] = _kept(_words(stream, len(dropped), units), dropped)
    return kept


def _kept(keys: NDArray[np.uint32], dropped: Ints) -> Bools:
    """Drop the `dropped[row]` smallest keys of each row: the first ones of a random ordering.

    keys: uint32[L, units]. One sort of the values costs a sixth of an argsort. It miscounts where two keys tie
    across the cut, in one row of ten million; those rows are ranked properly.
    """
    rows, units = np.arange(len(keys)), keys.shape[1]
    ordered = np.sort(keys, axis=1)
    cut = ordered[rows, np.maximum(dropped, 1) - 1]
    kept: Bools = keys > cut[:, None]
    kept[dropped == 0] = True
    tied = (dropped > 0) & (dropped < units) & (ordered[rows, np.minimum(dropped, units - 1)] == cut)
    for row in np.flatnonzero(tied):
        kept[row] = True
        kept[row, np.argsort(keys[row], kind="stable")[: dropped[row]]] = False
    return kept


# ------------------------------------------------------------------------------------------------- grid


class _Blocks(NamedTuple):
    """How a grid is cut: chunks along the fractions, chunks along the examples, fractions in a chunk."""

    fractions: int
    examples: int
    width: int


def _blocks(design: Design) -> _Blocks:
    """All sites at once: as many examples to a lesion as there are, since it is put into the weights. One site alone:
    all fractions to an example, since what comes before the site is computed once.
    """
    if design.separate:
        step = max(GRID_CHUNK // design.fractions, 1)
        return _Blocks(1, -(-design.examples // step), design.fractions)
    width = min(max(GRID_CHUNK // design.examples, 1), design.fractions)
    return _Blocks(-(-design.fractions // width), -(-design.examples // GRID_CHUNK), width)


def _grid(design: Design, index: int) -> Trials:
    """One ordering of one group x a block of fractions x a block of examples; whole orderings come first."""
    blocks = _blocks(design)
    rest, part = divmod(index, blocks.examples)
    rest, block = divmod(rest, blocks.fractions)
    ordering, group = divmod(rest, design.groups)
    steps = np.arange(block * blocks.width, min((block + 1) * blocks.width, design.fractions))
    low, high = (design.examples * edge // blocks.examples for edge in (part, part + 1))
    fractions = steps / (design.fractions - 1)
    return Trials(
        examples=np.tile(np.arange(low, high), len(steps)),
        lesions=np.repeat(np.arange(len(steps)), high - low),
        masks=_nested(design, ordering, group, fractions),
        cells=np.repeat((group * design.orderings + ordering) * design.fractions + steps, high - low),
        fractions=fractions,
    )


def _nested(design: Design, ordering: int, group: int, fractions: Floats) -> list[Bools]:
    """bool[L, units] a site: the same ordering at every fraction, so what is lost once stays lost."""
    masks = []
    for site, units in enumerate(design.units):
        places = np.empty(units, np.int64)
        order = _permutations(_stream(design.seed, GRID_ORDERINGS, ordering, site), 1, units)[0]
        places[order] = np.arange(units)
        ablated = not design.separate or site == group
        dropped = _dropped(fractions, units) if ablated else np.zeros(len(fractions), np.int64)
        masks.append(places >= dropped[:, None])
    return masks


# ------------------------------------------------------------------------------------------------- randomness


def _dropped(fractions: Floats, units: int) -> Ints:
    """How many of a site's units are lost at each fraction: floor(f n + 1/2).

    With this rounding, 0 and n lost units each get a share 1/(2n) of [0, 1] and every other count gets 1/n. Those
    are the weights of the trapezoid rule, so the integral over f is exactly the trapezoid over the count k, and no
    estimate needs a quadrature of its own.
    """
    return np.floor(fractions * units + 0.5).astype(np.int64)


def _stream(seed: int, *key: int) -> Philox:
    return Philox(SeedSequence(seed, spawn_key=key))


def _raw(stream: Philox, shape: int | Sequence[int]) -> NDArray[np.uint64]:
    return stream.random_raw(int(np.prod(shape))).reshape(shape)


def _uniform(stream: Philox, size: int) -> Floats:
    """float64 in [0, 1): the upper 53 bits of each word."""
    return (_raw(stream, size) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _words(stream: Philox, rows: int, columns: int) -> NDArray[np.uint32]:
    """uint32[rows, columns], two from each word of the stream, the lower half first on every machine."""
    pairs = _raw(stream, (rows, (columns + 1) // 2)).astype("<u8", copy=False)
    return pairs.view("<u4")[:, :columns]


def _permutations(stream: Philox, rows: int, size: int) -> Ints:
    """int64[rows, size], uniform permutations: the order of random 64-bit keys, of which two are equal about never."""
    return np.argsort(_raw(stream, (rows, size)), axis=1, kind="stable")
