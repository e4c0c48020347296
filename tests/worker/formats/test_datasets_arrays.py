"""What the reader promises of named arrays: many inputs, splits, single values, and .safetensors as .npz."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from tests.worker.formats.reading import looked_at, refused, taken, wanted
from tests.zoo.arrays import npz

N = 6
IDS = np.arange(N * 3).reshape(N, 3)
PICTURES = np.arange(N * 4, dtype=np.float32).reshape(N, 1, 2, 2)
LABELS = np.arange(N) % 2
CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}


def safetensors(**arrays: Any) -> bytes:
    """A file as the library of that name writes it."""
    header: dict[str, Any] = {"__metadata__": {"made": "here"}}
    body = b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        offsets = [len(body), len(body) + len(raw)]
        header[name] = {"dtype": CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
        body += raw
    return headed(header, body)


def headed(header: Any, body: bytes = b"") -> bytes:
    """A .safetensors file with any header."""
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + body


WRITERS = pytest.mark.parametrize("write", [npz, safetensors], ids=["npz", "safetensors"])


@WRITERS
def test_several_inputs_are_aligned_and_in_the_models_order(write: Any) -> None:
    """Each input begins at a multiple of 64 bytes, as the model lists them, whatever the file's order."""
    data = write(y=LABELS, pictures=PICTURES, ids=IDS)
    found, made = taken(data, wanted("ids", 3, dtype="int32"), wanted("pictures", 1, 2, 2))
    assert [each["name"] for each in found["inputs"]] == ["ids", "pictures"]
    assert (made["ids"] == IDS).all()
    assert made["ids"].dtype == np.int32
    assert (made["pictures"] == PICTURES).all()
    assert made["labels"].tolist() == LABELS.tolist()


@WRITERS
def test_a_split_is_chosen_by_name(write: Any) -> None:
    """Arrays x_train, x_test and the like are splits: the one asked for is read, unasked the test split."""
    data = write(x_train=PICTURES, y_train=LABELS, x_test=PICTURES[:2] + 1, y_test=LABELS[:2])
    assert looked_at(data)["splits"] == {"train": 6, "test": 2}
    found, made = taken(data, wanted("x", 1, 2, 2), split="train")
    assert (found["examples"], found["warnings"]) == (6, [])
    assert (made["x"] == PICTURES).all()
    found, made = taken(data, wanted("x", 1, 2, 2))
    assert found["examples"] == 2
    assert "'test' was read" in found["warnings"][0]
    assert "train, test" in refused("dataset-mismatch", data, wanted("x", 1, 2, 2), split="validation")


def test_splits_may_come_first_and_others_beside_them() -> None:
    """train_images is as good as images_train; an array of no split is told."""
    data = npz(
        train_images=PICTURES, train_labels=LABELS, val_images=PICTURES, val_labels=LABELS, mean=np.zeros(3, np.float32)
    )
    found, made = taken(data, wanted("x", 1, 2, 2), split="val")
    assert found["splits"] == {"train": 6, "val": 6}
    assert "mean: of no split" in found["warnings"][0]
    assert made["labels"].tolist() == LABELS.tolist()


def test_one_array_that_ends_like_a_split_is_none() -> None:
    """x beside x_test means x; the rest is ignored, and said."""
    found, made = taken(npz(x=PICTURES, y=LABELS, x_test=PICTURES[:3]), wanted("x", 1, 2, 2))
    assert found["splits"] is None
    assert len(made["x"]) == N
    assert "x_test" in found["warnings"][0]


def test_without_splits_the_name_is_only_recorded() -> None:
    """A dataset that is one split by itself is read whole."""
    assert taken(npz(x=PICTURES, y=LABELS), wanted("x", 1, 2, 2), split="test")[0]["examples"] == N


@WRITERS
def test_an_input_without_axes_takes_one_value(write: Any) -> None:
    """A scalar comes from an array without axes, or from one that says the same for every example."""
    rate = {"name": "rate", "dtype": "int64", "shape": []}
    for value in (np.array(16000), np.full(N, 16000)):
        found, made = taken(write(x=IDS.astype(np.float32), y=LABELS, rate=value), wanted("x", 3), rate)
        assert found["inputs"][1] == {"name": "rate", "dtype": "int64", "shape": []}
        assert made["rate"] == 16000
    told = refused(
        "dataset-mismatch", write(x=IDS.astype(np.float32), y=LABELS, rate=np.arange(N)), wanted("x", 3), rate
    )
    assert "one value 'rate'" in told
    assert "rate" in refused("dataset-mismatch", write(x=IDS.astype(np.float32), y=LABELS), wanted("x", 3), rate)


def test_lengths_must_agree() -> None:
    """The arrays that differ are named with their lengths."""
    assert "x has 6 examples and y has 5" in refused("dataset-malformed", npz(x=PICTURES, y=LABELS[1:]))
    assert "ids has 6 examples and labels has 5" in refused("dataset-malformed", npz(ids=IDS, labels=LABELS[1:]))
    assert "b has 5" in refused("dataset-malformed", npz(a=PICTURES, b=PICTURES[1:]))


def test_text_is_for_labels_alone() -> None:
    """Labels may be words, in either of numpy's ways; other text is not fed, and that is said."""
    words = np.array(["cat", "dog"] * 3)
    for labels in (words, words.astype("S3"), words[:, None]):
        found, made = taken(npz(x=PICTURES, y=labels, names=words), wanted("x", 1, 2, 2))
        assert made["labels"].tolist() == [0, 1] * 3
        assert found["labels"]["names"] == ["cat", "dog"]
        assert "names" in found["warnings"][0]


def test_names_that_nobody_can_write_are_refused() -> None:
    """A column's name goes into answers and databases, so it must be text, and short."""
    assert "characters" in refused("dataset-malformed", npz(**{"x": PICTURES, "y" * 201: LABELS}))
    assert "characters" in refused("dataset-malformed", safetensors(**{"x\0": PICTURES, "y": LABELS}))
    words = np.array(["\ud800", "b"] * 3)
    assert "names no class" in refused("dataset-malformed", npz(x=PICTURES, y=words))


def of_x(**changes: Any) -> Any:
    return {"x": {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32], **changes}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack("<Q", 2**31) + b'{"x": 1}', "2,147,483,648 bytes"),
        (headed(b"{" * 10_000), "cannot be read"),
        (headed(b'{"x": NaN}'), "cannot be read"),
        (headed(b'{"x": ' + b"9" * 5000 + b"}"), "cannot be read"),
        (headed(b'{"x": {}, "x": {}}'), "twice"),
        (headed(of_x(), bytes(31)), "bytes 0 to 32 of 31"),
        (headed(of_x(data_offsets=[8, 0]), bytes(32)), "x is F32"),
        (headed(of_x(shape=[2**40, 2**12]), bytes(32)), "are said"),
        (headed(of_x(shape=[-4, 2]), bytes(32)), "cannot be read"),
        (headed(of_x(shape=[True, 8]), bytes(32)), "cannot be read"),
        (headed(of_x(dtype="BF16", data_offsets=[0, 16]), bytes(16)), "float32"),
        (headed({}), "no array"),
        (headed(of_x(shape=[], data_offsets=[0, 4]), bytes(4)), "no array"),
    ],
)
def test_bad_safetensors_are_refused(data: bytes, words: str) -> None:
    """Nothing of the header is believed that the file does not hold."""
    assert words in refused("dataset-malformed", data)


def test_nan_in_safetensors_is_refused_with_its_example() -> None:
    """As in any other format."""
    bad = PICTURES.copy()
    bad[4] = np.inf
    assert "example 4" in refused("dataset-malformed", safetensors(x=bad, y=LABELS))


def test_an_example_larger_than_memory_is_refused() -> None:
    """A few bytes that unpack to one example of a gigabyte are not unpacked."""
    data = npz(x=np.zeros((1, 2**28), np.uint8), y=np.zeros(1, int))
    assert taken(data, wanted("x", 2**28, dtype="uint8"))[0]["examples"] == 1
    data = npz(x=np.zeros((1, 2**28 + 1), np.uint8), y=np.zeros(1, int))
    assert "268,435,457 bytes" in refused("dataset-too-large", data)
