"""Inputs of every type and batch that exporters write, and the form they are given."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.zoo.graphs import FLOAT, INT64, network, saved
from worker.formats.models import Read, read_onnx
from worker.formats.refusals import Refused


def taking(*inputs: Any, **rest: Any) -> bytes:
    """The zoo's network; each further input is added to its units, whatever its type."""
    nodes, last = [], "h"
    for value in inputs[1:]:
        cast = helper.make_node("Cast", [value.name], [f"{value.name}_float"], to=FLOAT)
        nodes += [cast, helper.make_node("Add", [last, f"{value.name}_float"], [f"with_{value.name}"])]
        last = f"with_{value.name}"
    nodes.append(helper.make_node("Identity", [last], ["g"]))
    return saved(network(nodes, inputs=list(inputs), **rest))


def named(name: str, shape: Any, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def shapes(read: Read) -> list[Any]:
    return [each["shape"] for each in read.found["inputs"]]


def runs(read: Read, **arrays: Any) -> tuple[int, ...]:
    session = onnxruntime.InferenceSession(read.data, providers=["CPUExecutionProvider"])
    [found] = session.run(None, arrays)
    return tuple(found.shape)


@pytest.mark.parametrize("first", ["batch", "N", "?", "", None, -1, 0])
def test_an_open_batch_has_one_form(first: Any) -> None:
    """However an exporter leaves the batch open, it is called `batch` and takes any number of examples."""
    data = onnx.load_model_from_string(taking(named("x", ["batch", 4])))
    for value in [*data.graph.input, *data.graph.output]:
        dim = value.type.tensor_type.shape.dim[0]
        dim.Clear()
        if isinstance(first, int):
            dim.dim_value = first
        elif first is not None:
            dim.dim_param = first
    read = read_onnx(saved(data))
    assert (shapes(read), read.found["batch"]) == ([["batch", 4]], None)
    assert read.found["output"]["shape"] == ["batch", 3]
    kept = onnx.load_model_from_string(read.data).graph
    assert kept.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert runs(read, x=np.zeros((5, 4), np.float32)) == (5, 3)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch_is_told(batch: int) -> None:
    """A model exported for so many examples keeps its batch, and says so."""
    read = read_onnx(taking(named("x", [batch, 4]), outputs=[named("y", [batch, 3])]))
    assert (shapes(read), read.found["batch"]) == ([["batch", 4]], batch)
    assert runs(read, x=np.zeros((batch, 4), np.float32)) == (batch, 3)


def test_axes_of_equal_name_stay_equal_and_nameless_ones_differ() -> None:
    """An axis called as the batch is the batch wherever it is; `?` on two axes doesn't make them one size."""
    data = taking(named("x", ["N", 4]), named("state", ["?", "N", "?"]))
    model = onnx.load_model_from_string(data)
    model.graph.node.insert(3, helper.make_node("ReduceSum", ["state_float"], ["total"], keepdims=0))
    model.graph.node[4].input[1] = "total"
    read = read_onnx(saved(model))
    assert shapes(read) == [["batch", 4], ["batch", "batch", "?"]]
    assert runs(read, x=np.zeros((5, 4), np.float32), state=np.zeros((1, 5, 2), np.float32)) == (5, 3)


KINDS: dict[str, Any] = {
    "FLOAT16": np.float16,
    "DOUBLE": np.float64,
    "INT64": np.int64,
    "INT32": np.int32,
    "UINT8": np.uint8,
}
KINDS |= {"INT8": np.int8, "BOOL": np.bool_, "FLOAT": np.float32}


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_all_types(kind: str) -> None:
    """Several inputs are told with their types, a scalar among them."""
    other = named("other", ["batch", 6], TensorProto.DataType.Value(kind))
    read = read_onnx(taking(named("x", ["batch", 4]), other, named("rate", [], INT64)))
    assert read.found["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": ["batch", 4]},
        {"name": "other", "dtype": np.dtype(KINDS[kind]).name, "shape": ["batch", 6]},
        {"name": "rate", "dtype": "int64", "shape": []},
    ]
    arrays = {"other": np.ones((2, 6), KINDS[kind]), "rate": np.array(3)}
    assert runs(read, x=np.zeros((2, 4), np.float32), **arrays) == (2, 3)


def test_half_precision_from_end_to_end() -> None:
    """fp16 weights, input and output are read as they are."""
    model = onnx.load_model_from_string(taking(named("x", ["batch", 4])))
    for place, tensor in enumerate(list(model.graph.initializer)):
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
        model.graph.initializer[place].CopyFrom(half)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    read = read_onnx(saved(model))
    assert (read.found["inputs"][0]["dtype"], read.found["outputs"][0]["dtype"]) == ("float16", "float16")
    assert read.found["parameters"] == 4 * 6 + 6 * 3
    assert runs(read, x=np.zeros((2, 4), np.float16)) == (2, 3)


def test_initializers_among_the_inputs_are_none() -> None:
    """Before IR 4 all weights are listed as inputs; they are weights all the same, and stay constant."""
    model = network()
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(named(tensor.name, list(tensor.dims)))
    read = read_onnx(saved(model))
    kept = onnx.load_model_from_string(read.data)
    assert [value.name for value in kept.graph.input] == ["x"]
    assert kept.ir_version >= 4
    assert runs(read, x=np.zeros((2, 4), np.float32)) == (2, 3)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 18, 21, onnx.defs.onnx_opset_version()])
def test_opsets_from_7_to_the_newest_are_read(opset: int) -> None:
    """The same network, as each opset has it."""
    model = network(opset_imports=[helper.make_opsetid("", opset)])
    zeros = [numpy_helper.from_array(np.zeros(size, np.float32), f"zeros{size}") for size in (6, 3)]
    for node, zero in zip([each for each in model.graph.node if each.op_type == "Gemm"], zeros, strict=True):
        node.input.append(zero.name)  # opset 7 wants a bias
    model.graph.initializer.extend(zeros)
    assert read_onnx(saved(model)).found["opset"] == opset


def test_an_input_of_unknown_rank_is_refused() -> None:
    """An input that may have any number of axes cannot be filled."""
    with pytest.raises(Refused, match="how many axes its input 'x' has"):
        read_onnx(taking(named("x", None)))
