"""Datasets: CSV files, one example a row; read by pyarrow, some rows at a time."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from worker.formats import archives, labels, splits
from worker.formats.tables import COLUMNS_LIMIT, TEXT, Column, Piece, Table, counted, malformed, named

BLOCK = 4 * 1024**2  # bytes read at a time; the longest row that is taken
LINE_LIMIT = 4 * 1024**2  # bytes of the first line
DELIMITERS = ";\t|,"  # the comma last, since it may stand within numbers as often as another between them
HOW = "Save it with pandas.DataFrame.to_csv(path, index=False)."
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
KNOWN = (*labels.NAMES, *labels.WEIGHTS, splits.COLUMN)


class Csv(Table):
    """A CSV file. Columns of numbers are float64, all others are text."""

    format = "csv"

    def __init__(self, file: IO[bytes]) -> None:
        pa.set_memory_pool(pa.system_memory_pool())
        self._file = file
        first, second = _line(file), _line(file)
        self._delimiter = max(DELIMITERS, key=first.count)
        cells, below = self._cells(first), self._cells(second)
        if len(cells) < 2 or len(cells) > COLUMNS_LIMIT:
            raise malformed(f"The first line has {len(cells):,} columns; two to {COLUMNS_LIMIT:,} are read. {HOW}")
        self._point = "," if self._delimiter != "," and _has_decimal_commas(below) else "."
        below = [cell.replace(self._point, ".") for cell in below]
        self._headed = _is_header([cell.replace(self._point, ".") for cell in cells], below)
        self._names = [cell.strip() for cell in cells] if self._headed else [f"column_{i}" for i in range(len(cells))]
        (often, times), *_ = Counter(self._names).most_common(1)
        if times > 1:
            raise malformed(f"Two columns are named {often[:100]!r}. Name each column once.")
        named(self._names, "column")
        self.warnings = [] if self._headed else ["The CSV file has no header; its columns are called column_0 and on."]
        if self._point == ",":
            self.warnings.append("The numbers of the CSV file are read with decimal commas.")
        self._types: dict[str, Any] = {}
        with self._opened(None) as rows:
            self._types = {each.name: _wide(each.type) for each in rows.schema}
        self.columns = {name: Column(name, _dtype(kind)) for name, kind in self._types.items()}
        if self.columns.pop("", None):
            self.warnings.append("The column without a name is taken for row numbers, and not used.")
        last = list(self.columns)[-1:]
        self.examples = counted(sum(len(piece[last[0]]) for piece in self.pieces(last)))

    def _cells(self, line: str) -> list[str]:
        try:
            return next(csv.reader(io.StringIO(line), delimiter=self._delimiter), [])
        except csv.Error as error:
            raise malformed(f"The first lines cannot be read as CSV: {str(error)[:100]}. {HOW}") from error

    def pieces(self, names: Sequence[str]) -> Iterator[Piece]:
        """The examples of these columns, in order."""
        done = 0
        try:
            with self._opened(names) as rows:
                for batch in rows:
                    yield {name: self._values(name, batch.column(name), done) for name in names}
                    done += len(batch)
        except pa.ArrowInvalid as error:
            raise malformed(f"The CSV file cannot be read: {str(error)[:300]}. {HOW}") from error

    def _values(self, name: str, values: Any, done: int) -> Any:
        if values.null_count:
            place = done + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
            raise malformed(
                f"The column {name!r} lacks a number in some rows, first in example {place}. Fill such rows, or drop "
                "them."
            )
        if self.columns[name].dtype != TEXT:
            return values.to_numpy(zero_copy_only=False)
        words = values.to_pylist()
        for place, word in enumerate(words, done):
            if "\n" in word:  # the reader takes all that follows an open quote for one cell
                raise malformed(
                    f"The column {name!r} has a line break in example {place}: a quote is not closed. {HOW}"
                )
        return words

    def _opened(self, names: Sequence[str] | None) -> Any:
        read = pc.ReadOptions(
            use_threads=False, block_size=BLOCK, column_names=self._names, skip_rows=1 if self._headed else 0
        )
        convert = pc.ConvertOptions(
            column_types=self._types,
            include_columns=names,
            strings_can_be_null=False,
            timestamp_parsers=[],
            decimal_point=self._point,
        )
        try:
            file = pa.PythonFile(archives.kept(self._file), "r")
            return pc.open_csv(file, read, pc.ParseOptions(delimiter=self._delimiter), convert)
        except pa.ArrowInvalid as error:
            raise malformed(f"The CSV file cannot be read: {str(error)[:300]}. {HOW}") from error


def _line(file: IO[bytes]) -> str:
    line = file.readline(LINE_LIMIT + 1)
    if len(line) > LINE_LIMIT:
        raise malformed(f"A line has more than {LINE_LIMIT:,} bytes. {HOW}")
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(f"The file is not UTF-8 text. Save it with encoding='utf-8'. {HOW}") from error


def _has_decimal_commas(cells: Sequence[str]) -> bool:
    """Are numbers written as in most of Europe, 0,5? They are if a comma stands between digits, and a point nowhere."""
    return any(DECIMAL_COMMA.fullmatch(cell.strip()) for cell in cells) and not any(
        "." in cell and _is_number(cell) for cell in cells
    )


def _is_header(cells: Sequence[str], below: Sequence[str]) -> bool:
    """Is the first line one of names? It is if it has a usual name, counts columns, or is no number above numbers."""
    if any(cell.strip().lower() in KNOWN for cell in cells) or not below:
        return True
    numbers = [cell for cell in cells if _is_number(cell)]
    if len(numbers) == len(cells) and numbers == [str(place) for place in range(len(numbers))]:
        return True  # pandas numbers columns that have no name
    return any(_is_number(low) and not _is_number(high) for high, low in zip(cells, below, strict=False))


def _wide(kind: Any) -> Any:
    """The first block must not decide that a later 0.5 is no number."""
    if pa.types.is_boolean(kind):
        return kind
    return pa.float64() if pa.types.is_integer(kind) or pa.types.is_floating(kind) else pa.string()


def _dtype(kind: Any) -> str:
    return TEXT if pa.types.is_string(kind) else "bool" if pa.types.is_boolean(kind) else "float64"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
