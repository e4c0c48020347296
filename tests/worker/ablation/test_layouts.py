"""Where units are said to be after reshapes and transpositions, against where numpy really puts them."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ablation import layouts
from worker.ablation.layouts import BATCH, UNIT, Atom, Layout

START: Layout = ((Atom(BATCH, 3),), (Atom(UNIT, 12),), (Atom("", 2),))


def told(layout: Layout, label: str) -> np.ndarray:
    """The index of that label at each place of a tensor, as its layout tells it."""
    total = np.zeros((), np.int64)
    for axis in layout:
        index = np.zeros(1, np.int64)
        for atom in axis:
            own = np.arange(atom.size) * atom.stride if atom.label == label else np.zeros(atom.size, np.int64)
            index = (index[:, None] + own).ravel()
        total = total[..., None] + index
    return total


SHAPES = [(3, 12, 2), (36, 2), (3, 24), (72,), (3, 3, 4, 2), (3, 3, 8), (9, 8), (3, 1, 6, 4), (3, 12, 1, 2), (2, 36)]


@given(st.lists(st.one_of(st.sampled_from(SHAPES), st.permutations(range(4))), max_size=6))
def test_the_layout_tells_where_units_and_examples_went(steps: list[tuple[int, ...] | list[int]]) -> None:
    """Through any chain of reshapes and transpositions, unless it says that it cannot tell."""
    layout: Layout | None = START
    units, examples = told(START, UNIT), told(START, BATCH)
    for step in steps:
        assert layout is not None
        if isinstance(step, tuple):
            layout = layouts.reshaped(layout, step)
            units, examples = units.reshape(step), examples.reshape(step)
        else:
            order = [place for place in step if place < len(layout)]
            layout = layouts.transposed(layout, order)
            units, examples = units.transpose(order), examples.transpose(order)
        if layout is None:
            return
        assert layouts.shape(layout) == units.shape
        np.testing.assert_array_equal(told(layout, UNIT), units)
        np.testing.assert_array_equal(told(layout, BATCH), examples)
        assert layouts.is_whole(layout, UNIT, 12)
        assert layouts.is_whole(layout, BATCH, 3)


def test_what_cannot_be_told_is_not_told() -> None:
    """Axes that cut units or examples into unequal parts."""
    assert layouts.reshaped(START, (2, 36)) is None
    assert layouts.reshaped(START, (3, 5, 5)) is None
    assert layouts.reshaped(layouts.free((6, 4)), (8, 3)) == layouts.free((8, 3))


def test_operands_that_disagree_have_no_common_layout() -> None:
    """Units in one and examples in the other: strictly nothing, else the first."""
    one, other = (START[1],), ((Atom(BATCH, 12),),)
    assert layouts.broadcast([one, other], (12,), strict=True) is None
    assert layouts.broadcast([one, other], (12,), strict=False) == one
    assert layouts.broadcast([one, layouts.free((1,))], (12,), strict=True) == one
    assert layouts.shape(START) == (3, 12, 2)
    assert layouts.count(START, UNIT) == 12 == prod(atom.size for atom in START[1])


@pytest.mark.parametrize("axis", [0, 2])
def test_units_do_not_lie_on_top_of_examples(axis: int) -> None:
    """Nor on an axis of another size."""
    assert layouts.with_units(START, axis, [Atom(UNIT, 3)]) is None
