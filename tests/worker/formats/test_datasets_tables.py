"""Datasets as tables: parquet and CSV, their columns, labels, splits, and what is refused."""

import io
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worker.formats.reading import looked_at, refused, taken, wanted
from tests.worker.formats.test_datasets_images import PIXELS, encoded

ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)
CLASSES = [0, 1, 2, 0, 1, 2]
CSV = "a,b,label\n1,2.5,cat\n3,4,dog\n5,6e1,cat\n"


def parquet(columns: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file, **how)
    return file.getvalue()


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/") + ".parquet", data)
    return file.getvalue()


LISTS = {"x": ROWS.tolist(), "label": CLASSES}


@pytest.mark.parametrize("groups", [2, 4, 100])
def test_lists_of_parquet_are_rows(groups: int) -> None:
    """Whatever the row groups."""
    found, made = taken(parquet(LISTS, row_group_size=groups), wanted("x", 4))
    np.testing.assert_array_equal(made["x"], ROWS)
    assert made["labels"].tolist() == CLASSES
    assert (found["format"], found["examples"]) == ("parquet", 6)


def test_lists_in_lists_are_axes() -> None:
    """A fixed-size list, and a list of lists, of the shape that the model takes."""
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 4)
    _, made = taken(parquet({"x": fixed, "y": CLASSES}), wanted("x", 4))
    np.testing.assert_array_equal(made["x"], ROWS)
    _, made = taken(parquet({"x": ROWS.reshape(6, 2, 2).tolist(), "y": CLASSES}), wanted("x", 2, 2))
    np.testing.assert_array_equal(made["x"], ROWS.reshape(6, 2, 2))


def test_single_numbers_stand_side_by_side() -> None:
    """Columns in the file's order, but for the labels."""
    columns = {"a": ROWS[:, 0], "target": CLASSES, "b": ROWS[:, 1], "c": ROWS[:, 2]}
    _, made = taken(parquet(columns), wanted("x", 3))
    np.testing.assert_array_equal(made["x"], ROWS[:, :3])
    assert made["labels"].tolist() == CLASSES


@pytest.mark.parametrize("held", ["struct", "bytes"])
def test_images_in_parquet_are_decoded(held: str) -> None:
    """As Hugging Face writes them, and as bare bytes."""
    files = [encoded(picture) for picture in PIXELS]
    images: Any = [{"bytes": file, "path": None} for file in files] if held == "struct" else files
    _, made = taken(parquet({"image": images, "label": [0, 1, 0]}), wanted("pixels", 3, 4, 5))
    np.testing.assert_array_equal(made["pixels"], PIXELS.transpose(0, 3, 1, 2))


def test_words_are_classes_in_alphabetical_order() -> None:
    """Of a dictionary of words too."""
    words = ["dog", "cat", "eel", "cat", "dog", "eel"]
    for column in (pa.array(words), pa.array(words).dictionary_encode()):
        found, made = taken(parquet({"x": ROWS.tolist(), "label": column}), wanted("x", 4))
        assert made["labels"].tolist() == [1, 0, 2, 0, 1, 2]
        assert found["labels"]["names"] == ["cat", "dog", "eel"]


def test_files_named_for_splits() -> None:
    """Of train and test the test is taken unasked, the asked one when asked; shards follow one another."""
    halves = {
        "data__train-00000-of-00002": parquet({"x": ROWS[:2].tolist(), "label": [0, 1]}),
        "data__train-00001-of-00002": parquet({"x": ROWS[2:4].tolist(), "label": [2, 0]}),
        "data__test-00000-of-00001": parquet({"x": ROWS[4:].tolist(), "label": [1, 2]}),
    }
    _, made = taken(zipped(**halves), wanted("x", 4))
    np.testing.assert_array_equal(made["x"], ROWS[4:])
    _, made = taken(zipped(**halves), wanted("x", 4), split="train")
    np.testing.assert_array_equal(made["x"], ROWS[:4])
    detail = refused("dataset-mismatch", zipped(**halves), wanted("x", 4), split="dev")
    assert "train" in detail
    assert "test" in detail


def test_columns_are_named_in_the_config() -> None:
    """Which column is the input, the labels, the weights; one that is not there is named."""
    columns = {"p": ROWS.tolist(), "q": ROWS[::-1].tolist(), "fine": CLASSES, "w": np.ones(6)}
    asked: dict[str, Any] = {"columns": {"x": "q"}, "labels": "fine", "weights": "w"}
    _, made = taken(parquet(columns), wanted("x", 4), **asked)
    np.testing.assert_array_equal(made["x"], ROWS[::-1])
    assert made["weights"].tolist() == [1] * 6
    assert "'rows'" in refused("dataset-mismatch", parquet(columns), wanted("x", 4), columns={"x": "rows"})
    assert "coarse" in refused(
        "dataset-mismatch", parquet(columns), wanted("x", 4), columns={"x": "p"}, labels="coarse"
    )


UNEVEN = {"x": [[1.0, 2.0], [1.0], [1.0, 2.0]], "y": [0, 1, 0]}
HOLLOW = {"x": [[1.0, 2.0], None, [1.0, 2.0]], "y": [0, 1, 0]}
LOST = {"x": [[1.0, 2.0], [1.0, None], [1.0, 2.0]], "y": [0, 1, 0]}
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
POINTED = {"x": pa.array([{"bytes": None, "path": "/etc/passwd"}] * 3, IMAGE), "y": [0, 1, 0]}


@pytest.mark.parametrize(
    ("columns", "axes", "words"),
    [(UNEVEN, (2,), "differ in length"), (HOLLOW, (2,), "'x'"), (LOST, (2,), "'x'"), (POINTED, (3, 4, 5), "Embed")],
)
def test_holes_in_parquet_are_refused(columns: dict[str, Any], axes: tuple[int, ...], words: str) -> None:
    """Lists of other lengths, missing rows and numbers, and images that lie elsewhere."""
    assert words in refused("dataset-malformed", parquet(columns), wanted("x", *axes))


def test_columns_that_nobody_can_feed_are_warned_of() -> None:
    """Structs and dates are left out, and named."""
    columns = {**LISTS, "when": pa.array([0] * 6, pa.date32()), "who": [{"a": 1}] * 6}
    found, _ = taken(parquet(columns), wanted("x", 4))
    told = " ".join(found["warnings"])
    assert "when" in told
    assert "who" in told


def test_shards_with_other_columns_are_refused() -> None:
    """They are one table."""
    other = parquet({"x": ROWS.tolist(), "extra": CLASSES})
    assert "b.parquet has other columns than a.parquet" in refused(
        "dataset-malformed", zipped(a=parquet(LISTS), b=other)
    )


@pytest.mark.parametrize("keep", [4, 40, 200, -1, -4, -9])
def test_cut_parquet_is_refused(keep: int) -> None:
    """Wherever it ends."""
    assert "parquet" in refused("dataset-malformed", parquet(LISTS)[:keep])


def test_a_footer_that_lies_of_its_rows_is_refused() -> None:
    """More rows than the pages hold."""
    data = parquet({"x": np.arange(300.0), "y": np.zeros(300, np.int64)})
    lie = data.replace(b"\xd8\x04", b"\xda\x04")  # 300 and 301 as thrift writes them
    assert lie != data
    refused("dataset-malformed", lie, wanted("x"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_with_any_delimiter(delimiter: str) -> None:
    """Numbers into one row of the model, the last column or a label column into classes."""
    found, made = taken(CSV.replace(",", delimiter).encode(), wanted("x", 2))
    assert made["x"].tolist() == [[1, 2.5], [3, 4], [5, 60]]
    assert made["labels"].tolist() == [0, 1, 0]
    assert found["labels"]["names"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("1,2,0\n3,4,1\n5,6,1\n", [0, 1, 1]),
        ("a,class,b\n1,0,2\n3,1,4\n5,1,6\n", [0, 1, 1]),
        (",a,b,y\n0,1,2,0\n1,3,4,1\n2,5,6,1\n", [0, 1, 1]),
        ('"a","b","y, quoted"\r\n1,2,"no, never"\r\n3,4,"yes"\r\n5,6,"yes"\r\n', [0, 1, 1]),
        ("\ufeffa,b,y\n1,2,0\n3,4,1\n5,6,1", [0, 1, 1]),
    ],
    ids=["no header", "labels in the middle", "pandas' row numbers", "quotes and CRLF", "a byte order mark"],
)
def test_csv_as_people_write_it(text: str, labels: list[int]) -> None:
    """Two columns of numbers and one of classes."""
    _, made = taken(text.encode(), wanted("x", 2))
    assert made["x"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert made["labels"].tolist() == labels


@pytest.mark.parametrize("headed", [True, False])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_with_decimal_commas(delimiter: str, headed: bool) -> None:
    """As spreadsheets save it in most of Europe; said, since it is a guess. With a point anywhere, commas are text."""
    rows = ["1,5;-2,25e1;0", "3;4,5;1", "5;60;0"]
    text = "\n".join(["a;b;y", *rows] if headed else rows).replace(";", delimiter)
    found, made = taken(text.encode(), wanted("x", 2))
    assert made["x"].tolist() == [[1.5, -22.5], [3, 4.5], [5, 60]]
    assert made["labels"].tolist() == [0, 1, 0]
    assert any("decimal commas" in each for each in found["warnings"])
    pointed = "a;b;y\n1.5;2;0,1\n3;4;1,1\n"
    assert looked_at(pointed.encode())["labels"]["names"] == ["0,1", "1,1"]


def test_an_excel_workbook_is_refused_as_one() -> None:
    """It is a zip, but not of pictures."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    assert "as CSV" in refused("unsupported-format", file.getvalue())


def test_a_fraction_after_many_whole_numbers_is_kept() -> None:
    """Beyond the block from which types are guessed."""
    rows = ["a,b,y", *[f"{i % 7},1,{i % 2}" for i in range(900_000)], "0.5,1,1"]
    _, made = taken("\n".join(rows).encode(), wanted("x", 2))
    assert made["x"].shape == (900_001, 2)
    assert made["x"][-1, 0] == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a,b,y\n1,2,0\n3,1\n5,6,1\n", "#3"),
        (b"a,b,y\n1,2,0\n,4,1\n5,6,1\n", "'a'"),
        (b"a,a,y\n1,2,0\n3,4,1\n", "'a'"),
        (b"a,b,y\n" + b"1" * 5_000_000 + b",2,0\n", "more than"),
        ("größe,b,y\n1,2,0\n".encode("latin-1"), "UTF-8"),
        (b'a,b,y\n1,2,"0\n3,4,1\n', "a quote is not closed"),
    ],
    ids=["a short row", "an empty cell", "a name twice", "a long line", "not UTF-8", "an open quote"],
)
def test_csv_that_is_none_is_refused(text: bytes, words: str) -> None:
    """With the row, the column or the remedy named."""
    assert words in refused("dataset-malformed", text, wanted("x", 2))


def test_words_are_no_numbers() -> None:
    """A column of words cannot be fed to a network; it is not made into numbers behind anybody's back."""
    data = b"a,b,y\n1,red,0\n3,blue,1\n"
    found = looked_at(data)
    assert found["examples"] == 2
    refused("dataset-mismatch", data, wanted("x", 2))
