"""The tally: sums that don't depend on their order, and refusal of what cannot be a chunk's."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring import Payload, Tally, count

TRIALS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40)


def payload(trials: list[tuple[int, bool]]) -> Payload:
    return count([cell for cell, _ in trials], [right for _, right in trials])


@given(st.lists(TRIALS, min_size=1, max_size=5), st.randoms())
def test_a_tally_counts_every_trial_once_in_any_order(batches, rng):
    """However the trials come in chunks, and in whichever order, right answers and trials add up."""
    shuffled = rng.sample(batches, len(batches))
    one, other = (Tally.of((2, 3), [payload(batch) for batch in each]) for each in (batches, shuffled))
    assert np.array_equal(one.total, other.total)
    assert np.array_equal(one.trials, other.trials)
    flat = [trial for batch in batches for trial in batch]
    assert one.trials.ravel().tolist() == [sum(cell == place for cell, _ in flat) for place in range(6)]
    assert one.total.ravel().tolist() == [sum(cell == place and right for cell, right in flat) for place in range(6)]


def test_a_payload_is_sparse_json():
    """Only cells that were tried are named, in plain integers that survive JSON."""
    found = payload([(5, True), (1, False), (5, False)])
    assert json.loads(json.dumps(found)) == {"cells": [1, 5], "right": [0, 1], "trials": [1, 2]}


def test_adding_leaves_the_old_tally_alone():
    """A tally is a value: adding a chunk makes another."""
    before = Tally.empty((1, 2))
    after = before.add({"cells": [1], "right": [1], "trials": [2]})
    assert before.trials.sum() == 0
    assert after.trials.tolist() == [[0, 2]]


def test_a_group_is_a_tally_of_its_own():
    """A group's part keeps its cells and nothing of other groups."""
    whole = Tally.empty((2, 2)).add({"cells": [0, 3], "right": [1, 0], "trials": [1, 2]})
    assert whole.group(1).trials.tolist() == [[0, 2]]
    assert whole.group(0).total.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"cells": [2], "right": [0], "trials": [1]},
        {"cells": [-1], "right": [0], "trials": [1]},
        {"cells": [0], "right": [2], "trials": [1]},
        {"cells": [0], "right": [-1], "trials": [1]},
        {"cells": [0, 1], "right": [0], "trials": [1]},
        {"cells": [[0]], "right": [[0]], "trials": [[1]]},
    ],
)
def test_what_cannot_be_a_chunk_is_refused(wrong):
    """Cells outside the tally, more right answers than trials and ragged lists never get in."""
    with pytest.raises(ValueError):
        Tally.empty((1, 2)).add(wrong)
