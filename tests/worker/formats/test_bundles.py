"""A zip of a model and its data files becomes one model, and names in it can't lead anywhere else."""

import io
import stat
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.zoo.graphs import network, saved
from worker.formats.bundles import unbundled
from worker.formats.kinds import kind_of
from worker.formats.models import read_onnx
from worker.formats.refusals import Refused

LARGE = 300 * 1024**2


def apart(**entries: str) -> tuple[bytes, bytes]:
    """A network, and the data file in which its weights lie; `entries` are put over those of the first weights."""
    model, data = network(), bytearray()
    for tensor in model.graph.initializer:
        told = {"location": "net.data", "offset": str(len(data)), "length": str(len(tensor.raw_data))}
        told |= entries if tensor.name == "a" else {}
        data += tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in told.items():
            tensor.external_data.add(key=key, value=value)
    return saved(model), bytes(data)


def packed(members: Iterable[tuple[Any, bytes]], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    file.seek(0)
    return file


def refusal(file: io.BytesIO) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        unbundled(file)
    return refused.value.kind, refused.value.detail


@pytest.mark.parametrize("folder", ["", "export/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_model_is_whole_again(folder: str, method: int) -> None:
    """What comes out is the model as it would have been in one file, and is read as such."""
    model, data = apart()
    file = packed([(f"{folder}net.data", data), (f"{folder}net.onnx", model), ("README.md", b"hello")], method)
    assert kind_of(file) == "bundle"
    whole = unbundled(file)
    assert onnx.load_model_from_string(whole) == network()
    assert read_onnx(whole).found["parameters"] == 4 * 6 + 6 * 3


def test_a_folder_that_was_lost_is_no_matter() -> None:
    """Files uploaded together have no folders; the model may still name one."""
    model, data = apart(location="weights/net.data")
    assert onnx.load_model_from_string(unbundled(packed([("net.onnx", model), ("net.data", data)]))) == network()


def test_weights_in_constants_come_back_too() -> None:
    """Data of a Constant node may lie outside as well, and the same bytes may serve twice."""
    model, data = apart()
    parsed = onnx.load_model_from_string(model)
    shared = TensorProto.FromString(parsed.graph.initializer[0].SerializeToString())
    node = parsed.graph.node.add(op_type="Constant", output=["again"])
    node.attribute.append(onnx.helper.make_attribute("value", shared))
    whole = onnx.load_model_from_string(unbundled(packed([("net.onnx", saved(parsed)), ("net.data", data)])))
    [again] = [node.attribute[0].t for node in whole.graph.node if node.op_type == "Constant"]
    np.testing.assert_array_equal(numpy_helper.to_array(again), numpy_helper.to_array(network().graph.initializer[0]))


@pytest.mark.parametrize(
    "location", ["../net.data", "/etc/passwd", "x/../../net.data", "..\\net.data", "C:/net.data", "", "a\0b"]
)
def test_a_location_outside_is_refused(location: str) -> None:
    """No location leads out of the zip."""
    model, data = apart(location=location)
    kind, detail = refusal(packed([("net.onnx", model), ("net.data", data)]))
    assert kind == "external-data-forbidden"
    assert "'a'" in detail


@pytest.mark.parametrize(
    ("entries", "kind", "words"),
    [
        ({"location": "other.data"}, "external-data-forbidden", "'net.data'"),
        ({"location": "net.onnx"}, "external-data-forbidden", "not among"),
        ({"offset": "-4"}, "model-malformed", "'-4'"),
        ({"offset": "9999"}, "model-malformed", "9,999"),
        ({"length": "999999"}, "model-malformed", "another export"),
        ({"length": "1e9"}, "model-malformed", "'1e9'"),
        ({"offset": "4", "length": "96"}, "model-malformed", "in part"),
    ],
)
def test_false_places_are_refused(entries: dict[str, str], kind: str, words: str) -> None:
    """Bytes that are not there, or not this tensor's own, are refused, with what is wrong."""
    model, data = apart(**entries)
    found, detail = refusal(packed([("net.onnx", model), ("net.data", data)]))
    assert found == kind
    assert words in detail


def test_too_few_bytes_are_refused() -> None:
    """A tensor whose piece of the file is shorter than its shape is refused when the model is read."""
    model, data = apart(length="4")
    with pytest.raises(Refused, match="need 96 bytes and bring 4"):
        read_onnx(unbundled(packed([("net.onnx", model), ("net.data", data)])))


def symbolic_link() -> zipfile.ZipInfo:
    link = zipfile.ZipInfo("net.data")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return link


@pytest.mark.parametrize(
    ("members", "kind", "words"),
    [
        ([(symbolic_link(), b"/etc/passwd")], "external-data-forbidden", "link"),
        ([("more.zip", b"PK")], "unsupported-format", "archive in the archive"),
        ([("b/second.onnx", b"")], "unsupported-format", "2: 'net.onnx', 'b/second.onnx'"),
        ([("old.data", bytes(9))], "unsupported-format", "'old.data'"),
    ],
)
def test_odd_members_are_refused(members: list[tuple[Any, bytes]], kind: str, words: str) -> None:
    """Links, archives, a second model and data that nobody uses are refused by their names."""
    found, detail = refusal(packed([("net.onnx", saved(network())), *members]))
    assert found == kind
    assert words in detail


def test_a_name_twice_is_refused() -> None:
    """Which of two equal names counts would be anybody's guess."""
    data = packed([("net.onnx", saved(network())), ("x.data", b"1"), ("y.data", b"2")]).getvalue()
    kind, detail = refusal(io.BytesIO(data.replace(b"y.data", b"x.data")))
    assert (kind, "twice" in detail) == ("model-malformed", True)


def test_bombs_are_refused_by_arithmetic() -> None:
    """Ten tensors that each claim the same 300 MB, which deflate to little, are refused before any is read."""
    model = network()
    for number in range(10):
        tensor = model.graph.initializer.add(name=f"big{number}", data_type=TensorProto.UINT8, dims=[LARGE])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="zeros.data")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("net.onnx", saved(model))
        with archive.open("zeros.data", "w") as opened:
            for _ in range(LARGE // 1024**2):
                opened.write(bytes(1024**2))
    kind, _ = refusal(file)
    assert kind == "model-too-large"


def test_damaged_zips_are_refused() -> None:
    """A zip cut off, or with flipped bytes, is refused as damaged."""
    model, data = apart()
    good = packed([("net.onnx", model), ("net.data", data)]).getvalue()
    for broken in (good[:-30], good[:200], good.replace(good[60:90], bytes(30))):
        assert refusal(io.BytesIO(broken))[0] == "model-malformed"


def test_encrypted_members_are_refused() -> None:
    """What is encrypted is never read."""
    data = bytearray(packed([("net.onnx", saved(network()))]).getvalue())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(io.BytesIO(bytes(data)))[1]
