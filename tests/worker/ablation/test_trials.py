"""What `trials.draw` promises: balance, exact counts, uniform orderings, and the same answer everywhere and always."""

import hashlib
import subprocess
import sys
import time
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from worker.ablation.trials import GRID_CHUNK, Bools, Design, Trials, _kept, cells, chunks, draw


@st.composite
def designs(draw_, estimator=None):
    return Design(
        seed=draw_(st.integers(0, 2**64)),
        examples=draw_(st.integers(1, 700)),
        units=tuple(draw_(st.lists(st.integers(1, 20), min_size=1, max_size=3))),
        estimator=estimator or draw_(st.sampled_from(["adaptive", "grid"])),
        separate=draw_(st.booleans()),
        strata=draw_(st.integers(1, 12)),
        trials_per_chunk=draw_(st.integers(1, 150)),
        orderings=draw_(st.integers(1, 3)),
        fractions=draw_(st.integers(2, 9)),
    )


ESTIMATORS: tuple[Literal["adaptive"], Literal["grid"]] = ("adaptive", "grid")


def every_chunk(design: Design) -> list[Trials]:
    """All chunks of a grid."""
    last = chunks(design)
    assert last is not None
    return [draw(design, index) for index in range(last)]


def digest(trials: Trials) -> str:
    arrays = [trials.examples, trials.lesions, trials.cells, trials.fractions, *trials.masks]
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()


def group_of(design, cell):
    return np.unravel_index(cell, cells(design))[0]


def test_grid_and_adaptive_chunks_have_consistent_shapes():
    """T trials share L lesions, every index is in range, and every mask is bool[L, units]."""
    for estimator in ESTIMATORS:
        design = Design(1, 30, (5, 3), estimator, separate=False)
        trials = draw(design, 0)
        lesions = len(trials.fractions)
        assert [mask.shape for mask in trials.masks] == [(lesions, 5), (lesions, 3)]
        assert all(mask.dtype == np.bool_ for mask in trials.masks)
        for indices, end in (
            (trials.examples, 30),
            (trials.lesions, lesions),
            (trials.cells, np.prod(cells(design))),
        ):
            assert indices.dtype == np.int64
            assert 0 <= indices.min() <= indices.max() < end
        assert len(trials.examples) == len(trials.lesions) == len(trials.cells)


@settings(deadline=None, max_examples=30)
@given(designs(), st.integers(0, 5))
def test_every_mask_drops_exactly_the_rounded_share(design, index):
    """floor(f n + 1/2) units are lost at every site in a trial's group, and none anywhere else."""
    trials = draw(design, index % (chunks(design) or 6))
    groups = group_of(design, trials.cells)
    for site, units in enumerate(design.units):
        dropped = units - trials.masks[site].sum(axis=1)[trials.lesions]
        wanted = np.floor(trials.fractions[trials.lesions] * units + 0.5)
        assert np.array_equal(dropped, np.where(~np.bool_(design.separate) | (groups == site), wanted, 0))


@settings(deadline=None, max_examples=30)
@given(designs("adaptive"), st.integers(0, 5))
def test_strata_and_groups_are_balanced(design, index):
    """Each chunk puts equally many trials in every cell, one in each narrow share of [0, 1] for every group."""
    trials = draw(design, index)
    counts = np.bincount(trials.cells, minlength=int(np.prod(cells(design))))
    assert counts.min() == counts.max()
    assert design.trials_per_chunk <= counts.sum() < design.trials_per_chunk + counts.size
    fractions = trials.fractions.reshape(design.groups, -1)
    each = fractions.shape[1]
    assert np.array_equal(np.floor(fractions * each), np.tile(np.arange(each), (design.groups, 1)))
    strata = trials.cells % design.strata
    assert np.all((strata <= trials.fractions * design.strata) & (trials.fractions * design.strata <= strata + 1))


@settings(deadline=None, max_examples=30)
@given(designs("adaptive"))
def test_every_example_is_used_before_any_is_used_again(design):
    """Read in order, the chunks run through the dataset in whole epochs, each in an order of its own."""
    drawn = np.concatenate([draw(design, index).examples for index in range(4)])
    for epoch in range(len(drawn) // design.examples):
        part = drawn[epoch * design.examples :][: design.examples]
        assert np.array_equal(np.sort(part), np.arange(design.examples))
    rest = drawn[len(drawn) // design.examples * design.examples :]
    assert len(np.unique(rest)) == len(rest)


@settings(deadline=None, max_examples=30)
@given(designs("grid"))
def test_the_grid_tries_everything_once(design):
    """Together, its chunks try every example at every fraction of every ordering of every group, exactly once."""
    pairs = np.concatenate([t.cells * design.examples + t.examples for t in every_chunk(design)])
    assert np.array_equal(np.sort(pairs), np.arange(np.prod(cells(design)) * design.examples))
    with pytest.raises(IndexError):
        draw(design, len(every_chunk(design)))


@pytest.mark.parametrize("examples", [7, 1000, GRID_CHUNK, GRID_CHUNK + 1, 40_000])
def test_a_chunk_of_the_grid_is_of_bounded_size(examples):
    """However large the dataset, a chunk holds at most 16,384 trials, and a mask for each fraction, not each trial."""
    design = Design(1, examples, (6,), "grid", separate=False, orderings=2, fractions=5)
    sizes = [(len(t.examples), len(t.fractions)) for t in every_chunk(design)]
    assert max(trials for trials, _ in sizes) <= GRID_CHUNK
    assert sum(trials for trials, _ in sizes) == examples * 2 * 5
    assert max(lesions for _, lesions in sizes) <= 5


@settings(deadline=None, max_examples=30)
@given(designs("grid"))
def test_what_the_grid_loses_stays_lost(design):
    """Within one ordering the masks are nested across fractions and chunks, and the fractions are evenly spaced."""
    seen: dict[tuple[int, int, int], list[Bools]] = {}
    for trials in every_chunk(design):
        for lesion, fraction in enumerate(trials.fractions):
            cell = trials.cells[trials.lesions == lesion][0]
            group, ordering, step = np.unravel_index(cell, cells(design))
            assert fraction == step / (design.fractions - 1)
            row = [mask[lesion] for mask in trials.masks]
            before = seen.get((group, ordering, step - 1))
            assert before is None or all(np.all(old | ~new) for old, new in zip(before, row, strict=True))
            seen[group, ordering, step] = row


@settings(deadline=None, max_examples=30)
@given(designs(), st.permutations(range(4)))
def test_a_chunk_does_not_depend_on_the_chunks_before_it(design, order):
    """Chunks drawn in any order, by anyone, are the same chunks."""
    order = [index for index in order if index < (chunks(design) or 4)]
    there = {index: digest(draw(design, index)) for index in order}
    assert there == {index: digest(draw(design, index)) for index in sorted(order)}
    assert design.estimator == "grid" or len(set(there.values())) == len(there)


def test_another_process_draws_the_same_chunk():
    """A chunk is a pure function of design and index, whatever the process and its hash seed."""
    code = (
        "import hashlib\n"
        "from worker.ablation.trials import Design, draw\n"
        "for estimator in ('adaptive', 'grid'):\n"
        "    trials = draw(Design(5, 90, (9, 4), estimator, True), 3)\n"
        "    arrays = [trials.examples, trials.lesions, trials.cells, trials.fractions, *trials.masks]\n"
        "    print(hashlib.sha256(b''.join(each.tobytes() for each in arrays)).hexdigest())\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    here = [digest(draw(Design(5, 90, (9, 4), estimator, separate=True), 3)) for estimator in ESTIMATORS]
    assert answers == {"\n".join([*here, ""])}


@pytest.mark.parametrize(
    ("estimator", "known"),
    [("adaptive", "f6ceea8fec454d78"), ("grid", "2011c23c781c9510")],
)
def test_published_scores_can_be_drawn_again(estimator, known):
    """The streams never change: with a new digest here, no published score could be reproduced."""
    trials = draw(Design(2026, 1000, (32, 64), estimator, separate=False), 2)
    assert digest(trials)[:16] == known


def test_seeds_sites_and_chunks_have_streams_of_their_own():
    """Another seed, site or chunk gets other orderings, fractions and examples."""
    first, other = (draw(Design(seed, 1000, (40, 40), "adaptive", False), 0) for seed in (1, 2))
    second = draw(Design(1, 1000, (40, 40), "adaptive", False), 1)
    for one in (other, second):
        assert np.any(one.fractions != first.fractions)
        assert np.any(one.examples != first.examples)
        assert np.any(one.masks[0] != first.masks[0])
    assert np.any(first.masks[0] != first.masks[1])


@pytest.mark.parametrize("estimator", ["adaptive", "grid"])
def test_all_sets_of_lost_units_are_equally_likely(estimator):
    """Among trials that lose 2 of 5 units, each of the 10 pairs comes up about equally often (chi-squared)."""
    design = Design(3, 1, (5,), estimator, separate=False, orderings=3000, fractions=6)
    found = [draw(design, index) for index in range(20 if estimator == "adaptive" else 3000)]
    masks = np.concatenate([trials.masks[0] for trials in found])
    pairs = masks[masks.sum(axis=1) == 3] @ (1 << np.arange(5))
    assert len(np.unique(pairs)) == 10
    assert stats.chisquare(np.unique(pairs, return_counts=True)[1]).pvalue > 0.001


def test_sites_lose_their_units_independently():
    """What one site loses says nothing about what another site of the same size loses."""
    trials = draw(Design(4, 10, (2, 2), "adaptive", separate=False, trials_per_chunk=32_768), 0)
    half = trials.masks[0].sum(axis=1) == 1
    both = np.bincount(trials.masks[0][half, 0] * 2 + trials.masks[1][half, 0], minlength=4)
    assert stats.chisquare(both).pvalue > 0.001


def test_equal_keys_do_not_spoil_the_count():
    """Where random keys tie across the cut, exactly as many units are dropped as asked."""
    keys = np.array([[7, 7, 7, 7], [9, 1, 1, 5], [3, 2, 1, 0], [7, 7, 7, 7], [0, 0, 1, 0]], np.uint32)
    kept = _kept(keys, np.array([2, 1, 4, 0, 3]))
    assert (~kept).sum(axis=1).tolist() == [2, 1, 4, 0, 3]
    assert kept[1, [0, 3]].all()
    assert kept[4].tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"examples": 0},
        {"units": ()},
        {"units": (3, 0)},
        {"strata": 0},
        {"orderings": 0},
        {"fractions": 1},
    ],
)
def test_a_design_without_trials_is_refused(wrong):
    """A design that could draw nothing is an error when it is made, not when it is used."""
    fine = {"seed": 1, "examples": 5, "units": (3,), "estimator": "grid", "separate": False}
    with pytest.raises(ValueError):
        Design(**(fine | wrong))


def test_drawing_is_cheap():
    """A chunk for four sites of 512 units takes some ten milliseconds, a hundredth of what running it takes."""
    design = Design(1, 10_000, (512, 512, 512, 512), "adaptive", separate=False)
    took = []
    for index in range(5):
        begun = time.perf_counter()
        draw(design, index)
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.1
