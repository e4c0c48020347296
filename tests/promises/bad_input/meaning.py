"""ONNX that is sound and yet no classifier that could be scored."""

from collections.abc import Callable
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.promises.bad_input.case import Case, Class, from_zoo
from tests.zoo import models, networks
from tests.zoo.graphs import FLOAT, INT64, OPSET, network, saved, weights

KIND = "model-unsupported"


def said(name: str, change: Callable[[onnx.ModelProto], object], says: str, kind: str = KIND) -> Case:
    """A small network, changed."""

    def make() -> bytes:
        model = network()
        change(model)
        return saved(model)

    return Case(name, make, kind, says)


def alone(nodes: list[Any], inputs: list[Any], outputs: list[Any], *constants: TensorProto) -> bytes:
    """Another network."""
    graph = helper.make_graph(nodes, "other", inputs, outputs, list(constants))
    return saved(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", OPSET)]))


def value(name: str, kind: int, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def ends_with(
    operator: str, kind: int, shape: Any, *operands: str, **attributes: Any
) -> Callable[[onnx.ModelProto], None]:
    """The network's output goes through one more node."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(operator, ["y", *operands], ["out"], **attributes))
        model.graph.output[0].CopyFrom(value("out", kind, shape))

    return change


def typed(kind: int) -> Callable[[onnx.ModelProto], None]:
    """The input is of another type, and cast."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = kind
        model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["cast"], to=FLOAT))
        model.graph.node[1].input[0] = "cast"

    return change


def constant_answer() -> bytes:
    """An output that no input reaches."""
    return alone(
        [helper.make_node("Identity", ["k"], ["y"])],
        [value("x", FLOAT, ["batch", 4])],
        [value("y", FLOAT, [2, 3])],
        weights("k", 2, 3),
    )


def only_pooling() -> bytes:
    """Nothing with weights."""
    return alone(
        [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])],
        [value("x", FLOAT, ["batch", 3, 8, 8])],
        [value("y", FLOAT, ["batch", 3])],
    )


def multiplied_inputs() -> bytes:
    """Two inputs that are multiplied: a layer, but without weights."""
    return alone(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        [value("x", FLOAT, ["batch", 4]), value("w", FLOAT, [4, 3])],
        [value("y", FLOAT, ["batch", 3])],
    )


def one_unit() -> bytes:
    """A single unit, which cannot be halved."""
    return alone(
        [
            helper.make_node("Gemm", ["x", "a"], ["p"]),
            helper.make_node("Relu", ["p"], ["h"]),
            helper.make_node("Gemm", ["h", "b"], ["y"]),
        ],
        [value("x", FLOAT, ["batch", 4])],
        [value("y", FLOAT, ["batch", 3])],
        weights("a", 4, 1),
        weights("b", 1, 3),
    )


def sequence_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None)))


def no_rank(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def two_outputs_of_ids(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("ArgMax", ["y"], ["i"], axis=1))
    model.graph.node.append(helper.make_node("Shape", ["y"], ["s"]))
    model.graph.output[0].CopyFrom(value("i", INT64, ["batch", 1]))
    model.graph.output.append(value("s", INT64, [2]))


def other_batches(model: onnx.ModelProto) -> None:
    model.graph.output[0].CopyFrom(value("y", FLOAT, [7, 3]))
    model.graph.input[0].CopyFrom(value("x", FLOAT, [2, 4]))


def clash(name: str, shape: tuple[int, ...]) -> Callable[[onnx.ModelProto], None]:
    """Weights of a shape that does not go with the others."""
    return lambda model: model.graph.initializer[1 if name == "b" else 0].CopyFrom(weights(name, *shape))


def named_as_ours(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "lesion_mask_0"


MALFORMED = "model-malformed"
ONNX = Class(
    "model",
    20,
    (
        said(
            "one class",
            lambda m: (clash("b", (6, 1))(m), m.graph.output[0].CopyFrom(value("y", FLOAT, [1, 1, 1, 0]))),
            "y",
        ),
        said("no outputs", lambda m: m.graph.ClearField("output"), "nothing"),
        said("an output of whole numbers", ends_with("Cast", INT64, ["batch", 3], to=INT64), "int64"),
        said("an output of truths", ends_with("Cast", TensorProto.BOOL, ["batch", 3], to=TensorProto.BOOL), "bool"),
        said("an output of text", ends_with("Cast", TensorProto.STRING, ["batch", 3], to=TensorProto.STRING), "string"),
        said("an output that is one number", ends_with("ReduceSum", FLOAT, [], keepdims=0), "out: float32[]"),
        said("outputs of classes and shapes alone", two_outputs_of_ids, "i: int64"),
        said("another batch coming out than going in", other_batches, "[batch, classes]"),
        said("an input without axes known", no_rank, "how many axes"),
        said("an input of sequences", sequence_input, "no axis"),
        said("an input of complex numbers", typed(TensorProto.COMPLEX64), "complex64"),
        said("an input of brain floats", typed(TensorProto.BFLOAT16), "bfloat16"),
        said("an input of eight-bit floats", typed(TensorProto.FLOAT8E4M3FN), "float8e4m3fn"),
        said("an input of four bits", typed(TensorProto.INT4), "int4"),
        said("an input of a type that does not exist", typed(99), "x"),
        said("weights that clash at the front", clash("a", (5, 6)), "no unit"),
        said("weights that clash at the back", clash("b", (6, 4)), "4"),
        said("weights of three axes in a Gemm", clash("a", (1, 4, 6)), "a"),
        said("an opset of tomorrow", lambda m: setattr(m.opset_import[0], "version", 99), "opset 99"),
        said("an opset of 2015", lambda m: setattr(m.opset_import[0], "version", 1), "opset 1"),
        said("an IR of tomorrow", lambda m: setattr(m, "ir_version", 99), "IR version 99"),
        said("names of masks of ours", named_as_ours, "lesion_mask_0"),
        Case("an answer that no input reaches", constant_answer, KIND, "in one output"),
        Case("no layer", only_pooling, KIND, "no unit"),
        Case("a layer without weights", multiplied_inputs, KIND, "no unit"),
        Case("one unit", one_unit, KIND, "no unit"),
        *from_zoo(models.REFUSED, KIND),
        *from_zoo(networks.REFUSED, KIND),
        *from_zoo(networks.REFUSED, MALFORMED),
    ),
)
