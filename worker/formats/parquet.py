"""Datasets: parquet files, one or several in a zip; Hugging Face's image columns among them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worker.formats import splits
from worker.formats.tables import (
    COLUMNS_LIMIT,
    IMAGE,
    RANK_LIMIT,
    TEXT,
    Column,
    Piece,
    Table,
    counted,
    malformed,
    named,
    rows_at_once,
)

FOOTER_LIMIT = 64 * 1024**2  # bytes of a footer's strings, and entries of its lists
BUFFER = 1024**2  # bytes of a column read at a time; without it, a row group's columns are read whole
ROWS = 65_536  # of a batch at most
IMAGES = 4  # of a batch
HOW = "Save it with pandas.DataFrame.to_parquet or datasets.Dataset.to_parquet."
Opener = Callable[[], IO[bytes]]


class Parquet(Table):
    """Parquet files with the same columns, one after another, or those of one split.

    files: what opens each, by name. Only one is open at a time.
    """

    format = "parquet"

    def __init__(self, files: Mapping[str, Opener]) -> None:
        pa.set_memory_pool(pa.system_memory_pool())
        self._files = files
        self._rows: dict[str, int] = {}
        self.warnings = []
        first: Any = None
        found: dict[str, Column | None] = {}
        for name in files:
            with self._opened(name) as file:
                schema = file.schema_arrow
                self._rows[name] = file.metadata.num_rows
                if first is None:
                    first, found = schema, _columns(schema)
                elif not schema.remove_metadata().equals(first.remove_metadata()):
                    raise malformed(f"{name[:200]} has other columns than {next(iter(files))[:200]}. Make them alike.")
        looked_at = {each.name: found[each.name] or self._looked_at(each.name, each.type) for each in first}
        self.columns = {name: each for name, each in looked_at.items() if isinstance(each, Column)}
        self.unread = {name: each for name, each in looked_at.items() if isinstance(each, str)}
        self.warnings = [f"{why} It is not used." for why in list(self.unread.values())[:10]]
        self.examples = counted(sum(self._rows.values()))
        self.splits = self._parts()

    def _parts(self) -> dict[str, int] | None:
        """The examples of each split, if all files' names tell one."""
        found: dict[str, int] = {}
        for name, rows in self._rows.items():
            split = _split(name)
            if split is None:
                return None
            found[split] = found.get(split, 0) + rows
        return found

    def _looked_at(self, name: str, kind: Any) -> Column | str:
        """A column of lists, whose shape is the first example's, as all others must be; or why it cannot be used."""
        shape: list[int] = []
        inner, value = kind, self._first(name) if _is_list(kind) else None
        while _is_list(inner):
            if not isinstance(value, list) or not value or len(shape) >= RANK_LIMIT:
                return f"{name} is {str(kind)[:60]}, and its first row is empty."
            shape.append(len(value))
            inner, value = inner.value_type, value[0]
        if not _is_numeric(inner):
            return f"{name} is {str(kind)[:60]}, which is neither numbers nor lists of them, text or images."
        return Column(name, np.dtype(inner.to_pandas_dtype()).name, tuple(shape))

    def _first(self, name: str) -> Any:
        """A column's first value."""
        for each in self._files:
            with self._opened(each) as file:
                for batch in file.iter_batches(1, columns=[name], use_threads=False):
                    if len(batch):
                        return batch.column(0)[0].as_py()
        return None

    def of_split(self, name: str) -> "Parquet":
        """The files of one split."""
        return Parquet({each: opener for each, opener in self._files.items() if _split(each) == name})

    def pieces(self, names: Sequence[str]) -> Iterator[Piece]:
        """The examples of these columns, in order."""
        rows = min(rows_at_once([self.columns[name] for name in names]), ROWS)
        rows = min(rows, IMAGES) if any(self.columns[name].dtype == IMAGE for name in names) else rows
        done = 0
        for each in self._files:
            with self._opened(each) as file:
                for batch in file.iter_batches(rows, columns=list(names), use_threads=False):
                    yield {name: self._values(self.columns[name], batch.column(name), done) for name in names}
                    done += len(batch)

    @contextmanager
    def _opened(self, name: str) -> Iterator[Any]:
        try:
            with self._files[name]() as file:
                yield pq.ParquetFile(
                    file,
                    buffer_size=BUFFER,
                    pre_buffer=False,
                    thrift_string_size_limit=FOOTER_LIMIT,
                    thrift_container_size_limit=FOOTER_LIMIT,
                )
        except (pa.ArrowInvalid, OSError) as error:
            where = f"{name[:200]} " if name else ""
            told = " ".join(str(error).split())[:200]
            raise malformed(f"The parquet file {where}cannot be read: {told}. {HOW}") from error

    def _values(self, column: Column, values: Any, done: int) -> Any:
        _check_filled(column, values, done)
        if column.dtype == TEXT:
            return [str(each) for each in values.to_pylist()]
        if column.dtype == IMAGE:
            held = values.field("bytes") if pa.types.is_struct(values.type) else values
            if held.null_count:
                raise malformed(
                    f"The column {column.name!r} tells where images lie and does not hold them. Embed them."
                )
            return held.to_pylist()
        flat = values
        for size in column.shape:
            lengths = None if pa.types.is_fixed_size_list(flat.type) else flat.value_lengths()
            if lengths is not None and (lengths.null_count or set(lengths.unique().to_pylist()) - {size}):
                raise malformed(
                    f"The lists of column {column.name!r} differ in length, in the {len(values)} examples from {done} "
                    "on. Pad them to one length."
                )
            flat = flat.flatten()
        _check_filled(column, flat, done, max(len(flat) // max(len(values), 1), 1))
        return flat.to_numpy(zero_copy_only=False).reshape(len(values), *column.shape)


def _columns(schema: Any) -> dict[str, Column | None]:
    """The columns by their types; None where that does not tell enough."""
    names = schema.names
    if len(names) > COLUMNS_LIMIT:
        raise malformed(f"The file has {len(names):,} columns; {COLUMNS_LIMIT:,} are the limit.")
    named(names, "column")
    if len(set(names)) < len(names):
        raise malformed("Two columns of the parquet file have the same name. Name each column once.")
    classes = _class_names(schema.metadata or {})
    return {field.name: _column(field, classes.get(field.name)) for field in schema}


def _column(field: Any, classes: tuple[str, ...] | None) -> Column | None:
    kind = field.type
    if _is_numeric(kind):
        return Column(field.name, np.dtype(kind.to_pandas_dtype()).name, names=classes)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_category(kind):
        return Column(field.name, TEXT)
    within = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
    if pa.types.is_binary(within) or pa.types.is_large_binary(within):
        return Column(field.name, IMAGE, ("height", "width", "channels"))
    return None


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """What Hugging Face's `datasets` writes down of whole numbers that stand for classes."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        found = {name: each["names"] for name, each in features.items() if each.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    sound = {name: tuple(names) for name, names in found.items() if isinstance(names, list) and names}
    for names in sound.values():
        named(map(str, names), "class")
    return {name: tuple(map(str, names)) for name, names in sound.items() if len(set(map(str, names))) == len(names)}


def _check_filled(column: Column, values: Any, done: int, width: int = 1) -> None:
    """Refuse a value that is missing, and tell its example. width: how many values make one."""
    if values.null_count:
        place = done + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) // width
        told = f"The column {column.name!r} lacks a value, first in example {place}. Fill such rows, or drop them."
        raise malformed(told)


def _split(name: str) -> str | None:
    match = splits.IN_PATH.fullmatch(name.removesuffix(".parquet"))
    return match[1].lower() if match else None


def _is_numeric(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _is_category(kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind) and (pa.types.is_string(kind.value_type) or _is_numeric(kind.value_type)))


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
