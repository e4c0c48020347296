"""Labels and weights of a dataset: which column they are, and which numbers they stand for."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.formats.tables import IMAGE, NAME_LIMIT, TEXT, Array, Table, is_text, malformed, mismatch, too_large

NAMES = ("y", "label", "labels", "target", "targets", "class")
WEIGHTS = ("sample_weight", "sample_weights")
IGNORED = -100  # the label of a token that does not count, as PyTorch has it
CLASSES_LIMIT = 1_000_000
BYTES_LIMIT = 1024**3  # of all labels, or of all weights, 8 each
MOST = np.iinfo(np.int32).max
Names = Sequence[Any] | None  # what a model calls its classes: whole numbers or text


def column_of(table: Table, asked: str | None) -> str | None:
    """The column of the labels: as asked for, or by its usual names; None if it is neither."""
    if asked is not None:
        return _asked(table, asked, "labels")
    lower = {name.lower(): name for name in table.columns if table.columns[name].dtype != IMAGE}
    return next((lower[name] for name in NAMES if name in lower), None)


def weights_of(table: Table, asked: str | None) -> str | None:
    """The column of the examples' weights, if there is one."""
    if asked is not None:
        return _asked(table, asked, "weights")
    return next((name for name in table.columns if name.lower() in WEIGHTS), None)


def _asked(table: Table, asked: str, field: str) -> str:
    if asked in table.columns:
        return asked
    if asked in table.unread:
        raise mismatch(f"`{field}` is {asked[:100]!r}, which cannot be used: {table.unread[asked][:300]}")
    there = ", ".join(list(table.columns)[:20])
    raise mismatch(f"`{field}` is {asked[:100]!r}, and the dataset has {there}. Name one of them.")


def weights(table: Table, name: str) -> NDArray[np.float64]:
    """Weights, float64[N], none negative, not all zero."""
    if table.columns[name].dtype in (TEXT, IMAGE) or table.columns[name].shape not in ((), (1,)):
        raise malformed(f"The weights {name!r} must be one number for each example.")
    found = _all(table, name).astype(np.float64).reshape(-1)
    if not np.isfinite(found).all() or found.min() < 0 or found.max() <= 0:
        raise malformed(f"The weights {name!r} must be finite, not negative, and not all zero. Mend them.")
    return found


def values(table: Table, name: str) -> NDArray[np.float64]:
    """What a regression is to give: float64[N] or float64[N, K]."""
    if table.columns[name].dtype in (TEXT, IMAGE) or len(table.columns[name].shape) > 1:
        raise malformed(f"{name!r} must be one number, or a row of them, for each example.")
    found = _all(table, name).astype(np.float64)
    _check_finite(found, name)
    return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


def classes(table: Table, name: str, model_names: Names) -> tuple[Array, list[str] | None]:
    """Labels, int64[N] or int64[N, T], and the names of classes where they have names.

    model_names: what the model calls its classes, in order; labels are then looked up in it. Text without such names
    is numbered in sorted order, but whole numbers written as text stay those numbers.
    """
    column = table.columns[name]
    if column.dtype == IMAGE:
        raise malformed(f"The labels {name!r} are images. Name another column in `labels`.")
    if column.dtype == TEXT:
        return _of_text(table, name, model_names)
    if len(column.shape) > 1:
        raise malformed(
            f"{name} is {column.dtype}[N, {str(list(column.shape))[1:-1]}]; it must be one whole number for each "
            "example, or for each of its tokens."
        )
    found = _all(table, name)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    labels = _whole(found, name)
    if column.names is not None and set(map(str, model_names or column.names)) == set(column.names):
        if labels.size and not 0 <= labels.min() <= labels.max() < len(column.names):
            raise malformed(f"{name} holds a label for which the file has no name; it has {len(column.names)} names.")
        order = [str(each) for each in model_names or column.names]
        return np.array([order.index(each) for each in column.names], np.int64)[labels], order
    if model_names and all(isinstance(each, int) for each in model_names):
        labels = _looked_up(labels, np.array(model_names, np.int64), name)
    return labels, None


def check(labels: Array, name: str, lowest: int = 0) -> None:
    """Refuse labels that no class can have, and what no label is: int64[N], or int64[N, T] with -100 for none.

    lowest: below 0 where a model may have names for its classes that are yet to be looked up.
    """
    counted = labels[labels != IGNORED] if labels.ndim == 2 else labels
    if counted.size == 0:
        raise malformed(f"{name} holds no label but {IGNORED}, which stands for none.")
    wrong = int(counted.min()) if counted.min() < lowest else int(counted.max())
    if not lowest <= wrong <= MOST:
        raise malformed(f"{name} holds the label {wrong}; labels start at 0, and are below the number of classes.")


def _all(table: Table, name: str) -> Array:
    """The whole column, if it is not too large."""
    shape = [size for size in table.columns[name].shape if isinstance(size, int)]
    if 8 * table.examples * math.prod(shape) > BYTES_LIMIT:
        raise too_large(f"{name} holds {table.examples:,} times {math.prod(shape):,} numbers, too many for labels.")
    return np.concatenate([np.asarray(piece[name]) for piece in table.pieces([name])])


def _check_finite(found: Array, name: str) -> None:
    finite = np.isfinite(found).reshape(len(found), -1).all(axis=1)
    if not finite.all():
        raise malformed(f"{name!r} holds NaN or infinity, first in example {int(np.argmin(finite))}; remove it.")


def _whole(found: Array, name: str) -> Array:
    if found.dtype.kind == "f":
        _check_finite(found, name)
        if not (found == np.rint(found)).all():
            raise malformed(
                f"{name} is {found.dtype} with fractions; classes are whole numbers. Values of a regression need the "
                "metric `r2`, and probabilities numpy.argmax(..., axis=1)."
            )
    for extreme in (found.max(), found.min()):
        if not -(2**63) <= int(extreme) < 2**63:
            raise malformed(f"{name} holds the label {int(extreme)}, which no class has.")
    return found.astype(np.int64)


def _looked_up(labels: Array, names: Array, name: str) -> Array:
    """The places of labels among the model's names for its classes; -100 of tokens stays."""
    order = np.argsort(names)
    places = np.minimum(np.searchsorted(names[order], labels), len(names) - 1)
    found = order[places]
    ignored = (labels == IGNORED) & (labels.ndim == 2)
    wrong = labels[(names[found] != labels) & ~ignored]
    if wrong.size:
        raise mismatch(
            f"{name} holds the label {wrong.flat[0]}, and the model's classes are {str(names[:20].tolist())[1:-1]}."
        )
    return np.where(ignored, IGNORED, found).astype(np.int64)


def _of_text(table: Table, name: str, model_names: Names) -> tuple[Array, list[str] | None]:
    seen: dict[str, int] = {}
    parts: list[Array] = []
    for piece in table.pieces([name]):
        parts.append(np.array([seen.setdefault(each, len(seen)) for each in piece[name]], np.int64))
        if len(seen) > CLASSES_LIMIT:
            raise malformed(f"{name} holds more than {CLASSES_LIMIT:,} different texts; it is no column of classes.")
    for word in seen:
        if len(word) > NAME_LIMIT or not is_text(word):
            raise malformed(f"{name} holds a text of {len(word):,} characters, {word[:40]!a}, which names no class.")
    numbers, names = _numbered(list(seen), name, model_names)
    return np.array(numbers, np.int64)[np.concatenate(parts)], names


def _numbered(words: Sequence[str], name: str, model_names: Names) -> tuple[list[int], list[str] | None]:
    """The class of each word, and the names of classes."""
    written = all(_is_whole(each) for each in words)
    if model_names is None:
        if written:
            return [int(each) for each in words], None
        names = sorted(words)
    else:
        names = [str(each) for each in model_names]
    places = {each: place for place, each in enumerate(names)}
    strange = next((each for each in words if each not in places), None)
    if strange is None:
        return [places[each] for each in words], names
    if written and all(0 <= int(each) < len(names) for each in words):
        return [int(each) for each in words], names
    raise mismatch(f"{name} holds the label {strange[:100]!r}, and the model's classes are {', '.join(names[:20])}.")


def _is_whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal() and len(word) < 10


def summary(labels: Array, names: list[str] | None) -> dict[str, Any]:
    """What is found of labels: {"min", "max", "distinct", "most_frequent", "names"}."""
    counted = labels[labels != IGNORED] if labels.ndim == 2 and labels.dtype.kind == "i" else labels
    whole = labels.dtype.kind in "iu"
    _, counts = np.unique(counted, return_counts=True)
    low, high = (counted.min(), counted.max()) if counted.size else (0, 0)
    return {
        "min": int(low) if whole else float(low),
        "max": int(high) if whole else float(high),
        "distinct": len(counts),
        "most_frequent": int(counts.max(initial=0)),
        "names": names,
    }
