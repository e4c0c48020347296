"""Networks that take their examples in unusual ways: several inputs, other types, batches that are not free."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference

from tests.nets import f32, node, noise
from worker.ablation.graft import Clamp
from worker.ablation.network import Network

Axes = Sequence[int | str]
FLOAT, HALF, DOUBLE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE
INT64, BOOL, BYTE = TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT8


def model(
    nodes: list[NodeProto],
    weights: Mapping[str, NDArray[Any]],
    inputs: Mapping[str, tuple[int, Axes]],
    output: tuple[int, Axes] = (FLOAT, ["batch", 3]),
) -> bytes:
    """A model of these inputs, each with its type and shape, to `y`; shapes inferred."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, *each) for name, each in inputs.items()],
        [helper.make_tensor_value_info("y", *output)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(shape_inference.infer_shapes(made, check_type=True, data_prop=True).SerializeToString())


def masked(data: bytes, clamp: Clamp = "zero") -> Network:
    """A network with masks at all of its sites."""
    network = Network(data, "y")
    network.mask([site.name for site in network.sites], clamp)
    return network


MLP = {"w": noise(1, 4, 6), "v": noise(2, 6, 3)}


def mlp(before: list[NodeProto], after: list[NodeProto] | None = None) -> list[NodeProto]:
    """Two layers from `a` to `z`, or to `y` where nothing comes after."""
    end = "y" if after is None else "z"
    return [*before, node("MatMul", "a w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", end), *(after or [])]


def tokens(length: int | str = "length") -> bytes:
    """Ids and a mask of so many tokens, averaged, and a temperature for all: y = mlp(mean of embeddings) * t."""
    before = [
        node("Gather", "table ids", "e"),
        node("Cast", "mask", "m", to=FLOAT),
        node("Unsqueeze", "m last", "wide"),
        node("Mul", "e wide", "kept"),
        node("ReduceMean", "kept middle", "a", keepdims=0),
    ]
    weights = {**MLP, "table": noise(3, 10, 4), "last": np.array([2]), "middle": np.array([1])}
    shape = ["batch", length]
    inputs: dict[str, tuple[int, Axes]] = {"ids": (INT64, shape), "mask": (BOOL, shape), "t": (FLOAT, [])}
    return model(mlp(before, [node("Mul", "z t", "y")]), weights, inputs)


def token_tags(width: int = 6) -> bytes:
    """An answer for each token: float32[batch, length, 3]."""
    weights = {"table": noise(3, 10, 4), "w": noise(1, 4, width), "v": noise(2, width, 3)}
    inputs: dict[str, tuple[int, Axes]] = {"ids": (INT64, ["batch", "length"])}
    output: tuple[int, Axes] = (FLOAT, ["batch", "length", 3])
    return model(mlp([node("Gather", "table ids", "a")]), weights, inputs, output)


def written_in(size: int, last: int = 4) -> bytes:
    """A network that leaves the batch open, and has its size written into a Reshape."""
    before = [node("Reshape", "x target", "a")]
    weights = {**MLP, "target": np.array([size, 4])}
    return model(mlp(before), weights, {"x": (FLOAT, ["batch", 2, last // 2])})


def mixing(batch: int | str = "batch") -> bytes:
    """A network that subtracts the mean of its batch."""
    before = [node("ReduceMean", "x first", "m", keepdims=1), node("Sub", "x m", "c"), node("Add", "c x", "a")]
    weights = {**MLP, "first": np.array([0])}
    return model(mlp(before), weights, {"x": (FLOAT, [batch, 4])}, (FLOAT, [batch, 3]))


def quantised(batch: int | str = "batch") -> bytes:
    """A network whose scale comes from all examples of a batch together."""
    before = [node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "a")]
    return model(mlp(before), MLP, {"x": (FLOAT, [batch, 4])}, (FLOAT, [batch, 3]))


def with_idle_site() -> bytes:
    """Of three layers the second is multiplied by zero before it is added."""
    nodes = mlp(
        [],
        [
            node("MatMul", "r u", "side"),
            node("Relu", "side", "s"),
            node("Mul", "s zero", "nothing"),
            node("MatMul", "nothing v", "more"),
            node("Add", "z more", "y"),
        ],
    )
    weights = {**MLP, "u": noise(4, 6, 6), "zero": f32([0])}
    return model([node("Identity", "x", "a"), *nodes], weights, {"x": (FLOAT, ["batch", 4])})
