"""Operators of other domains: those that are allowed run in onnxruntime, and their shapes are told as they turn out."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from worker.formats import operators
from worker.formats.models import read_onnx

DOMAINS = {"": 17, "com.microsoft": 1, "ai.onnx.ml": 3}
CONSTANTS: dict[str, Any] = {
    "one": np.float32(1),
    "ones": np.ones(1, np.float32),
    "zero": np.uint8(0),
    "level": np.int8(0),
    "first": np.array([0]),
    "whole": np.ones((6, 6), np.uint8),
    "signed": np.ones((6, 6), np.int8),
    "real": np.ones((6, 6), np.float32),
    "six": np.ones(6, np.float32),
    "gates": np.ones((1, 6, 24), np.int8),
    "wide": np.ones((1, 24), np.float32),
    "none": np.zeros((1, 24), np.int8),
    "picture": np.array([0, 6, 1, 1]),
    "row": np.array([0, 6]),
    "line": np.array([0, 1, 6]),
    "head": np.ones((6, 3), np.float32),
    "head12": np.ones((12, 3), np.float32),
}
TO_WHOLE, TO_REAL = "QuantizeLinear x one zero > q", "DequantizeLinear p one zero > g"
PICTURE = ("Reshape q picture > r",)
# From x, float32[batch, 6], to g; each operator of com.microsoft and ai.onnx.ml once.
NETS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "QGemm": ([TO_WHOLE, "ms.QGemm q one zero signed one level - one zero > p", TO_REAL], {}),
    "QGemm to floats": ([TO_WHOLE, "ms.QGemm q one zero signed one level > g"], {"transB": 1}),
    "QLinearAdd": ([TO_WHOLE, "ms.QLinearAdd q one zero q one zero one zero > p", TO_REAL], {}),
    "QLinearMul": ([TO_WHOLE, "ms.QLinearMul q one zero q one zero one zero > p", TO_REAL], {}),
    "QLinearSigmoid": ([TO_WHOLE, "ms.QLinearSigmoid q one zero one zero > p", TO_REAL], {}),
    "QLinearLeakyRelu": ([TO_WHOLE, "ms.QLinearLeakyRelu q one zero one zero > p", TO_REAL], {}),
    "QLinearSoftmax": ([TO_WHOLE, "ms.QLinearSoftmax q one zero one zero > p", TO_REAL], {"opset": 13}),
    "QLinearConcat": ([TO_WHOLE, "ms.QLinearConcat one zero q one zero q one zero > p", TO_REAL], {"axis": 1}),
    "QLinearAveragePool": (
        [TO_WHOLE, *PICTURE, "ms.QLinearAveragePool r one zero one zero > s", "Reshape s row > p", TO_REAL],
        {"kernel_shape": [1, 1]},
    ),
    "QLinearGlobalAveragePool": (
        [TO_WHOLE, *PICTURE, "ms.QLinearGlobalAveragePool r one zero one zero > s", "Reshape s row > p", TO_REAL],
        {"channels_last": 0},
    ),
    "QuantizeLinear": (["ms.QuantizeLinear x one zero > p", TO_REAL], {}),
    "DequantizeLinear": ([TO_WHOLE, "ms.DequantizeLinear q one zero > g"], {}),
    "DynamicQuantizeMatMul": (["ms.DynamicQuantizeMatMul x signed one > g"], {}),
    "MatMulIntegerToFloat": ([TO_WHOLE, "ms.MatMulIntegerToFloat q signed one one > g"], {}),
    "DynamicQuantizeLSTM": (
        [
            "Reshape x line > t",
            "ms.DynamicQuantizeLSTM t gates gates - - - - - wide none wide none > all h",
            "Squeeze h first > g",
        ],
        {"hidden_size": 6},
    ),
    "FusedMatMul": (["ms.FusedMatMul x real > g"], {"transB": 1, "alpha": 0.5}),
    "Gelu": (["ms.Gelu x > g"], {}),
    "FastGelu": (["ms.FastGelu x six > g"], {}),
    "BiasGelu": (["ms.BiasGelu x six > g"], {}),
    "QuickGelu": (["ms.QuickGelu x > g"], {}),
    "Scaler": (["ml.Scaler x > g"], {"offset": [1.0], "scale": [2.0]}),
    "Normalizer": (["ml.Normalizer x > g"], {"norm": "L2"}),
    "Imputer": (["ml.Imputer x > g"], {"imputed_value_floats": [0.0], "replaced_value_float": float("nan")}),
    "Binarizer": (["ml.Binarizer x > g"], {"threshold": 0.5}),
    "FeatureVectorizer": (["ml.FeatureVectorizer x > g"], {"inputdimensions": [6]}),
}


def node(line: str, attributes: dict[str, Any]) -> onnx.NodeProto:
    """A node from `domain.Operator operands > results`, - being left out; other domains' nodes get the attributes."""
    (operator, *operands), results = (part.split() for part in line.split(">"))
    domain, _, name = operator.rpartition(".")
    full = {"": "", "ms": "com.microsoft", "ml": "ai.onnx.ml"}[domain]
    names = ["" if operand == "-" else operand for operand in operands]
    return helper.make_node(name, names, results, domain=full, **(attributes if domain else {}))


def built(lines: list[str], attributes: dict[str, Any]) -> bytes:
    head = "head12" if "axis" in attributes else "head"
    nodes = [node(line, attributes) for line in [*lines, f"Gemm g {head} > y"]]
    used = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in CONSTANTS.items() if name in used],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in DOMAINS.items()]
    return bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())


def test_every_operator_of_other_domains_is_tried() -> None:
    """None is on the list that the table above leaves out."""
    allowed = set().union(*operators.ALLOWED_ELSEWHERE.values())
    assert allowed == {name.partition(" ")[0] for name in NETS}


@pytest.mark.parametrize("name", NETS)
def test_operators_of_other_domains_run(name: str) -> None:
    """onnxruntime runs what is read, and each shape that the reader tells is what comes out."""
    read = read_onnx(built(*NETS[name]))
    assert read.found["output"]["shape"] == ["batch", 3]
    model = onnx.load_model_from_string(read.data)
    told = {value.name: value.type.tensor_type for value in model.graph.value_info}
    assert {name for each in model.graph.node for name in each.output} == told.keys() | {"y"}
    model.graph.output.extend(value for value in model.graph.value_info)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).random((5, 6), dtype=np.float32)
    for value, array in zip(session.get_outputs(), session.run(None, {"x": x}), strict=True):
        if value.name in told:
            dims = [dim.dim_value or len(x) for dim in told[value.name].shape.dim]
            assert dims == list(array.shape), value.name
            assert helper.tensor_dtype_to_np_dtype(told[value.name].elem_type) == array.dtype, value.name


@pytest.mark.parametrize("columns", [np.array([5, 0, 2, 3, 4, 1]), np.array([[1, 2, 3, 3, 2, 1]])])
def test_selected_columns_are_gathered(columns: Any) -> None:
    """A selection of columns becomes a Gather that gives the same answers."""
    data = built(["ml.ArrayFeatureExtractor x columns > c", "Sin c > g"], {})
    model = onnx.load_model_from_string(data)
    model.graph.initializer.append(numpy_helper.from_array(columns, "columns"))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(f32_noise(), "head"))
    data = model.SerializeToString()
    x = np.random.default_rng(1).random((5, 6), dtype=np.float32)
    read = read_onnx(data)
    assert "Gather" in [each.op_type for each in onnx.load_model_from_string(read.data).graph.node]
    before, after = (
        onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for each in (data, read.data)
    )
    np.testing.assert_array_equal(before, after)


def f32_noise() -> Any:
    return np.random.default_rng(2).standard_normal((6, 3)).astype(np.float32)
