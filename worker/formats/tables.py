"""What every dataset format is read as: columns of one length, which come in pieces. No format is known here."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.formats.refusals import Refused

PIECE = 1024**2  # bytes of one column read at a time
EXAMPLE_LIMIT = 256 * 1024**2  # bytes of one array's example
UNPACKED_LIMIT = 64 * 1024**3  # bytes that all inputs together may unpack to
EXAMPLES_LIMIT = 50_000_000
COLUMNS_LIMIT = 100_000
NAME_LIMIT = 200  # characters of a name of a column, a class or a split
RANK_LIMIT = 16  # axes of an array; images have four
TEXT, IMAGE = "text", "image"

Piece = dict[str, Any]  # by column: NDArray[n, *shape], list[str] of text, or list[bytes] of images
Array = NDArray[Any]


@dataclass(frozen=True)
class Column:
    """One array or column. dtype: numpy's name, `text` or `image`. shape: of one example; words where it varies.

    names: what its whole numbers stand for, if the file says so.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] = ()
    names: tuple[str, ...] | None = None

    @property
    def row_bytes(self) -> int:
        """About how much one example takes."""
        width = {TEXT: 32, IMAGE: 64 * 1024}.get(self.dtype) or np.dtype(self.dtype).itemsize
        return width * max(math.prod(size for size in self.shape if isinstance(size, int)), 1)


class Table(ABC):
    """A dataset, or one split of it."""

    format: str
    examples: int
    columns: dict[str, Column]
    warnings: list[str]
    splits: dict[str, int] | None = None
    scalars: Mapping[str, Array] = {}  # arrays without an axis for examples
    unread: Mapping[str, str] = {}  # columns that are of no use to anybody, and why

    @abstractmethod
    def pieces(self, names: Sequence[str]) -> Iterator[Piece]:
        """The examples of these columns in order, some at a time. Raises `Refused` for what is damaged."""

    def of_split(self, name: str) -> "Table":
        """The examples of one split alone."""
        raise AssertionError(f"no split {name}")

    def called(self, place: int) -> str:
        """What to call an example in a refusal."""
        return f"example {place}"


def malformed(detail: str) -> Refused:
    """The dataset is damaged, or not what it says."""
    return Refused("dataset-malformed", detail)


def mismatch(detail: str) -> Refused:
    """The dataset is sound, and not what the model takes."""
    return Refused("dataset-mismatch", detail)


def too_large(detail: str) -> Refused:
    """The dataset is larger than any that is read."""
    return Refused("dataset-too-large", detail)


def counted(examples: int) -> int:
    """The number of examples, if it is one that is read."""
    if examples < 1:
        raise malformed("The dataset holds no example. Was it cut down to nothing before it was saved?")
    if examples > EXAMPLES_LIMIT:
        raise too_large(f"{examples:,} examples; at most {EXAMPLES_LIMIT:,} are taken.")
    return examples


def named(names: Iterable[str], what: str) -> None:
    """Refuse names that nobody could read or send on: too long, of unprintable signs, or no text at all."""
    for count, name in enumerate(names, 1):
        if count > COLUMNS_LIMIT:
            raise malformed(f"The dataset has more than {COLUMNS_LIMIT:,} {what}s.")
        if len(name) > NAME_LIMIT or not (name.isprintable() or is_text(name)):
            raise malformed(
                f"The {what} {name[:40]!a} has a name of {len(name):,} characters, or one with signs that are no "
                f"text. Give it a name of at most {NAME_LIMIT} printable characters."
            )


def is_text(word: str) -> bool:
    """Can a word be written down and stored?"""
    return "\0" not in word and not any("\ud800" <= sign <= "\udfff" for sign in word)


def rows_at_once(columns: Sequence[Column]) -> int:
    """How many examples make a piece. Raises `Refused` where one alone is larger than any that is read."""
    for column in columns:
        if column.row_bytes > EXAMPLE_LIMIT:
            raise too_large(
                f"One example of {column.name} has {column.row_bytes:,} bytes; {EXAMPLE_LIMIT:,} are the limit."
            )
    return max(PIECE // max((column.row_bytes for column in columns), default=1), 1)
