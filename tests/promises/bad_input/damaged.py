"""ONNX files that were cut off, or in which bytes were changed: each at a place that has a name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from tests.promises.bad_input.case import Case, Class, altered, from_zoo
from tests.zoo import models
from tests.zoo.graphs import network, saved

KIND = "model-malformed"
EXPORTS = Path(__file__).parents[2] / "worker" / "exports"
NO_ONNX, NO_SHAPE = "no ONNX model", "need"


def cut(name: str, share: float) -> Case:
    """A real export, cut off."""

    def make() -> bytes:
        data = (EXPORTS / f"{name}.onnx").read_bytes()
        return data[: max(int(len(data) * share), 1)]

    return Case(f"{name} cut off at {share:.1%}", make, KIND, "again")


def changed(name: str, change: Callable[[bytes], bytes], says: str = NO_ONNX) -> Case:
    """A small model with some of its bytes changed."""
    return Case(name, lambda: change(models.good()), KIND, says)


def said(name: str, change: Callable[[onnx.ModelProto], object], says: str) -> Case:
    """A small model that was changed and written again."""

    def make() -> bytes:
        model = network()
        change(model)
        return saved(model)

    return Case(name, make, KIND, says)


def flipped(sign: bytes, offset: int, mask: int) -> Callable[[bytes], bytes]:
    """Bits flipped in the byte that lies so far from where these bytes begin."""

    def change(data: bytes) -> bytes:
        at = data.index(sign) + offset
        return altered(data, at, bytes([data[at] ^ mask]))

    return change


def first_weights(model: onnx.ModelProto) -> Any:
    return model.graph.initializer[0]


ONNX = Class(
    "model",
    40,
    (
        *(cut("resnet-legacy17", share) for share in (0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.9999)),
        *(cut("mlp-dynamo", share) for share in (0.02, 0.2, 0.4, 0.6, 0.8, 0.98)),
        # Its first byte is the tag of the IR version, the second the version.
        changed("a tag of field 0", lambda data: b"\x00" + data[1:]),
        changed("a tag of type 6", lambda data: b"\x0e" + data[1:]),
        changed("a group that does not end", lambda data: b"\x0b" + data),
        changed("a group that did not begin", lambda data: b"\x0c" + data),
        changed("a number of eleven bytes", lambda data: b"\x08" + b"\xff" * 11 + data[2:]),
        changed("a number that does not end", lambda data: data + b"\x08\x80"),
        changed("a field that is longer than the file", lambda data: data + b"\x3a\xff\xff\xff\x7f"),
        changed("a field of 2^63 bytes", lambda data: data + b"\x3a" + b"\xff" * 8 + b"\x7f"),
        changed("zeros behind", lambda data: data + bytes(8)),
        changed("text before", lambda data: b"onnx\n" + data),
        changed("the first byte missing", lambda data: data[1:], "no network"),
        changed("line ends of another system", lambda data: data.replace(b"\n", b"\r\n")),
        changed("bytes above 127 replaced, as text editors do", lambda data: data.decode("utf-8", "replace").encode()),
        changed("the bits of the graph's tag", flipped(b"network", -2, 0xFF)),
        changed("the length of the graph's name", flipped(b"network", -1, 0x70)),
        changed("the length of an operator's name", flipped(b"Gemm", -1, 0x40)),
        changed("all bits of an operator's name", lambda data: data.replace(b"Gemm", b"\xb8\x9a\x92\x92"), "UTF-8"),
        changed("the graph twice", lambda data: data + data, "multiple times"),
        said("weights with a byte too many", lambda m: setattr(first_weights(m), "raw_data", bytes(97)), NO_SHAPE),
        said("weights with a byte missing", lambda m: setattr(first_weights(m), "raw_data", bytes(95)), NO_SHAPE),
        said("weights of another type", lambda m: setattr(first_weights(m), "data_type", 11), NO_SHAPE),
        said("weights without a type", lambda m: setattr(first_weights(m), "data_type", 0), "type 0"),
        said("an operand that is nowhere", lambda m: m.graph.node[0].input.__setitem__(0, "z"), "z"),
        said("a node without operands", lambda m: m.graph.node[0].ClearField("input"), "input"),
        said("no version", lambda m: m.ClearField("ir_version"), "no network"),
        *from_zoo(models.REFUSED, KIND),
    ),
)
