"""What is uploaded as a model is told apart by its bytes, and what is none is refused with what to do."""

import gzip
import io
import json
import struct
import zipfile

import pytest

from tests.zoo import models
from worker.formats.kinds import kind_of
from worker.formats.refusals import Refused


def archive(*names: str, **contents: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in names:
            zipped.writestr(name, contents.get(name.rpartition("/")[2].partition(".")[0], b""))
    return file.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


STATE = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n."
WHOLE = b"\x80\x02cshop.nets\nLeNet\nq\x00)\x81q\x01}q\x02X\x08\x00\x00\x00trainingq\x03\x89sb."
TORCH = ("archive/data.pkl", "archive/version", "archive/data/0")
EXPORTING = ("model.eval()", "torch.onnx.export(")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (models.good(), "onnx"),
        (b"\x12\x07pytorch", "onnx"),
        (archive("net.onnx", "net.data"), "bundle"),
        (archive("m/archive_format", "m/models/model.json", "m/data/sample_inputs/model.pt"), "pt2"),
        (archive("m/models/other.json"), "pt2"),
        (archive("serialized_exported_program.json", "version"), "pt2"),
        (archive("net/data.pkl", "net/constants.pkl", "net/code/__torch__.py"), "torchscript"),
    ],
)
def test_models_are_told_apart(data: bytes, kind: str) -> None:
    """Four kinds are taken, and the file is left at its start."""
    file = io.BytesIO(data)
    file.read(3)
    assert kind_of(file) == kind
    assert file.tell() == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (archive(*TORCH, data=STATE), ("state dict", "load_state_dict", *EXPORTING)),
        (archive(*TORCH, data=WHOLE), ("whole module (shop.nets.LeNet)", *EXPORTING)),
        (models.pickle_protocol_4(), ("pickle", "skl2onnx", *EXPORTING)),
        (safetensors(), ("safetensors", "load_state_dict", *EXPORTING)),
        (archive("x.npy", "y.npy"), ("dataset",)),
        (archive("config.json", "model.weights.h5"), ("Keras", "tf2onnx")),
        (archive("net/saved_model.pb", "net/variables/x"), ("SavedModel", "tf2onnx")),
        (archive(), ("it is empty",)),
        (archive("cat/1.png"), ("no .onnx file", "cat/1.png")),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ("git lfs pull",)),
        (b"\n<!DOCTYPE html><html>", ("web page",)),
        (b"\x1c\x00\x00\x00TFL3" + bytes(9), ("tflite",)),
        (bytes(257) + b"ustar" + bytes(250), ("tar archive",)),
        (gzip.compress(models.good()), ("unpack",)),
        (b"", ("empty",)),
    ],
)
def test_others_are_refused_with_what_to_do(data: bytes, words: tuple[str, ...]) -> None:
    """The refusal names what the file is, and the lines that make a model of it."""
    with pytest.raises(Refused) as refused:
        kind_of(io.BytesIO(data))
    assert refused.value.kind == "unsupported-format"
    assert all(word in refused.value.detail for word in words), refused.value.detail


def test_a_damaged_zip_is_refused() -> None:
    """A zip without its table of contents is damaged, whatever was in it."""
    with pytest.raises(Refused) as refused:
        kind_of(io.BytesIO(archive("net.onnx")[:-20]))
    assert refused.value.kind == "model-malformed"
