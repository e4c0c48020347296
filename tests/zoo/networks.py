"""Models that misbehave as networks: a function for each misdeed, named for it, that returns the file's bytes."""

from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.zoo.graphs import FLOAT, INT64, OPSET, branching, dropout, ints, network, saved, weights


def custom_domain() -> bytes:
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("own.works", 1)]
    return saved(network([helper.make_node("Gelu", ["h"], ["g"], domain="own.works")], opset_imports=opsets))


def operator_of_the_runtime() -> bytes:
    """One of onnxruntime's own, which is not among those that quantised files need."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return saved(network([helper.make_node("Inverse", ["h"], ["g"], domain="com.microsoft")], opset_imports=opsets))


def trees() -> bytes:
    """A random forest of one leaf."""
    leaf: dict[str, Any] = {"nodes_modes": ["LEAF"], "class_weights": [1.0], "classlabels_int64s": [0, 1, 2]}
    for name in "nodes_treeids nodes_nodeids nodes_featureids nodes_truenodeids nodes_falsenodeids".split():
        leaf[name] = [0]
    leaf |= {"class_treeids": [0], "class_nodeids": [0], "class_ids": [0], "nodes_values": [0.0]}
    forest = helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "y"], domain="ai.onnx.ml", name="forest", **leaf
    )
    graph = helper.make_graph(
        [forest],
        "forest",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", FLOAT, ["batch", 3])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    return saved(helper.make_model(graph, ir_version=8, opset_imports=opsets))


def unknown_operator() -> bytes:
    return saved(network([helper.make_node("Frobnicate", ["h"], ["g"], name="odd")]))


def random_operator() -> bytes:
    return saved(network([helper.make_node("RandomNormalLike", ["h"], ["g"])]))


def branch_that_is_taken() -> bytes:
    """No misdeed: an If with a constant condition."""
    yes = numpy_helper.from_array(np.array(True), "yes")
    return saved(network([branching("yes")], constants=[yes]))


def branch_that_depends() -> bytes:
    """No misdeed: an If whose condition depends on the input."""
    asking = [
        helper.make_node("ReduceSum", ["h"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "level"], ["high"]),
    ]
    level = numpy_helper.from_array(np.array(1, np.float32), "level")
    return saved(network([*asking, branching("high")], constants=[level]))


def loop_in_a_branch() -> bytes:
    """What is not allowed is not allowed in a branch either."""
    model = onnx.ModelProto.FromString(branch_that_depends())
    loop = next(node for node in onnx.ModelProto.FromString(endless_loop()).graph.node if node.op_type == "Loop")
    loop.output[0] = "o"
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    for attribute in model.graph.node[4].attribute:
        attribute.g.node[0].CopyFrom(loop)
    return saved(model)


def bomb_in_a_branch() -> bytes:
    """ConstantOfShape of 2^40 numbers in a branch that may be taken."""
    model = onnx.ModelProto.FromString(branch_that_depends())
    bomb = onnx.ModelProto.FromString(bomb_of_constants())
    nodes = [node for node in bomb.graph.node if node.op_type in ("ConstantOfShape", "ReduceMean", "Add")]
    nodes[-1].output[0] = "o"
    model.graph.initializer.append(ints("shape", 2**40))
    for attribute in model.graph.node[4].attribute:
        del attribute.g.node[:]
        attribute.g.node.extend(nodes)
    return saved(model)


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


def no_input() -> bytes:
    model = network()
    model.graph.initializer.append(weights("x", 2, 4))
    return saved(model)


def text_input() -> bytes:
    model = network()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
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
    """A picture for each example."""
    nodes = [helper.make_node("Unsqueeze", ["y", "axes"], ["picture"])]
    model = network(outputs=[helper.make_tensor_value_info("picture", FLOAT, ["batch", 3, 5, 5])])
    model.graph.initializer.extend([ints("axes", 2, 3), ints("size", 1, 1, 5, 5)])
    model.graph.node.extend([*nodes, helper.make_node("Expand", ["picture", "size"], ["wide"])])
    model.graph.output[0].name = "wide"
    return saved(model)


def label_output() -> bytes:
    """The class itself, without what the choice was made by."""
    model = network(outputs=[helper.make_tensor_value_info("label", INT64, ["batch"])])
    model.graph.node.append(helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0))
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


def labels_behind() -> bytes:
    """No misdeed: operators that may not be run, behind the class output."""
    model = network()
    nodes = [
        helper.make_node("ArgMax", ["y"], ["index"], axis=1, keepdims=0),
        helper.make_node("RandomNormalLike", ["y"], ["noise"]),
        helper.make_node("NonMaxSuppression", ["boxes", "boxes"], ["kept"]),
    ]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(weights("boxes", 1, 1, 4))
    for name, kind in (("index", INT64), ("kept", INT64)):
        model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    return saved(model)


ACCEPTED: list[Any] = [dropout_at_rest, branch_that_is_taken, branch_that_depends, labels_behind]

# What each is refused as, and words that its detail must have.
REFUSED: list[tuple[Any, str, str]] = [
    (sixty_thousand_nodes, "model-too-large", "60,0"),
    (custom_domain, "operator-not-allowed", "own.works::Gelu"),
    (operator_of_the_runtime, "operator-not-allowed", "com.microsoft::Inverse"),
    (trees, "model-unsupported", "'forest' is of ai.onnx.ml::TreeEnsembleClassifier"),
    (unknown_operator, "operator-not-allowed", "'odd'"),
    (random_operator, "operator-not-allowed", "RandomNormal"),
    (loop_in_a_branch, "operator-not-allowed", "Loop"),
    (bomb_in_a_branch, "model-too-large", "'big'"),
    (endless_loop, "operator-not-allowed", "Loop"),
    (graph_where_none_belongs, "operator-not-allowed", "Identity"),
    (bomb_of_constants, "model-too-large", "'big'"),
    (bomb_by_expansion, "model-too-large", "'big'"),
    (bomb_by_padding, "model-too-large", "'big'"),
    (batch_of_2_to_40, "model-too-large", "'x'"),
    (bomb_by_tiling_at_run_time, "resource-exhausted", "memory"),
    (no_input, "model-unsupported", "0 inputs"),
    (text_input, "model-unsupported", "string"),
    (scalar_input, "model-unsupported", "axis for examples"),
    (no_class_output, "model-unsupported", "[batch, classes]"),
    (label_output, "model-unsupported", "label: int64"),
    (no_units, "model-unsupported", "no unit"),
    (shapes_that_clash, "model-unsupported", "7 and 6"),
    (unknown_value, "model-malformed", "nowhere"),
    (value_twice, "model-malformed", "g"),
    (circle, "model-malformed", "g"),
    (dropout_in_training, "model-unsupported", "model.eval()"),
    (normalisation_in_training, "model-unsupported", "model.eval()"),
    (names_of_ours, "model-unsupported", "lesion_mask_0"),
]
