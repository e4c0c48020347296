"""Bad input is refused with 4xx and a problem that says what to do; nothing is stored, and the worker lives on."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service import broker
from service.examples import paths
from tests.conftest import wait_until
from tests.stack import EVALUATIONS, Stack, running

MODEL, DATASET = paths("learned")
EXAMPLES = 64


def npz(**arrays: Any) -> bytes:
    """A dataset as numpy writes it."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def good() -> dict[str, Any]:
    """A small dataset that fits the model."""
    with np.load(DATASET) as arrays:
        return {"x": arrays["x"][:EXAMPLES], "y": arrays["y"][:EXAMPLES]}


def asks_for_32_gib() -> bytes:
    """A few bytes whose header declares an array of 32 GiB."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (8589934592, 1, 1, 1), }".ljust(117) + b"\n"
    file = io.BytesIO(npz(**good()))
    with zipfile.ZipFile(file) as archive:
        labels = archive.read("y.npy")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        archive.writestr("y.npy", labels)
    return made.getvalue()


def a_pickle() -> bytes:
    """A pickle that would run a program if anybody loaded it."""
    call = b"\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
    return b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00" + call


def small_net(nodes: list[Any], weights: dict[str, Any], outputs: list[tuple[str, list[Any]]]) -> bytes:
    """A model of a few nodes over the example's inputs."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def no_unit() -> bytes:
    """A linear classifier: nothing lies between its input and its classes."""
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w"], ["logits"])]
    return small_net(nodes, {"w": np.zeros((784, 10), np.float32)}, [("logits", ["batch", 10])])


def no_class_output() -> bytes:
    """A network that gives pictures."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    return small_net(nodes, {"w": np.zeros((4, 1, 3, 3), np.float32)}, [("y", ["batch", 4, 26, 26])])


def flipped() -> bytes:
    """The model with a bit flipped in the length of its graph."""
    data = bytearray(MODEL.read_bytes())
    place = data.index(b"main_graph") - 40
    data[place : place + 30] = bytes(255 - byte for byte in data[place : place + 30])
    return bytes(data)


BAD_MODELS: dict[str, tuple[Callable[[], bytes], int, str, str]] = {
    "truncated": (lambda: MODEL.read_bytes()[:-1000], 422, "model-malformed", "export or upload it again"),
    "bits flipped": (flipped, 422, "model-malformed", "export or upload it again"),
    "a pickle": (a_pickle, 415, "unsupported-format", "torch.onnx.export"),
    "empty": (lambda: b"", 422, "validation-error", "empty"),
    "no unit": (no_unit, 422, "model-unsupported", "Linear"),
    "no class output": (no_class_output, 422, "model-unsupported", "logits"),
}

BAD_DATASETS: dict[str, tuple[Callable[[], bytes], int, str, str]] = {
    "no y": (lambda: npz(x=good()["x"]), 422, "dataset-malformed", "lacks y"),
    "objects": (lambda: npz(**good() | {"y": np.array([{}] * EXAMPLES, object)}), 422, "dataset-malformed", "objects"),
    "asks for 32 GiB": (asks_for_32_gib, 422, "dataset-malformed", "34,359,738,368 bytes"),
    "x of another shape": (lambda: npz(**good() | {"x": good()["x"][:, 0]}), 422, "dataset-mismatch", "[1, 28, 28]"),
    "x of another dtype": (lambda: npz(**good() | {"x": good()["x"].astype("f8")}), 422, "dataset-malformed", "astype"),
    "NaN": (lambda: npz(**good() | {"x": np.full_like(good()["x"], np.nan)}), 422, "dataset-malformed", "NaN"),
    "label 10 of 10 classes": (lambda: npz(**good() | {"y": good()["y"] + 1}), 422, "dataset-mismatch", "label 10"),
    "label -1": (lambda: npz(**good() | {"y": good()["y"] - 1}), 422, "dataset-malformed", "-1"),
    "lengths that differ": (lambda: npz(**good() | {"y": good()["y"][1:]}), 422, "dataset-malformed", "63 labels"),
    "no zip": (lambda: b"label,pixel\n1,2\n", 415, "unsupported-format", "numpy.savez_compressed"),
    "truncated": (lambda: npz(**good())[:-100], 422, "dataset-malformed", "damaged"),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Stack]:
    """One service for all cases: what one of them breaks, the next ones would notice."""
    folder = tmp_path_factory.mktemp("bad")
    with running(folder, f"sqlite:///{folder}/lesion.db", valkey, inspect_wait=90) as stack:
        stack.worker(broker.INSPECTIONS)
        stack.worker(broker.EVALUATIONS)
        yield stack


def post(stack: Stack, model: bytes, dataset: bytes, config: str = "{}") -> Any:
    files = {"model": ("model.onnx", model), "dataset": ("dataset.npz", dataset)}
    return stack.client.post(EVALUATIONS, files=files, data={"config": config})


def files_left(stack: Stack) -> list[str]:
    kept = [path for folder in ("blobs", "scratch") for path in (stack.settings.data / folder).rglob("*")]
    return [path.name for path in kept if path.is_file()]


def assert_refused(stack: Stack, answer: Any, status: int, kind: str, says: str) -> None:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", body
    assert (answer.status_code, body["type"]) == (status, f"/problems/{kind}"), body
    assert says in body["detail"], body
    for noun in ("models", "datasets", "evaluations"):
        assert stack.client.get(f"/v1/{noun}").json()["data"] == [], noun
    wait_until(lambda: files_left(stack) == [], "no file is left")


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_model_is_refused(stack: Stack, name: str) -> None:
    """A model that cannot be scored is refused at the door, together with the dataset that came with it."""
    make, status, kind, says = BAD_MODELS[name]
    assert_refused(stack, post(stack, make(), npz(**good())), status, kind, says)


@pytest.mark.parametrize("name", BAD_DATASETS)
def test_bad_dataset_is_refused(stack: Stack, name: str) -> None:
    """A dataset that cannot be used is refused at the door, together with the model that came with it."""
    make, status, kind, says = BAD_DATASETS[name]
    assert_refused(stack, post(stack, MODEL.read_bytes(), make()), status, kind, says)


@pytest.mark.parametrize(
    "config",
    ["{", "[]", '{"speed": 1}', '{"estimator": "grid", "precision": 0.01}', '{"scope": "layer", "site": "nowhere"}'],
)
def test_bad_config_is_refused(stack: Stack, config: str) -> None:
    """Unknown, contradictory or unreadable config is refused; what was uploaded with it does not stay."""
    assert_refused(stack, post(stack, MODEL.read_bytes(), npz(**good()), config), 422, "validation-error", "")
