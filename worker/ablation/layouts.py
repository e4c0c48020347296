"""Where the examples and the units of a layer lie in a tensor, through transpositions and reshapes; pure arithmetic.

An axis is a product of atoms, the outermost first: [batch * heads, tokens, 64] has two atoms on its first axis. A free
atom is anything else: pixels, tokens. Of an atom that was split each part keeps its stride, so that the index of a unit
is the sum of index times stride over the parts, wherever they went: that is how a channel shuffle stays readable.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

FREE, BATCH, UNIT, DEPTH = "", "batch", "unit", "depth"


class Atom(NamedTuple):
    """A part of an axis. label: what its index counts; DEPTH: the numbers that a head gives for each token."""

    label: str
    size: int
    stride: int = 1


Axis = tuple[Atom, ...]
Layout = tuple[Axis, ...]
Shape = tuple[int, ...]


def free(shape: Sequence[int]) -> Layout:
    """A tensor of which nothing is known but its shape."""
    return tuple(tidy([Atom(FREE, size)]) for size in shape)


def tidy(atoms: Sequence[Atom]) -> Axis:
    """The same axis, with no atom of size one, and with neighbours that belong together in one."""
    kept: list[Atom] = []
    for atom in atoms:
        last = kept[-1] if kept else None
        if atom.size == 1:
            continue
        if last and last.label == atom.label and (atom.label == FREE or last.stride == atom.stride * atom.size):
            kept[-1] = Atom(atom.label, last.size * atom.size, 1 if atom.label == FREE else atom.stride)
        else:
            kept.append(Atom(FREE, atom.size) if atom.label == FREE else atom)
    return tuple(kept)


def size(axis: Axis) -> int:
    """How long an axis is."""
    return prod(atom.size for atom in axis)


def shape(layout: Layout) -> Shape:
    """The shape of the tensor."""
    return tuple(size(axis) for axis in layout)


def labels(axis: Axis) -> set[str]:
    """What an axis counts, besides what is free."""
    return {atom.label for atom in axis} - {FREE}


def count(layout: Layout, label: str) -> int:
    """The product of the sizes of all atoms of a label."""
    return prod(atom.size for axis in layout for atom in axis if atom.label == label)


def has(layout: Layout, label: str) -> bool:
    """Is there an atom of this label?"""
    return any(label in labels(axis) for axis in layout)


def with_units(layout: Layout, axis: int, atoms: Sequence[Atom]) -> Layout | None:
    """The layout with units on one axis, or None where examples lie there or its size is another."""
    place = axis % len(layout)
    known = layout[place]
    if labels(known) or size(known) != size(tuple(atoms)):
        return None
    return (*layout[:place], tidy(atoms), *layout[place + 1 :])


def transposed(layout: Layout, order: Sequence[int] | None) -> Layout:
    """Axes in another order; reversed without one."""
    return tuple(layout[place] for place in order) if order else layout[::-1]


def reshaped(layout: Layout, target: Sequence[int]) -> Layout | None:
    """The same numbers in another shape; None where an atom would be cut other than into equal parts."""
    waiting = list(reversed(tidy([atom for axis in layout for atom in axis])))
    axes: list[Axis] = []
    for length in target:
        atoms: list[Atom] = []
        left = length
        while left > 1:
            if not waiting:
                return None
            taken, rest = _cut(waiting.pop(), left)
            if taken is None:
                return None
            atoms.append(taken)
            left //= taken.size
            waiting += [] if rest is None else [rest]
        axes.append(tidy(atoms))
    return None if waiting else tuple(axes)


def _cut(atom: Atom, length: int) -> tuple[Atom | None, Atom | None]:
    """The outer part of an atom that an axis takes of which so much is left, and what remains of the atom."""
    if length % atom.size == 0:
        return atom, None
    if atom.size % length == 0:
        inner = atom.size // length
        return Atom(atom.label, length, atom.stride * inner), Atom(atom.label, inner, atom.stride)
    return None, None


def broadcast(layouts: Sequence[Layout], target: Sequence[int], strict: bool) -> Layout | None:
    """What comes of elementwise work. Where operands disagree: None if strict, else the first one counts."""
    axes: list[Axis] = []
    for back in range(len(target), 0, -1):
        length = target[-back]
        found = [each[-back] for each in layouts if back <= len(each) and labels(each[-back])]
        found = [axis for axis in found if size(axis) == length]
        if strict and any(axis != found[0] for axis in found):
            return None
        axes.append(found[0] if found else tidy([Atom(FREE, length)]))
    return tuple(axes)


def is_whole(layout: Layout, label: str, number: int) -> bool:
    """Is there every index of this label, each once?"""
    atoms = sorted((atom for axis in layout for atom in axis if atom.label == label), key=lambda atom: atom.stride)
    reached = 1
    for atom in atoms:
        if atom.stride != reached:
            return False
        reached *= atom.size
    return reached == number
