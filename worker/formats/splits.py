"""Splits of a dataset: which words name them, which one is read, and those that a column tells."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from worker.formats.tables import TEXT, Array, Column, Piece, Table, mismatch, named

WORDS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval")
ANY = "|".join(sorted(WORDS, key=len, reverse=True))
IN_PATH = re.compile(rf"(?:^|.*[/_.-])({ANY})(?:[/_.\d-].*|$)", re.IGNORECASE)
COLUMN = "split"
COLUMN_LIMIT = 100  # different words; a column of more tells something else
# Which split is read where nobody names one: what a model was not trained on, if there is such.
PREFERRED = ("test", "testing", "validation", "valid", "val", "dev", "eval")


@dataclass(frozen=True)
class Chosen:
    """The table to read, and what to say of the choice."""

    table: Table
    warnings: list[str] = field(default_factory=list)


class Parted(Table):
    """A table whose column `split` tells for each example which one it belongs to; or one split of it."""

    def __init__(self, whole: Table, words: Sequence[str], codes: Array, only: int | None = None) -> None:
        self._whole, self._words, self._codes, self._only = whole, words, codes, only
        self.format, self.unread, self.scalars = whole.format, whole.unread, whole.scalars
        self.columns: dict[str, Column] = {name: each for name, each in whole.columns.items() if name.lower() != COLUMN}
        counts = np.bincount(codes, minlength=len(words))
        self.splits = {word: int(count) for word, count in zip(words, counts, strict=True)} if only is None else None
        self.examples = whole.examples if only is None else int(counts[only])
        self.warnings = whole.warnings

    def pieces(self, names: Sequence[str]) -> Iterator[Piece]:
        """The examples of these columns that belong to the split."""
        start = 0
        for piece in self._whole.pieces(names):
            length = len(piece[names[0]])
            kept = np.flatnonzero(self._codes[start : start + length] == self._only)
            start += length
            if len(kept):
                yield {name: _rows(values, kept) for name, values in piece.items()}

    def of_split(self, name: str) -> "Parted":
        """The examples of one split alone."""
        return Parted(self._whole, self._words, self._codes, self._words.index(name))

    def called(self, place: int) -> str:
        """What the whole table calls it."""
        return self._whole.called(int(np.flatnonzero(self._codes == self._only)[place]))


def _rows(values: Array | list[str] | list[bytes], kept: Array) -> Array | list[str] | list[bytes]:
    return values[kept] if isinstance(values, np.ndarray) else [values[each] for each in kept]


def told(table: Table) -> Table:
    """The table by the splits that its column `split` tells; as it is if it has no such column, or splits already."""
    name = next((each for each in table.columns if each.lower() == COLUMN), None)
    if name is None or table.splits is not None or table.columns[name].dtype != TEXT:
        return table
    seen: dict[str, int] = {}
    parts: list[Array] = []
    for piece in table.pieces([name]):
        parts.append(np.array([seen.setdefault(word.strip().lower(), len(seen)) for word in piece[name]], np.int32))
        if len(seen) > COLUMN_LIMIT:
            return table
    named(seen, "split")
    return Parted(table, list(seen), np.concatenate(parts))


def chosen(table: Table, asked: str | None) -> Chosen:
    """The split that was asked for, or the one people mean; the table itself if it has none."""
    splits = table.splits
    if not splits:
        return Chosen(table)
    there = ", ".join(list(splits)[:20])
    if asked is not None:
        if asked.lower() not in splits:
            raise mismatch(f"The dataset has no split {asked[:100]!r}; it has {there}. Choose one of them.")
        return Chosen(table.of_split(asked.lower()))
    name = next((each for each in (*PREFERRED, *splits) if each in splits and not each.startswith("train")), None)
    name = name or next(iter(splits))
    said = f"The dataset has the splits {there}, and {name!r} was read. Name another with `split`."
    return Chosen(table.of_split(name), [said] if len(splits) > 1 else [])
