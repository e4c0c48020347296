"""Datasets of named arrays, in whatever file: which are examples, which are splits, and which are neither."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.formats import labels, splits
from worker.formats.tables import TEXT, Array, Column, Piece, Table, counted, malformed, named, rows_at_once

SPLIT = re.compile(rf"(.+)[_.-]({splits.ANY})|({splits.ANY})[_.-](.+)", re.IGNORECASE)
USUAL = ("x", *labels.NAMES)


@dataclass(frozen=True)
class Described:
    """An array as its header has it; its shape with the axis of the examples, if there is one."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Held:
    """The arrays of a file. unread: those of no use, and why. rows: so many examples at a time of some arrays, in
    order; whole: an array without an axis."""

    format: str
    described: Mapping[str, Described]
    unread: Mapping[str, str]
    rows: Callable[[Sequence[str], int, int], Iterator[Piece]]
    whole: Callable[[str], Array]


class Arrays(Table):
    """Named arrays of one length, or one split of them: arrays named x_test, y_test or test_x, test_y."""

    def __init__(self, held: Held, plain: Mapping[str, str] | None = None) -> None:
        self._held = held
        self._split = _splits(held.described) if plain is None else {}
        self._full = plain if plain is not None else {name: name for name in held.described}
        self.format = held.format
        self.unread = dict(held.unread)
        self.warnings = []
        if plain is None:
            named([*held.described, *held.unread], "array")
            self._look_at_unread()
        if self._split:
            self._part()
            return
        described = {name: held.described[full] for name, full in self._full.items()}
        self.scalars = _Scalars({n: f for n, f in self._full.items() if held.described[f].shape == ()}, held.whole)
        self.examples = counted(_length(described, held.format))
        long = {name: each for name, each in described.items() if each.shape[:1] == (self.examples,)}
        self.columns = {name: _column(name, each) for name, each in long.items() if not _is_page(each)}
        self._ignore(
            [name for name, each in described.items() if each.shape and name not in long],
            f"not {self.examples} long as the rest is, so not used",
        )
        self._ignore([name for name in long if name not in self.columns], "several texts an example, so not used")

    def _part(self) -> None:
        parts = {name: Arrays(self._held, plain) for name, plain in self._split.items()}
        self.splits = {name: part.examples for name, part in parts.items()}
        self.examples = sum(self.splits.values())
        self.columns = next(iter(parts.values())).columns
        used = {full for plain in self._split.values() for full in plain.values()}
        if ignored := [name for name in self._held.described if name not in used]:
            self.warnings.append(f"{_some(ignored)}: of no split, so not used.")

    def _look_at_unread(self) -> None:
        """What cannot be read is a pity, unless it is what a dataset is made of."""
        for name, why in self.unread.items():
            if name.lower() in USUAL or not self._held.described:
                raise malformed(why)
        self.warnings += [f"{why} It is not used." for why in list(self.unread.values())[:10]]

    def _ignore(self, names: Sequence[str], why: str) -> None:
        if names:
            self.warnings.append(f"{_some(names)}: {why}.")
            self.unread = {**self.unread, **{name: f"{name} is {why}." for name in names}}

    def pieces(self, names: Sequence[str]) -> Iterator[Piece]:
        """The examples of these arrays, in order."""
        full = [self._full[name] for name in names]
        widths = [self._held.described[name] for name in full]
        step = rows_at_once([Column(n, "uint8", (_row_bytes(w),)) for n, w in zip(names, widths, strict=True)])
        for piece in self._held.rows(full, step, self.examples):
            yield {name: _text(piece[self._full[name]]) for name in names}

    def of_split(self, name: str) -> "Arrays":
        """One split's arrays, by the names they have without it."""
        return Arrays(self._held, self._split[name])


class _Scalars(Mapping[str, Array]):
    """Arrays without an axis, read when they are asked for."""

    def __init__(self, names: Mapping[str, str], whole: Callable[[str], Array]) -> None:
        self._names, self._whole = names, whole

    def __getitem__(self, name: str) -> Array:
        return self._whole(self._names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _row_bytes(array: Described) -> int:
    size = array.dtype.itemsize
    for length in array.shape[1:]:
        size *= length
    return size


def _is_page(array: Described) -> bool:
    return array.dtype.kind in "US" and array.shape[1:] not in ((), (1,))


def _column(name: str, array: Described) -> Column:
    if 0 in array.shape[1:] or array.dtype.itemsize == 0:
        raise malformed(f"{name} has the shape {list(array.shape)}, so its examples hold nothing. Leave it out.")
    return Column(name, TEXT if array.dtype.kind in "US" else array.dtype.newbyteorder("=").name, array.shape[1:])


def _text(rows: Array) -> Array | list[str]:
    if rows.dtype.kind == "S":
        return [str(each, "utf-8", "replace") for each in rows.reshape(-1).tolist()]
    return [str(each) for each in rows.reshape(-1).tolist()] if rows.dtype.kind == "U" else rows


def _length(arrays: Mapping[str, Described], form: str) -> int:
    """How many examples there are: as many as the labels, if any array is named as such, else as most arrays have."""
    lengths = {name: each.shape[0] for name, each in arrays.items() if each.shape}
    if not lengths:
        raise malformed(
            f"The .{form} file holds no array of examples. Save at least x [examples, ...] and y [examples]."
        )
    lower = {name.lower(): name for name in lengths}
    label = next((lower[name] for name in labels.NAMES if name in lower), None)
    other = next((name for name in (lower.get("x"), *lengths) if name not in (None, label)), None)
    if label is None:
        (most, count), *rest = Counter(lengths.values()).most_common(2)
        if not rest or rest[0][1] < count:
            return most
        label = next(name for name in lengths if lengths[name] == most)
        other = next(name for name in lengths if lengths[name] != most)
    alike = [name for name in lengths if lengths[name] == lengths[label] and name != label]
    if other is not None and (not alike or (lower.get("x") == other and other not in alike)):
        raise malformed(
            f"{other} has {lengths[other]} examples and {label} has {lengths[label]}; they must be as many."
        )
    return lengths[label]


def _splits(names: Mapping[str, Described]) -> dict[str, dict[str, str]]:
    """The arrays of each split by their plain names, if there are splits: each has the same arrays."""
    found: dict[str, dict[str, str]] = {}
    rest: list[str] = []
    for name in names:
        match = SPLIT.fullmatch(name)
        if match is None:
            rest.append(name)
            continue
        plain, split = (match[1], match[2]) if match[1] else (match[4], match[3])
        of_split = found.setdefault(split.lower(), {})
        if plain in of_split:
            raise malformed(f"{of_split[plain]} and {name} are the same of one split. Keep one of them.")
        of_split[plain] = name
    alike = len({frozenset(each) for each in found.values()}) == 1
    usual = any(name.lower() in USUAL for name in rest)
    several = len(found) > 1 or any(len(each) > 1 for each in found.values())
    return found if alike and several and not usual else {}
