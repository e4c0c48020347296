"""Which output is taken for the classes, what it is, and what the file says of its classes."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.zoo.graphs import FLOAT, INT64, network, saved, weights
from worker.formats.models import read_onnx
from worker.formats.refusals import Refused

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def node(line: str, **attributes: Any) -> Any:
    """A node from `Operator operands > results`."""
    (operator, *operands), results = (part.split() for part in line.split(">"))
    domain = "ai.onnx.ml" if operator in ("ZipMap", "LabelEncoder", "ArrayFeatureExtractor") else ""
    return helper.make_node(operator, operands, results, domain=domain, **attributes)


def extended(nodes: list[Any], outputs: dict[str, Any], **constants: Any) -> bytes:
    """The zoo's network x[batch, 4] -> h[batch, 6] -> y[batch, 3], with nodes behind, and only these outputs."""
    model = network(opset_imports=OPSETS)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()
    )
    del model.graph.output[:]
    for name, shape in outputs.items():
        kind = shape if isinstance(shape, int) else FLOAT
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape if isinstance(shape, list) else None))
    return saved(model)


@pytest.mark.parametrize(
    ("nodes", "shape", "kind", "classes"),
    [
        ([node("Identity y > o")], ["batch", 3], "classes", 3),
        ([node("Unsqueeze y at > o")], ["batch", 3, 1, 1], "classes", 3),
        ([node("Unsqueeze y before > o")], ["batch", 1, 1, 3], "classes", 3),
        ([node("Gemm h one > o")], ["batch", 1], "binary", 2),
        ([node("Gemm h one > q"), node("Squeeze q last > o")], ["batch"], "binary", 2),
        ([node("Gemm h one > q"), node("Unsqueeze q at > o")], ["batch", 1, 1, 1], "binary", 2),
        ([node("Unsqueeze y at1 > u"), node("Concat u u u u > o", axis=1)], ["batch", 4, 3], "tokens", 3),
    ],
)
def test_forms_of_outputs(nodes: list[Any], shape: list[Any], kind: str, classes: int) -> None:
    """Shapes tell classes, one number for two classes, and classes for each token apart; none needs to be declared."""
    constants = {"at": [2, 3], "before": [1, 2], "at1": [1], "last": [1], "one": np.ones((6, 1), np.float32)}
    used = {name for each in nodes for name in each.input}
    read = read_onnx(extended(nodes, {"o": None}, **{k: np.array(v) for k, v in constants.items() if k in used}))
    output = read.found["output"]
    assert (output["shape"], output["kind"], output["classes"]) == (shape, kind, classes)
    assert read.found["warnings"] == []


@pytest.mark.parametrize(
    ("outputs", "chosen"),
    [
        ({"h": ["batch", 6], "y": ["batch", 3]}, "y"),  # behind more layers
        ({"g": ["batch", 6], "h": ["batch", 6]}, "g"),  # the first of equals
        ({"h": ["batch", 6], "the_scores": ["batch", 6]}, "the_scores"),  # by its name
        ({"one": ["batch", 1], "h": ["batch", 6]}, "h"),  # by its shape
        ({"tokens": ["batch", 4, 3], "one": ["batch", 1]}, "one"),
    ],
)
def test_one_of_several_outputs_is_chosen(outputs: dict[str, Any], chosen: str) -> None:
    """By shape, then by depth, then by name, then the first; a warning names the others and how to choose."""
    nodes = [
        node("Identity h > the_scores"),
        node("ReduceMean y > one", axes=[1]),
        node("Unsqueeze y at > u"),
        node("Concat u u u u > tokens", axis=1),
    ]
    read = read_onnx(extended(nodes, outputs, at=np.array([1])))
    assert read.output == read.found["output"]["name"] == chosen
    [warning] = read.found["warnings"]
    assert repr(chosen) in warning
    assert "`output`" in warning
    assert [each["name"] for each in read.found["outputs"]] == list(outputs)


def test_output_is_named_by_the_caller() -> None:
    """Any floating-point output may be asked for; the network is cut down to it, and there is nothing to warn of."""
    data = extended([], {"h": ["batch", 6], "y": ["batch", 3]})
    read = read_onnx(data, "h")
    assert (read.output, read.found["output"]["classes"], read.found["warnings"]) == ("h", 6, [])
    assert [value.name for value in onnx.load_model_from_string(read.data).graph.output] == ["h"]
    assert read.found["parameters"] == 4 * 6


@pytest.mark.parametrize("asked", ["z", "index"])
def test_outputs_that_cannot_be_are_refused(asked: str) -> None:
    """One that is not there, or holds no floating-point numbers, is refused with those that are there."""
    data = extended([node("ArgMax y > index", axis=1)], {"y": ["batch", 3], "index": INT64})
    with pytest.raises(Refused, match=r"y: float32\[batch, 3\], index: int64") as refused:
        read_onnx(data, asked)
    assert refused.value.kind == "model-unsupported"


NAMES = ["no", "perhaps", "yes"]
AS_MAP = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, None))


def zipped(**attributes: Any) -> bytes:
    """What skl2onnx writes: a label, and a list of maps from classes to probabilities."""
    nodes = [
        node("Softmax y > chances"),
        node("ArgMax y > index", axis=1, keepdims=0),
        node("ZipMap chances > maps", **attributes),
    ]
    model = onnx.load_model_from_string(extended(nodes, {"index": INT64}))
    maps = helper.make_value_info("maps", helper.make_sequence_type_proto(AS_MAP))
    model.graph.output.append(maps)
    return saved(model)


@pytest.mark.parametrize("asked", [None, "maps", "chances"])
@pytest.mark.parametrize(
    ("attributes", "labels"),
    [({"classlabels_int64s": [3, 5, 8]}, [3, 5, 8]), ({"classlabels_strings": NAMES}, NAMES)],
)
def test_probabilities_before_a_zipmap_are_the_classes(attributes: Any, labels: list[Any], asked: str | None) -> None:
    """The tensor of which the maps are made is the class output, and the maps' keys are its labels."""
    found = read_onnx(zipped(**attributes), asked).found
    assert found["output"] == {
        "name": "chances",
        "shape": ["batch", 3],
        "classes": 3,
        "kind": "classes",
        "probabilities": True,
        "labels": labels,
    }
    assert [(each["name"], each["shape"]) for each in found["outputs"]][1:] == [
        ("maps", None),
        ("chances", ["batch", 3]),
    ]


@pytest.mark.parametrize(
    ("behind", "constants", "labels"),
    [
        ([node("ArrayFeatureExtractor names index > label")], {"names": np.array([4, 5, 6])}, [4, 5, 6]),
        ([node("Gather names index > label")], {"names": np.array([7, 5, 6])}, [7, 5, 6]),
        (
            [node("LabelEncoder index > label", keys_int64s=[0, 1, 2], values_strings=NAMES)],
            {},
            NAMES,
        ),
        ([node("LabelEncoder index > label", keys_int64s=[2, 1, 0], values_strings=NAMES)], {}, None),
        ([node("Gather names index > label")], {"names": np.array([7, 5])}, None),
        ([node("Gather names index > label")], {"names": np.array([7, 5, 7])}, None),
        ([node("Identity index > label")], {}, None),
    ],
)
def test_labels_are_what_the_pick_is_looked_up_in(behind: list[Any], constants: Any, labels: Any) -> None:
    """The table behind an ArgMax names the classes, if it has one entry for each of them."""
    nodes = [node("ArgMax y > index", axis=1, keepdims=0), *behind]
    data = extended(nodes, {"y": ["batch", 3], "label": INT64}, **constants)
    assert read_onnx(data).found["output"]["labels"] == labels


@pytest.mark.parametrize(
    ("nodes", "probable"),
    [
        ([node("Identity y > o")], False),
        ([node("Softmax y > o")], True),
        ([node("LogSoftmax y > o")], False),
        ([node("Sigmoid y > s"), node("Cast s > c", to=FLOAT), node("Flatten c > o")], True),
        (
            [
                node("Softmax y > s"),
                node("QuantizeLinear s scale zero > q"),
                node("DequantizeLinear q scale zero > o"),
            ],
            True,
        ),
        ([node("Exp y > e"), node("ReduceSum e axis > t"), node("Div e t > o")], True),
        ([node("Softmax y > s"), node("Gemm s square > o")], False),
        ([node("Sigmoid y > s"), node("Sub unit s > r"), node("Concat r s > o", axis=1)], True),
        ([node("Sigmoid y > s"), node("Concat y s > o", axis=1)], False),
    ],
)
def test_probabilities_are_told_by_what_computes_them(nodes: list[Any], probable: bool) -> None:
    """A softmax or sigmoid behind the last layer, whole or in pieces, quantised or cast."""
    constants = {
        "scale": np.float32(0.01),
        "zero": np.uint8(0),
        "axis": np.array([1]),
        "unit": np.float32(1),
        "square": np.ones((3, 3), np.float32),
    }
    used = {name for each in nodes for name in each.input}
    data = extended(nodes, {"o": None}, **{name: value for name, value in constants.items() if name in used})
    assert read_onnx(data).found["output"]["probabilities"] is probable


def test_weights_of_other_heads_fall_away() -> None:
    """What only another output needs is gone: its layers, its weights and its inputs, of which a warning tells."""
    model = onnx.load_model_from_string(
        extended([node("Gemm age other > z"), node("Add z h > s")], {"y": None, "s": None})
    )
    model.graph.initializer.append(weights("other", 2, 6))
    model.graph.input.append(helper.make_tensor_value_info("age", FLOAT, ["batch", 2]))
    read = read_onnx(saved(model), "y")
    kept = onnx.load_model_from_string(read.data).graph
    assert [each["name"] for each in read.found["inputs"]] == [value.name for value in kept.input] == ["x"]
    assert {tensor.name for tensor in kept.initializer} == {"a", "b"}
    assert "'age'" in read.found["warnings"][0]
