"""Parquet files that are encrypted, lie about their size, or hold what nobody can feed to a network."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from tests.promises.bad_input.case import Case, Class, altered
from tests.promises.misdeeds import png
from tests.worker.formats.reading import reading, wanted

KIND, MISMATCH = "dataset-malformed", "dataset-mismatch"
FOUR = reading(wanted("x", 4))
ROWS = np.arange(24, dtype=np.float32).reshape(6, 4).tolist()
LABELS = [0, 1, 2, 0, 1, 2]


def written(columns: Any, **how: Any) -> bytes:
    """A parquet file."""
    file = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file, **how)
    return file.getvalue()


def good() -> bytes:
    return written({"x": ROWS, "label": LABELS})


def held(name: str, says: str, kind: str = KIND, *, columns: Any) -> Case:
    """Columns that no model can take."""
    return Case(name, lambda: written({"x": ROWS, "label": LABELS, **columns}), kind, says, FOUR)


def changed(name: str, change: Callable[[bytes], bytes], says: str = "arquet") -> Case:
    """The bytes of a good one, changed."""
    return Case(name, lambda: change(good()), KIND, says)


class _Keys(pe.KmsClient):
    """Keys that are none, to write an encrypted file with."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        return key_bytes.hex()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key)


def encrypted(plain_footer: bool) -> Callable[[], bytes]:
    """A file that wants a key server."""

    def make() -> bytes:
        config = pe.EncryptionConfiguration(footer_key="f", column_keys={"c": ["label"]}, plaintext_footer=plain_footer)
        factory = pe.CryptoFactory(lambda _: _Keys())
        how = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
        file, table = io.BytesIO(), pa.table({"x": ROWS, "label": LABELS})
        with pq.ParquetWriter(file, table.schema, encryption_properties=how) as writer:
            writer.write_table(table)
        return file.getvalue()

    return make


def footer(data: bytes) -> int:
    """How long the footer is."""
    return int.from_bytes(data[-8:-4], "little")


def spoilt_footer(share: float, value: int) -> Callable[[bytes], bytes]:
    """A byte of the footer is another one."""

    def change(data: bytes) -> bytes:
        at = len(data) - 8 - int(footer(data) * share)
        return altered(data, at, bytes([value]) * 8)

    return change


def packed(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.parquet", data)
    return file.getvalue()


def referenced() -> bytes:
    """A file whose column lies in another file."""
    file = io.BytesIO(good())
    metadata = pq.read_metadata(file)
    metadata.set_file_path("../../etc/passwd")
    out = io.BytesIO()
    metadata.write_metadata_file(out)
    return out.getvalue()


def pictures(**fields: Any) -> Any:
    """A column as Hugging Face writes it."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([dict.fromkeys(("bytes", "path")) | fields] * 6, kind)


NESTED = pa.array([[{"a": 1}]] * 6)
PARQUET = Class(
    "dataset",
    16,
    (
        changed("nothing between the marks", lambda data: b"PAR1" + data[-4:]),
        changed("only a mark", lambda _: b"PAR1"),
        changed("cut off", lambda data: data[:-20]),
        changed("no mark at the end", lambda data: data[:-4] + b"PAR2"),
        changed("a footer of 2 GiB", lambda data: altered(data, len(data) - 8, b"\xff\xff\xff\x7f")),
        changed("a footer of nothing", lambda data: altered(data, len(data) - 8, bytes(4))),
        changed("a footer of ones", lambda data: data[: -8 - footer(data)] + b"\xff" * footer(data) + data[-8:]),
        changed("a footer of zeros", lambda data: data[: -8 - footer(data)] + bytes(footer(data)) + data[-8:]),
        changed("a byte of the footer's schema", spoilt_footer(0.98, 0xEE)),
        changed("pages of ones", lambda data: altered(data, 4, b"\xff" * 60)),
        Case("encrypted", encrypted(False), KIND, "encrypted"),
        Case("columns that are encrypted", encrypted(True), KIND, "arquet"),
        Case("columns in another file", referenced, KIND, "arquet"),
        Case(
            "no rows",
            lambda: written({"x": pa.array([], pa.list_(pa.float32())), "label": pa.array([], pa.int64())}),
            KIND,
            "no example",
        ),
        Case("no columns", lambda: written(pa.table({})), KIND, "no example"),
        Case("files with other columns", lambda: packed(a=good(), b=written({"z": LABELS})), KIND, "other columns"),
        Case("a good and a damaged file", lambda: packed(a=good(), b=good()[:-30]), KIND, "b.parquet"),
        Case(
            "two columns of one name", lambda: written(pa.table([LABELS, LABELS], names=["x", "x"])), KIND, "same name"
        ),
        held("lists of two lengths", "differ in length", columns={"x": [*ROWS[:5], [1.0]]}),
        held("lists of nothing", "nothing for the model", MISMATCH, columns={"x": [[]] * 6}),
        held("a missing row", "lacks a value", columns={"x": [*ROWS[:5], None]}),
        held("a missing number", "lacks a value", columns={"x": [*ROWS[:5], [1.0, None, 3.0, 4.0]]}),
        held("a missing label", "lacks a value", columns={"label": [*LABELS[:5], None]}),
        held("NaN", "NaN", columns={"x": [*ROWS[:5], [float("nan")] * 4]}),
        held("decimals", "neither numbers", MISMATCH, columns={"x": pa.array([1] * 6, pa.decimal128(10))}),
        held("dates", "neither numbers", MISMATCH, columns={"x": pa.array([1] * 6, pa.timestamp("s"))}),
        held("structures in lists", "neither numbers", MISMATCH, columns={"x": NESTED}),
        held(
            "maps",
            "neither numbers",
            MISMATCH,
            columns={"x": pa.array([[("a", 1)]] * 6, pa.map_(pa.string(), pa.int64()))},
        ),
        held("text", "Text (x)", MISMATCH, columns={"x": ["a"] * 6}),
        held("an extension's type", "neither numbers", MISMATCH, columns={"x": pa.array([b"0" * 16] * 6, pa.uuid())}),
        held("pictures that lie elsewhere", "tells where images lie", columns={"x": pictures(path="/etc/passwd")}),
        held("pictures that are none", "decoded", columns={"x": pictures(bytes=b"<svg/>")}),
        held(
            "a picture of ten gigapixels",
            "pixels",
            "dataset-too-large",
            columns={"x": pictures(bytes=png(100_000, 100_000, lines=1))},
        ),
        held("a name of 300 letters", "300", columns={"n" * 300: LABELS}),
    ),
)
