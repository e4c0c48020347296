"""Models that misbehave as networks: a function for each misdeed, named for it, that returns the file's bytes."""

from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.zoo.graphs import FLOAT, INT64, OPSET, dropout, ints, network, saved, weights


def custom_domain() -> bytes:
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return saved(network([helper.make_node("Gelu", ["h"], ["g"], domain="com.microsoft")], opset_imports=opsets))


def unknown_operator() -> bytes:
    return saved(network([helper.make_node("Frobnicate", ["h"], ["g"], name="odd")]))


def random_operator() -> bytes:
    return saved(network([helper.make_node("RandomNormalLike", ["h"], ["g"])]))


def if_branch() -> bytes:
    output = helper.make_tensor_value_info("o", FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["h"], ["o"])], "branch", [], [output])
    yes = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["g"], then_branch=branch, else_branch=branch)
    return saved(network([node], constants=[yes]))


def endless_loop() -> bytes:
    state = [helper.make_tensor_value_info(name, FLOAT, None) for name in ("before", "after")]
    condition = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    count = helper.make_tensor_value_info("count", INT64, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["before"], ["after"])],
        "body",
        [count, condition[0], state[0]],
        [condition[1], state[1]],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    return saved(network([helper.make_node("Loop", ["", "yes", "h"], ["g"], body=body)], constants=[yes]))


def graph_where_none_belongs() -> bytes:
    """A graph hidden in an operator that is allowed."""
    node = helper.make_node("Identity", ["h"], ["g"])
    node.attribute.append(helper.make_attribute("hidden", onnx.ModelProto.FromString(endless_loop()).graph))
    return saved(network([node]))


def bomb_of_constants() -> bytes:
    """ConstantOfShape of 2^40 numbers."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceMean", ["big"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Add", ["h", "mean"], ["g"]),
    ]
    return saved(network(nodes, constants=[ints("shape", 2**40)]))


def bomb_by_expansion() -> bytes:
    nodes = [
        helper.make_node("Unsqueeze", ["h", "two"], ["wide"]),
        helper.make_node("Expand", ["wide", "shape"], ["big"]),
        helper.make_node("ReduceMax", ["big"], ["g"], axes=[2], keepdims=0),
    ]
    return saved(network(nodes, constants=[ints("two", 2), ints("shape", 1, 1, 2**36)]))


def bomb_by_padding() -> bytes:
    nodes = [
        helper.make_node("Pad", ["h", "pads"], ["big"]),
        helper.make_node("Slice", ["big", "from", "to", "axis"], ["g"]),
    ]
    constants = [ints("pads", 0, 0, 0, 2**38), ints("from", 0), ints("to", 6), ints("axis", 1)]
    return saved(network(nodes, constants=constants))


def bomb_by_tiling_at_run_time() -> bytes:
    """The number of repeats is computed from the input, so that no shape is known before the network runs."""
    nodes = [
        helper.make_node("ReduceSum", ["h"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["count"], to=INT64),
        helper.make_node("Mul", ["count", "zero"], ["none"]),
        helper.make_node("Add", ["none", "many"], ["repeats"]),
        helper.make_node("Tile", ["h", "repeats"], ["big"]),
        helper.make_node("Slice", ["big", "from", "to", "axis"], ["g"]),
    ]
    constants = [ints("zero", 0, 0), ints("many", 1, 2**20), ints("from", 0), ints("to", 6), ints("axis", 1)]
    return saved(network(nodes, constants=constants))


def batch_of_2_to_40() -> bytes:
    inputs = [helper.make_tensor_value_info("x", FLOAT, [2**40, 4])]
    return saved(network(inputs=inputs, outputs=[helper.make_tensor_value_info("y", FLOAT, [2**40, 3])]))


def sixty_thousand_nodes() -> bytes:
    names = ["h", *(f"n{index}" for index in range(60_000)), "g"]
    return saved(network([helper.make_node("Neg", [a], [b]) for a, b in pairwise(names)]))


def two_inputs() -> bytes:
    inputs = [helper.make_tensor_value_info(name, FLOAT, ["batch", 4]) for name in ("x", "age")]
    nodes = [helper.make_node("Gemm", ["age", "a"], ["q"]), helper.make_node("Add", ["h", "q"], ["g"])]
    return saved(network(nodes, inputs=inputs))


def no_input() -> bytes:
    model = network()
    model.graph.initializer.append(weights("x", 2, 4))
    return saved(model)


def int64_input() -> bytes:
    model = network()
    model.graph.input[0].type.tensor_type.elem_type = INT64
    model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["float"], to=FLOAT))
    model.graph.node[1].input[0] = "float"
    return saved(model)


def scalar_input() -> bytes:
    model = network(inputs=[helper.make_tensor_value_info("x", FLOAT, [])])
    model.graph.node.insert(0, helper.make_node("Expand", ["x", "shape"], ["wide"]))
    model.graph.node[1].input[0] = "wide"
    model.graph.initializer.append(ints("shape", 2, 4))
    return saved(model)


def no_class_output() -> bytes:
    """One number for each example: a regression."""
    model = network(outputs=[helper.make_tensor_value_info("y", FLOAT, ["batch", 1])])
    model.graph.initializer[1].CopyFrom(weights("b", 6, 1))
    return saved(model)


def label_output() -> bytes:
    """The class itself, without what the choice was made by."""
    model = network(outputs=[helper.make_tensor_value_info("label", INT64, ["batch"])])
    model.graph.node.append(helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0))
    return saved(model)


def two_class_outputs() -> bytes:
    model = network()
    model.graph.node.append(helper.make_node("Softmax", ["y"], ["probabilities"]))
    model.graph.output.append(helper.make_tensor_value_info("probabilities", FLOAT, ["batch", 3]))
    return saved(model)


def no_units() -> bytes:
    """A linear model."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "a"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", FLOAT, ["batch", 6])],
        [weights("a", 4, 6)],
    )
    return saved(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", OPSET)]))


def shapes_that_clash() -> bytes:
    model = network()
    model.graph.initializer[1].CopyFrom(weights("b", 7, 3))
    return saved(model)


def unknown_value() -> bytes:
    return saved(network([helper.make_node("Relu", ["nowhere"], ["g"])]))


def value_twice() -> bytes:
    return saved(network([helper.make_node("Relu", ["h"], ["g"]), helper.make_node("Neg", ["h"], ["g"])]))


def circle() -> bytes:
    return saved(network([helper.make_node("Add", ["h", "g"], ["f"]), helper.make_node("Relu", ["f"], ["g"])]))


def dropout_in_training() -> bytes:
    return saved(dropout(True))


def dropout_at_rest() -> bytes:
    """No misdeed: dropout that is switched off."""
    return saved(dropout(False))


def normalisation_in_training() -> bytes:
    node = helper.make_node("BatchNormalization", ["h", *"stmv"], ["g", "m2", "v2"], training_mode=1)
    return saved(network([node], constants=[weights(name, 6) for name in "stmv"]))


def names_of_ours() -> bytes:
    """A value that is named as a mask would be; no misdeed that gets anywhere."""
    nodes = [helper.make_node("Relu", ["h"], ["lesion_mask_0"]), helper.make_node("Neg", ["lesion_mask_0"], ["g"])]
    return saved(network(nodes))


ACCEPTED: list[Any] = [dropout_at_rest]

# What each is refused as, and words that its detail must have.
REFUSED: list[tuple[Any, str, str]] = [
    (sixty_thousand_nodes, "model-too-large", "60,0"),
    (custom_domain, "operator-not-allowed", "com.microsoft::Gelu"),
    (unknown_operator, "operator-not-allowed", "'odd'"),
    (random_operator, "operator-not-allowed", "RandomNormal"),
    (if_branch, "operator-not-allowed", "If"),
    (endless_loop, "operator-not-allowed", "Loop"),
    (graph_where_none_belongs, "operator-not-allowed", "Identity"),
    (bomb_of_constants, "model-too-large", "'big'"),
    (bomb_by_expansion, "model-too-large", "'big'"),
    (bomb_by_padding, "model-too-large", "'big'"),
    (batch_of_2_to_40, "model-too-large", "'x'"),
    (bomb_by_tiling_at_run_time, "resource-exhausted", "memory"),
    (two_inputs, "model-unsupported", "x, age"),
    (no_input, "model-unsupported", "0 inputs"),
    (int64_input, "model-unsupported", "int64"),
    (scalar_input, "model-unsupported", "axis for examples"),
    (no_class_output, "model-unsupported", "[batch, classes]"),
    (label_output, "model-unsupported", "label: int64"),
    (two_class_outputs, "model-unsupported", "probabilities"),
    (no_units, "model-unsupported", "no unit"),
    (shapes_that_clash, "model-unsupported", "7 and 6"),
    (unknown_value, "model-malformed", "nowhere"),
    (value_twice, "model-malformed", "g"),
    (circle, "model-malformed", "g"),
    (dropout_in_training, "model-unsupported", "model.eval()"),
    (normalisation_in_training, "model-unsupported", "model.eval()"),
    (names_of_ours, "model-unsupported", "lesion_mask_0"),
]
