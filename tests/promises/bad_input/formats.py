"""Files that are something else than they were uploaded as, and weights or programs that are no network."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile

from tests.promises.bad_input.case import Case, Class, from_zoo
from tests.promises.misdeeds import npz, png, state_dict, zipped
from tests.zoo import datasets, models

KIND = "unsupported-format"
STATE = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n."
WHOLE = b"\x80\x02cshop.nets\nLeNet\nq\x00)\x81q\x01}q\x02X\x08\x00\x00\x00trainingq\x03\x89sb."


def tarred(name: str, data: bytes) -> bytes:
    """A tar of one file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def saved(pickled: bytes) -> bytes:
    """What torch.save writes: a pickle and its storages in a zip."""
    return zipped({"archive/data.pkl": pickled, "archive/version": b"3\n", "archive/data/0": bytes(400)})


def other(name: str, data: bytes, says: str) -> Case:
    """Bytes of another format."""
    return Case(name, lambda: data, KIND, says)


# A model that is no model: each says what the file is instead.
MODELS = Class(
    "model",
    12,
    (
        other("a picture", png(4, 4), "picture"),
        other("a photograph", b"\xff\xd8\xff\xe0" + bytes(60), "picture"),
        other("a dataset", npz(x=[1.0], y=[1]), "dataset"),
        other("an array", b"\x93NUMPY\x01\x00" + bytes(80), "array"),
        other("parquet", b"PAR1" + bytes(60) + b"PAR1", "parquet"),
        other("a web page", b"\n<!DOCTYPE html><html><title>404</title>", "web page"),
        other("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        other("OpenVINO's XML", b"<?xml version='1.0'?><net></net>", "OpenVINO"),
        other("a language model's weights", b"GGUF\x03" + bytes(60), "GGUF"),
        other("gzip", gzip.compress(models.good()), "unpack"),
        other("bzip2", bz2.compress(models.good()), "unpack"),
        other("xz", lzma.compress(models.good()), "unpack"),
        other("7z", b"7z\xbc\xaf\x27\x1c" + bytes(60), "unpack"),
        other("a tar", tarred("model.onnx", models.good()), "tar archive"),
        other("a zip without a model", zipped({"cat/1.png": b""}), "cat/1.png"),
        other("a zip of nothing", zipped({}), "empty"),
        other("a zip in a zip", zipped({"m.onnx": models.good(), "n.zip": zipped({})}), "archive in the archive"),
        *from_zoo(models.REFUSED, KIND),
    ),
)
# Weights without a network, and programs: never loaded, and the answer says how to export.
PICKLES = Class(
    "model",
    10,
    (
        *(
            other(f"a pickle of protocol {number}", bytes([128, number]) + b"cposix\nsystem\n(S'id'\ntR.", "skl2onnx")
            for number in (2, 3, 4, 5)
        ),
        other("a pickle of protocol 4 in frames", models.pickle_protocol_4(), "torch.onnx.export"),
        other("a state dict in a zip", saved(STATE), "state dict"),
        other("a state dict of someone's", state_dict(), "torch.onnx.export"),
        other("a whole module", saved(WHOLE), "shop.nets.LeNet"),
        other("an old file of torch.save", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "pickle"),
        other("joblib's file", b"\x80\x04\x95\x20\x00\x00\x00\x00\x00\x00\x00\x8c\x08sklearn.", "skl2onnx"),
        other("safetensors", safetensors(), "safetensors.torch.load_file"),
        other("Keras's HDF5", models.hdf5(), "tf2onnx"),
        other("a .keras file", zipped({"config.json": b"{}", "model.weights.h5": b""}), "Keras"),
        other("TensorFlow's SavedModel", zipped({"net/saved_model.pb": b"", "net/variables/x": b""}), "SavedModel"),
        other("TensorFlow Lite", b"\x1c\x00\x00\x00TFL3" + bytes(20), "tflite"),
    ),
)
# A dataset that is no dataset.
DATASETS = Class(
    "dataset",
    8,
    (
        other("a model", models.good(), ".npz"),
        other("a pickle", models.pickle_protocol_4(), ".npz"),
        other("a zip of pickles", zipped({"data.pkl": models.pickle_protocol_4()}), "pickle"),
        other("a state dict", state_dict(), "pickle"),
        other("a picture", png(4, 4), ".npz"),
        other("HDF5", models.hdf5(), ".npz"),
        other("xz", lzma.compress(datasets.good()), ".npz"),
        other("an SQLite file", b"SQLite format 3\0" + bytes(84), ".npz"),
        other("a program", b"\x7fELF\x02\x01\x01" + bytes(57), ".npz"),
        other("text in UTF-16", "a,b\n1,2\n".encode("utf-16"), ".npz"),
        *from_zoo(datasets.REFUSED, KIND),
    ),
)


def spoilt(data: bytes, at: bytes, offset: int, new: bytes) -> bytes:
    """An archive with other bytes in its first entry that begins so."""
    place = data.index(at) + offset
    return data[:place] + new + data[place + len(new) :]


def encrypted(data: bytes) -> bytes:
    """An archive whose members all say that they are encrypted."""
    made = bytearray(data)
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = made.find(sign)
        while place >= 0:
            made[place + offset] |= 1
            place = made.find(sign, place + 4)
    return bytes(made)


def deflated(members: dict[str, bytes]) -> bytes:
    """A zip whose members are packed."""
    return zipped(members, zipfile.ZIP_DEFLATED)
