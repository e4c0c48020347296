"""A dataset's inputs as a model takes them, streamed into one raw file: one after another, each aligned."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from worker.formats import casting, layouts, matching
from worker.formats.matching import Feed
from worker.formats.tables import IMAGE, UNPACKED_LIMIT, Array, Table, malformed, mismatch, too_large

ALIGNMENT = 64  # bytes; each input begins at a multiple
PICTURE_AXES = 3


@dataclass
class Written:
    """The inputs so far, what to say of them, and where the next one may begin."""

    described: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    end: int = 0

    @property
    def start(self) -> int:
        """The first free multiple of the alignment."""
        return -(-self.end // ALIGNMENT) * ALIGNMENT


def looked_at(table: Table, feeds: Sequence[Feed]) -> list[dict[str, Any]]:
    """Describe what there is, and read all numbers through, so that damage is known before anyone waits."""
    found: list[dict[str, Any]] = []
    for feed in feeds:
        shape = feed.columns[0].shape if feed.name != matching.STACKED else (len(feed.columns),)
        found.append({"name": feed.name, "dtype": feed.dtype, "shape": [table.examples, *shape]})
        if feed.columns[0].dtype != IMAGE:
            done = 0
            for made in _cast(table, feed):
                done += len(made)
                _check_count(feed, done, table)
            _check_count(feed, done, table, at_end=True)
    return found


def written(table: Table, feeds: Sequence[Feed], out: IO[bytes]) -> Written:
    """Write every input. Raises `Refused` before the first byte of one that does not fit the model."""
    sofar = Written()
    for feed in feeds:
        if feed.single:
            _write_single(table, feed, out, sofar)
        else:
            _write(table, feed, out, sofar)
    return sofar


def _write(table: Table, feed: Feed, out: IO[bytes], sofar: Written) -> None:
    start, shape, done = sofar.start, [0], 0
    out.seek(start)
    for made in _cast(table, feed):
        if done == 0:
            shape = list(made.shape[1:])
            _check_fits(feed, shape)
            _check_size(feed, start + table.examples * math.prod(shape) * made.itemsize)
        elif list(made.shape[1:]) != shape:
            raise mismatch(
                f"{table.called(done)} becomes {list(made.shape[1:])} and the ones before it {shape}. Set "
                "preprocessing.resize, and crop or pad, to make all images of one size."
            )
        done += len(made)
        _check_count(feed, done, table)
        out.write(made.data)
    _check_count(feed, done, table, at_end=True)
    _note(feed, [table.examples, *shape], sofar, out.tell())
    if feed.preparation is not None:
        sofar.told += feed.preparation.told(shape)
    sofar.told += _told_of_cast(feed)


def _write_single(table: Table, feed: Feed, out: IO[bytes], sofar: Written) -> None:
    """An input without an axis for examples takes one value, which a column may repeat."""
    values = [feed.value] if feed.value is not None else list(_values(table, feed))
    distinct = np.unique(np.concatenate([np.asarray(each).reshape(-1) for each in values]))
    if len(distinct) != 1:
        raise mismatch(f"The model takes one value {feed.name!r} for all examples, and there are {len(distinct)}.")
    made = casting.cast(distinct, feed.dtype, feed.name, 0)
    out.seek(sofar.start)
    out.write(made.data)
    _note(feed, [], sofar, out.tell())


def _note(feed: Feed, shape: list[int], sofar: Written, end: int) -> None:
    sofar.described.append({"name": feed.name, "dtype": feed.dtype, "shape": shape})
    sofar.end = end


def _cast(table: Table, feed: Feed) -> Iterator[Array]:
    """The examples as the input takes them, some at a time."""
    done = 0
    name = feed.columns[0].name if len(feed.columns) == 1 else feed.name
    for values in _values(table, feed):
        yield casting.cast(values, feed.dtype, name, done)
        done += len(values)


def _values(table: Table, feed: Feed) -> Iterator[Array]:
    if feed.value is not None:
        yield np.broadcast_to(feed.value, (table.examples, 1))
        return
    done = 0
    names = [column.name for column in feed.columns]
    for piece in table.pieces(names):
        values = piece[names[0]] if len(names) == 1 else _stacked(piece, names, done)
        length = len(values)
        if feed.preparation is None:
            yield np.asarray(values)
        else:
            yield from feed.preparation.done(values, done)
        done += length


def _stacked(piece: Mapping[str, Any], names: Sequence[str], start: int) -> Array:
    for name in names:
        casting.check_finite(np.asarray(piece[name]), name, start)
    return np.stack([np.asarray(piece[name]) for name in names], axis=1)


def _check_count(feed: Feed, done: int, table: Table, at_end: bool = False) -> None:
    if done > table.examples or (at_end and done != table.examples):
        name = feed.columns[0].name
        raise malformed(f"{name} has {done} examples or more, and {table.examples} were told. The file is damaged.")


def _check_size(feed: Feed, end: int) -> None:
    if end > UNPACKED_LIMIT:
        raise too_large(
            f"{feed.name} and the inputs before it unpack to {end:,} bytes; {UNPACKED_LIMIT:,} are the limit. Give "
            "fewer examples."
        )


def _check_fits(feed: Feed, shape: list[int]) -> None:
    """Does an example fit the model, axis by axis?"""
    assert feed.wanted is not None, "a model is there"
    if layouts.fits(shape, feed.wanted):
        return
    name = feed.columns[0].name if len(feed.columns) == 1 else feed.name
    raise mismatch(
        f"The model's input {feed.name!r} takes {list(feed.wanted)} for each example, but {name} gives {shape}. "
        f"{_hint(feed, shape)}"
    )


def _hint(feed: Feed, shape: list[int]) -> str:
    wanted = list(feed.wanted or [])
    asked = {} if feed.preparation is None else feed.preparation.asked
    if sorted(map(str, shape)) == sorted(map(str, wanted)):
        other = "layout" if "data_layout" in asked else "data_layout"
        return (
            f"Set preprocessing.{other} to {'NHWC' if asked.get(other) == 'NCHW' or shape[-1] in (1, 3) else 'NCHW'}."
        )
    if len(shape) == len(wanted) == PICTURE_AXES and layouts.fits(shape[1:], wanted[1:]):
        return "Set preprocessing.channels: L for grey, RGB or BGR for colours."
    if (feed.columns and feed.columns[0].dtype == IMAGE) or len(shape) == len(wanted) == PICTURE_AXES:
        return "Set preprocessing.resize, and crop or pad, to the model's height and width."
    return "Reshape it to the model's layout; the first axis counts the examples."


def _told_of_cast(feed: Feed) -> list[str]:
    """A cast that the caller may not have meant: of an array, as it is."""
    if len(feed.columns) != 1 or feed.columns[0].dtype in (IMAGE, feed.dtype):
        return []
    if feed.preparation is not None and feed.preparation.asked:
        return []
    column = feed.columns[0]
    return [f"{column.name} is {column.dtype} and was given to the model as {feed.dtype}, value for value."]
