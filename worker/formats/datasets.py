"""Datasets in any format: what is in one, and its inputs written as a model takes them. Streamed; no pickle."""

import errno
import zipfile
from collections.abc import Mapping
from typing import IO, Any

from worker.formats import labels, matching, splits, writing, zips
from worker.formats.matching import Feed
from worker.formats.refusals import Refused
from worker.formats.tables import TEXT, UNPACKED_LIMIT, Array, Table, malformed

__all__ = ["UNPACKED_LIMIT", "read"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of our own disk, which is no fault of the file
NAMES_SHOWN = 10_000  # of columns and classes, in what is found
START = 512  # bytes that show the format
KNOWN = (
    ".npz with arrays x and y, parquet, a zip or tar of images in class folders, .safetensors and CSV. For arrays: "
    "numpy.savez_compressed(path, x=x, y=y)."
)
Reading = Mapping[str, Any]


def read(file: IO[bytes], out: IO[bytes] | None, reading: Reading | None) -> tuple[dict[str, Any], dict[str, Array]]:
    """Look at a dataset; with a reading, also write its inputs to `out`, one after another, each aligned.

    reading: {"inputs": the model's, "columns", "labels", "weights", "split", "preprocessing", "targets",
    "label_names"}, or None to look only. Returns what was found and {"labels": int64[N], int64[N, T] or float64,
    "weights": float64[N]}, as far as there are any. Memory stays flat whatever the size of the inputs.
    Raises `Refused`: `unsupported-format`, `dataset-malformed`, `dataset-mismatch` or `dataset-too-large`.
    """
    try:
        return _read(file, out, reading)
    except (Refused, MemoryError, AssertionError):
        raise
    except Exception as error:  # readers raise what they like: BadZipFile, ValueError, NotImplementedError, zlib's...
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        raise malformed(f"The dataset is damaged ({str(error)[:200]}). Upload it again, or save it anew.") from error


def _read(file: IO[bytes], out: IO[bytes] | None, reading: Reading | None) -> tuple[dict[str, Any], dict[str, Array]]:
    asked = reading or {}
    whole = splits.told(_opened(file))
    chosen = splits.chosen(whole, asked.get("split"))
    table = chosen.table
    label, guessed = _label(table, reading)
    weight = labels.weights_of(table, asked.get("weights"))
    taken = {name for name in (label, weight) if name is not None}
    feeds = matching.candidates(table, taken) if reading is None else matching.fed(table, taken, reading)
    arrays, names = _targets(table, label, reading)
    if weight is not None:
        arrays["weights"] = labels.weights(table, weight)
    _check_lengths(table, arrays, {"labels": label, "weights": weight})
    if reading is None:
        made = writing.Written(writing.looked_at(table, feeds[:NAMES_SHOWN]))
    else:
        assert out is not None, "inputs that are read are written"
        made = writing.written(table, feeds, out)
    told = [*chosen.warnings, *guessed, *_unused(table, taken, feeds), *made.told]
    found = {
        "format": table.format,
        "examples": table.examples,
        "inputs": made.described,
        "labels": labels.summary(arrays["labels"], names and names[:NAMES_SHOWN]) if "labels" in arrays else None,
        "columns": [*table.columns, *table.scalars][:NAMES_SHOWN],
        "splits": whole.splits,
        "preprocessing": _done(feeds),
        "warnings": _warnings(whole, table, told, arrays),
    }
    return found, arrays


def _opened(file: IO[bytes]) -> Table:
    """The dataset in whatever format its first bytes show. Readers are imported when they are needed."""
    start = file.read(START)
    file.seek(0)
    if start.startswith(b"PK"):
        return _of_zip(file)
    if start.startswith(b"PARE"):
        raise malformed("The parquet file is encrypted, and no key is asked for here. Save it without encryption.")
    if start.startswith(b"PAR1"):
        from worker.formats import archives, parquet

        return parquet.Parquet({"": lambda: archives.kept(file)})
    if start.startswith(b"\x1f\x8b") or start[257:262] == b"ustar":
        from worker.formats import archives, images

        return images.read(archives.of_tar(file))
    if start.startswith(b"\x93NUMPY"):
        raise Refused("unsupported-format", f"This is a single .npy array. Datasets are: {KNOWN}")
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32:
        from worker.formats import tensors

        return tensors.read(file)
    if start and _is_text(start):
        from worker.formats import tabular

        return tabular.Csv(file)
    raise Refused("unsupported-format", f"This is no dataset that is read. Datasets are: {KNOWN}")


def _is_text(start: bytes) -> bool:
    printable = all(byte >= 32 or byte in b"\t\r\n" for byte in start)
    return printable and any(each in start.splitlines()[0] for each in (b",", b";", b"\t", b"|"))


def _of_zip(file: IO[bytes]) -> Table:
    from worker.formats import archives

    try:
        archive = zipfile.ZipFile(file)
    except zips.DAMAGED as error:
        raise malformed(f"The file is damaged ({error}). Upload it again, or save it anew.") from error
    names = [info.filename for info in archive.infolist()]
    if not names or (all(name.endswith(".npy") for name in names)):
        from worker.formats import npz

        return npz.read(archive)
    if "xl/workbook.xml" in names:
        raise Refused("unsupported-format", "This is an Excel workbook. Save its sheet as CSV, and upload that.")
    members = archives.plain(archive)
    tables = {name: info for name, info in members.items() if name.lower().endswith(".parquet")}
    if tables:
        from worker.formats import parquet

        return parquet.Parquet({name: archives.opener(file, archive, tables[name]) for name in sorted(tables)})
    if any(name.endswith(("data.pkl", ".pkl", ".pt", ".pth")) for name in members):
        raise Refused("unsupported-format", f"This holds a pickle, which is never read. Datasets are: {KNOWN}")
    from worker.formats import images

    return images.read(archives.of_zip(archive))


def _label(table: Table, reading: Reading | None) -> tuple[str | None, list[str]]:
    """The column of labels. Of a CSV it is the last, if none is named as such and the model does not need it."""
    asked = (reading or {}).get("labels")
    found = labels.column_of(table, asked)
    if found is not None or table.format != "csv":
        return found, []
    last = [name for name in table.columns if name.lower() not in labels.WEIGHTS][-1]
    numbers = [name for name, column in table.columns.items() if column.dtype != TEXT]
    told = [f"No column is named as labels are (label, target, y, class), so the last one, {last!r}, was taken."]
    if last not in numbers:
        return last, told
    shapes = [each["shape"][1:] for each in (reading or {}).get("inputs", [])]
    if shapes == [[len(numbers)]] or {each["name"] for each in (reading or {}).get("inputs", [])} >= {last}:
        return None, []
    return last, told


def _targets(table: Table, label: str | None, reading: Reading | None) -> tuple[dict[str, Array], list[str] | None]:
    """Labels, as far as they are asked for, and the classes' names. Without a reading: whatever they seem to be."""
    asked = reading or {}
    targets = asked.get("targets", "any")
    if label is None or targets == "none":
        return {}, None
    if targets == "values":
        return {"labels": labels.values(table, label)}, None
    if targets == "any" and table.columns[label].dtype.startswith("float"):
        found = labels.values(table, label)
        if (found != found.round()).any():
            return {"labels": found}, None
    numbers, names = labels.classes(table, label, asked.get("label_names"))
    labels.check(numbers, label, lowest=-labels.MOST if reading is None else 0)
    return {"labels": numbers}, names


def _check_lengths(table: Table, arrays: Mapping[str, Array], names: Mapping[str, str | None]) -> None:
    """What a file tells of its length, and what it then holds of a column, may be two things."""
    for kind, array in arrays.items():
        if len(array) != table.examples:
            told = f"{names[kind]} has {len(array)} examples, and {table.examples} were told"
            raise malformed(f"{told}. The file is damaged: save it anew.")


def _done(feeds: list[Feed]) -> dict[str, Any] | None:
    """What was done to the first images, or else to the first of other numbers."""
    preparations = [feed.preparation for feed in feeds if feed.preparation is not None]
    ordered = sorted(preparations, key=lambda each: not each.of_pictures)
    return next((each.resolved for each in ordered if each.resolved), None)


def _unused(table: Table, taken: set[str], feeds: list[Feed]) -> list[str]:
    """Columns of text, and others that no input takes: the labels may be among them, under a name of their own."""
    texts = [name for name, column in table.columns.items() if column.dtype == TEXT and name not in taken]
    fed = {column.name for feed in feeds for column in feed.columns} | taken
    spare = [name for name in table.columns if name not in fed and name not in texts]
    found = [f"Columns of text are not fed: {_listed(texts)}."] if texts else []
    if spare and any(feed.wanted is not None for feed in feeds):
        found.append(f"No input takes {_listed(spare)}. If the labels are there, say so with `labels`.")
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _warnings(whole: Table, table: Table, more: list[str], arrays: Mapping[str, Array]) -> list[str]:
    found = list(dict.fromkeys([*whole.warnings, *table.warnings, *more]))
    given = arrays.get("labels")
    if given is not None and given.ndim == 1 and (given == given[0]).all():
        found.append("All examples have the same label, so nothing can be lost by answering it always.")
    return found
