"""Tiny networks whose answers are known by arithmetic: weights set by hand, or few enough to compute with numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from worker.formats.models import read_onnx

Weights = dict[str, NDArray[Any]]
Shape = Sequence[int | str | None]


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node, its operands and results given as words."""
    return helper.make_node(operator, inputs.split(), outputs.split(), name=outputs.split()[0], **attributes)


def net(nodes: list[NodeProto], weights: Weights, inputs: Shape, outputs: Shape, opset: int = 18) -> bytes:
    """A model from `x` to `y`, both float32, as an exporter would write it."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def checked(model: bytes) -> tuple[bytes, str]:
    """What `Network` takes: the model as the reader hands it on, and the name of its class output."""
    read = read_onnx(model)
    return read.data, read.output


def f32(array: Any) -> NDArray[np.float32]:
    return np.asarray(array, np.float32)


def noise(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def one_each(units: int) -> bytes:
    """Example j, row j of the identity, needs unit j and no other: class 1 if it is kept, 0 if not. So A(f) = 1 - f."""
    nodes = [
        node("Gemm", "x hidden.weight", "h", transB=1),
        node("Relu", "h", "r"),
        node("Gemm", "r out.weight out.bias", "y", transB=1),
    ]
    weights = {
        "hidden.weight": f32(np.eye(units)),
        "out.weight": f32([[0] * units, [1] * units]),
        "out.bias": f32([0.5, 0]),
    }
    return net(nodes, weights, ["batch", units], ["batch", 2])


def votes(right: int, wrong: int) -> bytes:
    """All units are on; some vote for class 1, the others for class 0, and class 1 wins by a majority of one or more.

    Of k units kept, the number that vote right is hypergeometric.
    """
    units = right + wrong
    nodes = [
        node("MatMul", "x hidden", "h"),
        node("Relu", "h", "r"),
        node("MatMul", "r out", "z"),
        node("Add", "z bias", "y"),
    ]
    weights = {
        "hidden": f32(np.ones((1, units))),
        "out": f32([[0, 1]] * right + [[1, 0]] * wrong),
        "bias": f32([0.5, 0]),
    }
    return net(nodes, weights, ["batch", 1], ["batch", 2])


def dead_unit() -> bytes:
    """Unit 2 of four never fires, whatever the input, though much hangs on it."""
    nodes = [
        node("Gemm", "x w b", "h"),
        node("Relu", "h", "r"),
        node("Gemm", "r v", "y"),
    ]
    weights = {"w": noise(1, 3, 4), "b": f32([0, 0, -1000, 0]), "v": noise(2, 4, 3) * f32([[1], [1], [1e6], [1]])}
    return net(nodes, weights, ["batch", 3], ["batch", 3])


def linear() -> bytes:
    """One layer, which is the classifier: no site."""
    return net([node("Gemm", "x w", "y")], {"w": noise(1, 4, 3)}, ["batch", 4], ["batch", 3])


HEAD = [node("GlobalAveragePool", "last", "g"), node("Flatten", "g", "flat"), node("Gemm", "flat head", "y")]


def conv_net(behind: list[NodeProto], weights: Weights | None = None, batch: int | str = "batch", **more: Any) -> bytes:
    """A convolution to `c` of 4 channels, what is behind it up to `last`, then a global pool and a classifier."""
    nodes = [node("Conv", "x conv.weight conv.bias", "c"), *behind, *HEAD]
    own = {"conv.weight": noise(1, 4, 2, 3, 3), "conv.bias": noise(2, 4), "head": noise(3, 4, 3)}
    return net(nodes, {**own, **(weights or {})}, [batch, 2, 8, 8], [batch, 3], **more)


BATCH_NORM = {"scale": f32([1, 2, 0.5, 1]), "shift": noise(4, 4), "mu": noise(5, 4), "var": f32([1, 0.5, 2, 1])}
SECOND = {"conv2.weight": noise(6, 4, 4, 1, 1)}


def two_convs(between: list[NodeProto], weights: Weights | None = None, **more: Any) -> bytes:
    """Two convolutions, the second from `a`: its input is where a mask on the first must have come."""
    return conv_net([*between, node("Conv", "a conv2.weight", "last")], {**SECOND, **(weights or {})}, **more)


def fixed_batch(size: int) -> bytes:
    """A network that takes so many examples at a time, and no other number."""
    return two_convs([node("Relu", "c", "a")], batch=size)


def residual() -> bytes:
    """A convolution with a way past it. The branch is masked before the addition, the stem wherever it is seen."""
    branch = [
        node("Relu", "c", "r"),
        node("Conv", "r branch.weight", "b"),
        node("BatchNormalization", "b scale shift mu var", "n"),
        node("Add", "n r", "sum"),
        node("Relu", "sum", "s"),
        node("Conv", "s conv2.weight", "last"),
    ]
    return conv_net(branch, {"branch.weight": noise(7, 4, 4, 1, 1), **BATCH_NORM, **SECOND})


RELU_MAX = [node("Relu", "c", "r"), node("MaxPool", "r", "a", kernel_shape=[2, 2])]


def first_activation() -> bytes:
    """What the first site of `two_convs` with a Relu holds."""
    model = onnx.load_model_from_string(two_convs([node("Relu", "c", "a")]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, None))
    return bytes(model.SerializeToString())


def wide(units: int) -> bytes:
    """An MLP of two inputs with one very wide layer: eight bytes of activations for each of its units."""
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")]
    weights = {"w": np.zeros((1, units), np.float32), "v": np.zeros((units, 2), np.float32)}
    return net(nodes, weights, ["batch", 1], ["batch", 2])


def quantised_at_run_time() -> bytes:
    """A network whose scales come from all examples of a batch together."""
    nodes = [
        node("DynamicQuantizeLinear", "x", "q scale zero"),
        node("DequantizeLinear", "q scale zero", "d"),
        node("Gemm", "d w", "h"),
        node("Relu", "h", "r"),
        node("Gemm", "r v", "y"),
    ]
    return net(nodes, {"w": noise(1, 3, 4), "v": noise(2, 4, 2)}, ["batch", 3], ["batch", 2])


def mixing() -> bytes:
    """A network that subtracts the mean of its batch."""
    nodes = [
        node("Gemm", "x w", "h"),
        node("ReduceMean", "h first", "m", keepdims=1),
        node("Sub", "h m", "s"),
        node("Relu", "s", "r"),
        node("Gemm", "r v", "y"),
    ]
    weights = {"w": noise(1, 3, 4), "v": noise(2, 4, 2), "first": np.array([0])}
    return net(nodes, weights, ["batch", 3], ["batch", 2])


def tall(size: int) -> bytes:
    """A small network that spreads each of two channels over so many pixels: eight bytes each."""
    nodes = [
        node("ConvTranspose", "x up.weight", "c", kernel_shape=[size, 1]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "g"),
        node("Flatten", "g", "flat"),
        node("Gemm", "flat head", "y"),
    ]
    grow = node("Resize", "x roi scales", "big")
    weights = {"up.weight": f32(np.ones((1, 2, 1, 1))), "head": noise(2, 2, 3), "scales": f32([1, 1, size, 1])}
    nodes[0] = node("ConvTranspose", "big up.weight", "c")
    grow.input[1] = ""
    return net([grow, *nodes], weights, ["batch", 1, 1, 1], ["batch", 3])
