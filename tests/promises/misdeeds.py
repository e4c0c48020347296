"""Uploads that a caller should not have sent: a function for each misdeed that returns the bytes, or several files'."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from service.examples import paths

MODEL, DATASET = paths("learned")
EXAMPLES = 64
Files = list[tuple[str, bytes]]


def npz(**arrays: Any) -> bytes:
    """A dataset as numpy writes it."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def good() -> dict[str, Any]:
    """A small dataset that fits the model."""
    with np.load(DATASET) as arrays:
        return {"x": arrays["x"][:EXAMPLES], "y": arrays["y"][:EXAMPLES]}


def asks_for_32_gib() -> bytes:
    """A few bytes whose header declares an array of 32 GiB."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (8589934592, 1, 1, 1), }".ljust(117) + b"\n"
    with zipfile.ZipFile(io.BytesIO(npz(**good()))) as archive:
        labels = archive.read("y.npy")
    return zipped({"x.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header, "y.npy": labels})


def zip_bomb() -> bytes:
    """A member that says it holds 64 pictures, and goes on for 64 MiB once it is unpacked."""
    array = io.BytesIO()
    np.save(array, good()["x"])
    labels = io.BytesIO()
    np.save(labels, good()["y"])
    whole = zipped({"x.npy": array.getvalue() + bytes(2**26), "y.npy": labels.getvalue()}, zipfile.ZIP_DEFLATED)
    told, true = len(array.getvalue()), len(array.getvalue()) + 2**26
    return whole.replace(struct.pack("<I", true), struct.pack("<I", told))


def png(width: int, height: int, lines: int | None = None) -> bytes:
    """A black picture that says it is so large; only so many lines are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = zlib.compress(bytes((width + 1) * (height if lines is None else lines)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def image_bomb() -> bytes:
    """A picture of ten billion pixels in a few hundred bytes."""
    return zipped({"cat/1.png": png(100_000, 100_000, lines=1), "dog/2.png": png(28, 28)})


def safetensors_bomb() -> bytes:
    """A header of two gigabytes, as it says, in a file of a few bytes."""
    return struct.pack("<Q", 2**31) + b'{"x": 1}'


def safetensors_beyond() -> bytes:
    """A tensor that lies behind the end of the file."""
    head = json.dumps({"x": {"dtype": "F32", "shape": [64, 1, 28, 28], "data_offsets": [0, 200_704]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(100)


def a_pickle() -> bytes:
    """A pickle that would run a program if anybody loaded it."""
    call = b"\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
    return b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00" + call


def state_dict() -> bytes:
    """What `torch.save(model.state_dict(), ...)` writes: a pickle and its storages in a zip."""
    return zipped({"archive/data.pkl": a_pickle(), "archive/data/0": bytes(400), "archive/version": b"3\n"})


def small_net(nodes: list[Any], weights: dict[str, Any], outputs: list[tuple[str, list[Any]]]) -> onnx.ModelProto:
    """A model of a few nodes over the example's inputs."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def mlp() -> onnx.ModelProto:
    """A network of one hidden layer."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "first"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "second"], ["logits"]),
    ]
    shapes = {"first": (784, 8), "second": (8, 10)}
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return small_net(nodes, weights, [("logits", ["batch", 10])])


def apart(location: str) -> tuple[bytes, bytes]:
    """The network without its first weights, which lie in another file; and that file's bytes."""
    model = mlp()
    weights = model.graph.initializer[0]
    content = weights.raw_data
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        weights.external_data.add(key=key, value=value)
    return model.SerializeToString(), content


def custom_operator() -> bytes:
    """A node of somebody's own library."""
    model = mlp()
    model.graph.node[2].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return bytes(model.SerializeToString())


def no_unit() -> bytes:
    """A linear classifier: nothing lies between its input and its classes."""
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w"], ["logits"])]
    return bytes(
        small_net(nodes, {"w": np.zeros((784, 10), np.float32)}, [("logits", ["batch", 10])]).SerializeToString()
    )


def no_class_output() -> bytes:
    """A network that gives pictures."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    weights = {"w": np.zeros((4, 1, 3, 3), np.float32)}
    return bytes(small_net(nodes, weights, [("y", ["batch", 4, 26, 26])]).SerializeToString())


def flipped() -> bytes:
    """The model with a bit flipped in the length of its graph."""
    data = bytearray(MODEL.read_bytes())
    place = data.index(b"main_graph") - 40
    data[place : place + 30] = bytes(255 - byte for byte in data[place : place + 30])
    return bytes(data)


def one(make: Callable[[], bytes]) -> Callable[[], Files]:
    """A model of one file."""
    return lambda: [("model.onnx", make())]
