"""Models that misbehave as files: a function for each misdeed, named for it, that returns the file's bytes."""

import io
import zipfile
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.zoo.graphs import FLOAT, ints, network, saved, weights, with_functions


def good() -> bytes:
    return saved(network())


def nodes_backwards() -> bytes:
    """No misdeed: what reads comes before what is read, as tools leave it that add nodes at the end."""
    model = network([helper.make_node("Tanh", ["h"], ["t"]), helper.make_node("Neg", ["t"], ["g"])])
    nodes = [*reversed(model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return saved(model)


def no_bytes() -> bytes:
    return b""


def text() -> bytes:
    return b"This is a poem, and no network.\n"


def pickle_protocol_4() -> bytes:
    return b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x05abort\x94\x93\x94)R."


def torch_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle_protocol_4())
    return file.getvalue()


def hdf5() -> bytes:
    return b"\x89HDF\r\n\x1a\n" + bytes(64)


def gzipped() -> bytes:
    return b"\x1f\x8b\x08\x00" + bytes(64)


def no_graph() -> bytes:
    return saved(helper.make_model(helper.make_graph([], "nothing", [], []), ir_version=8))


def no_opset() -> bytes:
    model = network()
    del model.opset_import[:]
    return saved(model)


def opset_of_2016() -> bytes:
    return saved(network(opset_imports=[helper.make_opsetid("", 6)]))


def opset_of_the_future() -> bytes:
    return saved(network(opset_imports=[helper.make_opsetid("", 999)]))


def external_data() -> bytes:
    model = network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return saved(model)


def external_data_in_a_constant() -> bytes:
    constant = weights("c", 6)
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    constant.external_data.add(key="location", value="/proc/self/environ")
    nodes = [helper.make_node("Constant", [], ["k"], value=constant), helper.make_node("Add", ["h", "k"], ["g"])]
    return saved(network(nodes))


def external_data_in_a_function() -> bytes:
    constant = weights("c", 6)
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    constant.external_data.add(key="location", value="secret")
    body = [helper.make_node("Constant", [], ["k"], value=constant), helper.make_node("Add", ["i", "k"], ["o"])]
    return saved(with_functions([("shift", body)]))


def functions() -> bytes:
    """No misdeed: a local function is inlined."""
    body = [helper.make_node("Sigmoid", ["i"], ["s"]), helper.make_node("Mul", ["i", "s"], ["o"])]
    return saved(with_functions([("silu", body)]))


def functions_in_a_circle() -> bytes:
    there = [helper.make_node("back", ["i"], ["o"], domain="own")]
    back = [helper.make_node("there", ["i"], ["o"], domain="own")]
    return saved(with_functions([("there", there), ("back", back)]))


def functions_that_double() -> bytes:
    """Forty functions, each of which calls the next one twice: 2^40 nodes."""
    bodies = []
    for level in range(40):
        calls = [("i", "m"), ("m", "o")]
        bodies.append((f"f{level}", [helper.make_node(f"f{level + 1}", [a], [b], domain="own") for a, b in calls]))
    bodies.append(("f40", [helper.make_node("Relu", ["i"], ["o"])]))
    return saved(with_functions(bodies))


def weights_of_2_to_40() -> bytes:
    model = network()
    model.graph.initializer[0].dims[:] = [2**20, 2**20]
    return saved(model)


def weights_of_2_to_40_without_bytes() -> bytes:
    tensor = TensorProto(name="k", data_type=FLOAT, dims=[2**20, 2**20])
    return saved(network([helper.make_node("Add", ["h", "k"], ["g"])], constants=[tensor]))


def weights_whose_size_overflows() -> bytes:
    tensor = TensorProto(name="k", data_type=FLOAT, dims=[2**32, 2**32], raw_data=b"")
    return saved(network([helper.make_node("Add", ["h", "k"], ["g"])], constants=[tensor]))


def weights_of_negative_size() -> bytes:
    model = network()
    model.graph.initializer[0].dims[:] = [-4, -6]
    return saved(model)


def weights_of_a_hundred_axes() -> bytes:
    tensor = TensorProto(name="k", data_type=FLOAT, dims=[1] * 100, raw_data=bytes(4))
    return saved(network([helper.make_node("Add", ["h", "k"], ["g"])], constants=[tensor]))


def weights_of_no_type() -> bytes:
    model = network()
    model.graph.initializer[0].data_type = 77
    return saved(model)


def sparse_weights() -> bytes:
    model = network([helper.make_node("Add", ["h", "k"], ["g"])])
    values = numpy_helper.from_array(np.ones(1, np.float32), "k")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, ints("i", 2**39), [2**20, 2**20]))
    return saved(model)


def name_that_is_no_text() -> bytes:
    return good().replace(b"network", b"net\xff\xfe\xe3k")


ACCEPTED: list[Any] = [good, functions, nodes_backwards]

# What each is refused as, and words that its detail must have.
REFUSED: list[tuple[Any, str, str]] = [
    (no_bytes, "unsupported-format", "empty"),
    (text, "model-malformed", "no ONNX model"),
    (pickle_protocol_4, "unsupported-format", "pickle"),
    (torch_zip, "unsupported-format", "torch.save"),
    (hdf5, "unsupported-format", "tf2onnx"),
    (gzipped, "unsupported-format", "unpack"),
    (no_graph, "model-malformed", "no network"),
    (no_opset, "model-malformed", "opset"),
    (opset_of_2016, "model-unsupported", "opset 6"),
    (opset_of_the_future, "model-unsupported", "opset 999"),
    (external_data, "external-data-forbidden", "in one file"),
    (external_data_in_a_constant, "external-data-forbidden", "in one file"),
    (external_data_in_a_function, "external-data-forbidden", "in one file"),
    (functions_in_a_circle, "model-malformed", "circle"),
    (functions_that_double, "model-too-large", "nodes"),
    (weights_of_2_to_40, "model-malformed", "4,398,046,511,104 bytes"),
    (weights_of_2_to_40_without_bytes, "model-malformed", "1,099,511,627,776"),
    (weights_whose_size_overflows, "model-malformed", "'k'"),
    (weights_of_negative_size, "model-malformed", "[-4, -6]"),
    (weights_of_a_hundred_axes, "model-malformed", "'k'"),
    (weights_of_no_type, "model-malformed", "'a'"),
    (name_that_is_no_text, "model-malformed", "UTF-8"),
    (sparse_weights, "model-unsupported", "sparse"),
]
