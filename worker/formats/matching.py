"""Which column of a dataset goes into which input of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.formats import layouts, preprocessing
from worker.formats.layouts import Sizes
from worker.formats.preprocessing import Preparation
from worker.formats.tables import IMAGE, TEXT, Array, Column, Table, mismatch

STACKED = "features"  # what the single numbers of a row are called together
SHOWN = 20  # names told in a refusal
Wanted = Mapping[str, Any]  # {"name", "dtype", "shape"} of a model's input


@dataclass(frozen=True)
class Feed:
    """One input of a model and what fills it: one column, prepared; several of single numbers, side by side; or one
    value for all examples. wanted: the input's axes without the first; None where no model is known."""

    name: str
    dtype: str
    wanted: Sizes | None
    columns: tuple[Column, ...] = ()
    preparation: Preparation | None = None
    value: Array | None = None
    single: bool = False  # the input has no axis for examples


def candidates(table: Table, taken: set[str]) -> list[Feed]:
    """What there is in a dataset to fill inputs with. taken: columns of labels and weights."""
    free = _free(table, taken)
    single = [column for column in free.values() if column.shape == () and column.dtype != IMAGE]
    if len(single) == len(free):
        return [Feed(STACKED, _widest(single), None, tuple(single))]
    return [Feed(column.name, column.dtype, None, (column,)) for column in free.values()]


def fed(table: Table, taken: set[str], reading: Mapping[str, Any]) -> list[Feed]:
    """What fills each input of the model, in its order.

    Columns are matched by the reading's `columns`, then by equal names, then by shape and type, then what is left goes
    to what is left. Single numbers are set side by side where nothing else fits. Raises `Refused`, naming both sides.
    """
    matches = _Matches(table, taken, reading)
    matches.as_asked(reading.get("columns") or {})
    matches.by_name()
    matches.by_shape()
    matches.what_is_left()
    return matches.feeds()


def _free(table: Table, taken: set[str]) -> dict[str, Column]:
    free = {name: column for name, column in table.columns.items() if name not in taken and column.dtype != TEXT}
    if not free:
        texts = [name for name, column in table.columns.items() if column.dtype == TEXT and name not in taken]
        why = " ".join(list(table.unread.values())[:3])
        held = f" Text ({', '.join(texts[:SHOWN])}) cannot be fed." if texts else ""
        raise mismatch(f"The dataset holds nothing for the model beside labels. Add its inputs.{held} {why}".strip())
    return free


def _widest(columns: Sequence[Column]) -> str:
    return "float64" if any(column.dtype == "float64" for column in columns) else "float32"


class _Matches:
    """Inputs that are still to be filled, columns that are free, and which belong together so far."""

    def __init__(self, table: Table, taken: set[str], reading: Mapping[str, Any]) -> None:
        self._table = table
        self._free = _free(table, taken)
        self._inputs: dict[str, Wanted] = {each["name"]: each for each in reading["inputs"]}
        self._asked = preprocessing.effective(reading.get("preprocessing"))
        self._found: dict[str, tuple[Column, ...]] = {}
        self._values: dict[str, Array] = {}

    @property
    def _left(self) -> list[Wanted]:
        return [each for name, each in self._inputs.items() if name not in self._found and name not in self._values]

    def as_asked(self, columns: Mapping[str, str]) -> None:
        """What the config says."""
        for name, column in columns.items():
            if name not in self._inputs:
                there = ", ".join(list(self._inputs)[:SHOWN])
                raise mismatch(f"`inputs` names {str(name)[:100]!r}, and the model's inputs are {there}.")
            if not self._take(self._inputs[name], column):
                why = (
                    self._table.unread.get(column) or f"The dataset has {', '.join(list(self._table.columns)[:SHOWN])}."
                )
                raise mismatch(f"`inputs` gives {str(column)[:100]!r} to {name!r}, and there is no such array. {why}")

    def by_name(self) -> None:
        """Equal names, and names that differ in case alone."""
        for equal in (str, str.lower):
            for each in self._left:
                alike = [name for name in (*self._free, *self._table.scalars) if equal(name) == equal(each["name"])]
                if len(alike) == 1:
                    self._take(each, alike[0])

    def by_shape(self) -> None:
        """Pairs that can only be meant: one column and one input of this shape and kind, whatever else there is."""
        if len(self._left) == 1 and len(self._free) == 1:
            return
        for each in self._left:
            axes, kind = each["shape"][1:], _kind(each["dtype"])
            rivals = [
                other
                for other in self._left
                if other is not each and _kind(other["dtype"]) == kind and layouts.fits(other["shape"][1:], axes)
            ]
            alike = [
                column.name
                for column in self._free.values()
                if column.dtype != IMAGE and layouts.fits(column.shape, axes) and _kind(column.dtype) == kind
            ]
            if len(alike) == 1 and not rivals and each["shape"] and not self._asked:
                self._take(each, alike[0])

    def what_is_left(self) -> None:
        """One input and one column, or all single numbers side by side; else nothing is sure."""
        left = self._left
        if not left:
            return
        if len(left) == 1 and left[0]["shape"]:
            if len(self._free) == 1:
                self._take(left[0], next(iter(self._free)))
                return
            single = [column for column in self._free.values() if column.shape == () and column.dtype != IMAGE]
            if single and _takes_row(left[0]["shape"][1:], len(single)):
                self._found[left[0]["name"]] = tuple(single)
                return
        raise self._unsure(left)

    def _take(self, wanted: Wanted, column: str) -> bool:
        if column in self._table.scalars:
            self._values[wanted["name"]] = self._table.scalars[column]
            return True
        if column not in self._table.columns:
            return False
        self._found[wanted["name"]] = (self._table.columns[column],)
        self._free.pop(column, None)
        return True

    def _unsure(self, left: Sequence[Wanted]) -> Exception:
        described = ", ".join(f"{each['name']} {each['dtype']}{each['shape'][1:]}" for each in left)
        free = list(self._free.values())
        there = ", ".join(f"{each.name} {each.dtype}{list(each.shape)}" for each in free[:SHOWN]) or "nothing else"
        single = [column for column in free if column.shape == ()]
        if len(single) > 1 and len(single) == len(free):
            there = f"{len(single)} columns of numbers ({', '.join(each.name for each in single[:10])}, ...)"
        if any(not each["shape"] for each in left):
            there += ". An input without axes wants an array of that name without axes, numpy.array(16000)"
        return mismatch(
            f"The model takes {described} for each example, and the dataset has {there}. Name arrays as the model's "
            "inputs, leave out columns that are none, or say which is which in `inputs`, and with `labels` which are "
            "the labels."
        )

    def feeds(self) -> list[Feed]:
        """An entry for each input, in the model's order."""
        pictures = any(_is_picture(column, each) for each, column in self._alone())
        return [self._feed(each, pictures) for each in self._inputs.values()]

    def _alone(self) -> list[tuple[Wanted, Column]]:
        return [
            (each, self._found[name][0]) for name, each in self._inputs.items() if len(self._found.get(name, ())) == 1
        ]

    def _feed(self, each: Wanted, pictures: bool) -> Feed:
        name, dtype, wanted = each["name"], each["dtype"], each["shape"][1:]
        if name in self._values:
            return Feed(name, dtype, wanted, value=self._values[name], single=not each["shape"])
        columns = self._found[name]
        if columns[0].dtype == TEXT:
            raise mismatch(
                f"{columns[0].name!r} is text, and the model takes {dtype} for {name!r}. Convert it to numbers."
            )
        if len(columns) > 1:
            asked = {} if pictures else self._asked
            together = Column(STACKED, _widest(columns), (len(columns),))
            return Feed(name, dtype, wanted, columns, Preparation(together, asked, wanted, self._table.called))
        # What is asked for images is not meant for the ids and tables that come with them.
        asked = self._asked if _is_picture(columns[0], each) or not pictures else {}
        asked = {} if dtype.startswith(("int32", "int64")) and len(wanted) < 2 else asked
        made = Preparation(columns[0], asked, wanted, self._table.called)
        return Feed(name, dtype, wanted, columns, made, single=not each["shape"])


def _is_picture(column: Column, wanted: Wanted) -> bool:
    return column.dtype == IMAGE or (len(column.shape) in (2, 3) and len(wanted["shape"]) in (3, 4))


def _takes_row(axes: Sizes, columns: int) -> bool:
    """Could an input with these axes be a row of so many numbers, or a grey image of so many pixels?"""
    if len(axes) == 1:
        return isinstance(axes[0], str) or axes[0] == columns
    sizes = [size for size in axes if isinstance(size, int)]
    product = 1
    for size in sizes:
        product *= size
    return len(sizes) == len(axes) and product == columns and len([size for size in sizes if size != 1]) == 2


def _kind(dtype: str) -> str:
    return "float" if dtype.startswith("float") else "int"
