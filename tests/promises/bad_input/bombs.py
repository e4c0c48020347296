"""ONNX of a few bytes that asks for terabytes: refused by arithmetic, before anything of it is allocated."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.promises.bad_input.case import Case, Class, from_zoo
from tests.zoo import networks
from tests.zoo.graphs import FLOAT, INT64, ints, network, saved, weights, with_functions

KIND = "model-too-large"
HUGE = 2**36
Nodes = list[Any]
Made = Callable[[], bytes]


def bomb(name: str, make: Made, says: str = "activations", kind: str = KIND, memory: int = 64) -> Case:
    """A file that is refused."""
    return Case(name, make, kind, says, memory=memory)


def by(nodes: Nodes, *constants: TensorProto, reduced: bool = True) -> Made:
    """A network whose nodes go from h to `big`; then all is added up again, so that what comes out fits."""
    back = [helper.make_node("ReduceMax", ["big"], ["one"], keepdims=0), helper.make_node("Add", ["h", "one"], ["g"])]
    return lambda: saved(network([*nodes, *(back if reduced else [])], constants=list(constants)))


def floats(name: str, *values: float) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def ints_of(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.int64), name)


def scalar(name: str, value: float) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(operator, [each.strip("-") for each in inputs.split()], outputs.split(), **attributes)


PICTURE = node("Unsqueeze", "h last", "row"), node("Unsqueeze", "row last", "q")
LAST = ints("last", -1)


def doubled(times: int) -> Made:
    """Each node doubles what it gets."""
    names = ["h", *(f"d{n}" for n in range(times - 1)), "big"]
    return by([node("Concat", f"{a} {a}", b, axis=1) for a, b in pairwise(names)])


def squared() -> Made:
    """An outer product of an outer product."""
    return by(
        [
            node("Tile", "h wide", "w"),
            node("Unsqueeze", "w last", "col"),
            node("Unsqueeze", "w first", "row"),
            node("MatMul", "col row", "big"),
        ],
        ints("wide", 1, 2**16),
        LAST,
        ints("first", 1),
    )


def deep_branches(depth: int) -> Made:
    """Branches within branches."""

    def make() -> bytes:
        output = helper.make_tensor_value_info("o", FLOAT, None)
        inner = helper.make_graph([node("Identity", "h", "o")], "branch", [], [output])
        for _ in range(depth):
            within = helper.make_node("If", ["yes"], ["o"], then_branch=inner, else_branch=inner)
            inner = helper.make_graph([within], "branch", [], [output])
        outer = helper.make_node("If", ["yes"], ["g"], then_branch=inner, else_branch=inner)
        condition = [node("ReduceSum", "h", "s", keepdims=0), node("Cast", "s", "yes", to=TensorProto.BOOL)]
        return saved(network([*condition, outer]))

    return make


def nested(depth: int) -> Made:
    """Messages within messages, which protobuf itself bounds: one branch each, written by hand."""

    def make() -> bytes:
        def field(number: int, content: bytes) -> bytes:
            size, length = bytearray(), len(content)
            while length >= 128:
                size.append(length & 127 | 128)
                length >>= 7
            return bytes([number << 3 | 2, *size, length]) + content

        graph = b""
        for _ in range(depth):
            attribute = field(1, b"then_branch") + field(6, graph) + b"\xa0\x01\x05"
            graph = field(1, field(4, b"If") + field(5, attribute))
        return b"\x08\x08" + field(7, graph) + b"\x42\x04\x0a\x00\x10\x11"

    return make


def many(count: int) -> Made:
    """So many nodes."""
    names = ["h", *(f"n{index}" for index in range(count)), "g"]
    return lambda: saved(network([node("Neg", a, b) for a, b in pairwise(names)]))


def many_in_branches(count: int) -> Made:
    """As many, most of them in branches."""

    def make() -> bytes:
        model = onnx.ModelProto.FromString(networks.branch_that_depends())
        names = ["h", *(f"n{index}" for index in range(count)), "o"]
        for attribute in model.graph.node[4].attribute:
            del attribute.g.node[:]
            attribute.g.node.extend([node("Neg", a, b) for a, b in pairwise(names)])
        return saved(model)

    return make


def calls(depth: int, width: int) -> Made:
    """Functions that each call the next one several times."""

    def make() -> bytes:
        bodies = []
        for level in range(depth):
            steps = ["i", *(f"m{n}" for n in range(width - 1)), "o"]
            bodies.append(
                (f"f{level}", [helper.make_node(f"f{level + 1}", [a], [b], domain="own") for a, b in pairwise(steps)])
            )
        return saved(with_functions([*bodies, (f"f{depth}", [node("Relu", "i", "o")])]))

    return make


def declared(shape: list[Any]) -> Made:
    """An input that says it is so large."""
    return lambda: saved(
        network(
            inputs=[helper.make_tensor_value_info("x", FLOAT, shape)],
            outputs=[helper.make_tensor_value_info("y", FLOAT, [shape[0], 3])],
        )
    )


def hollow(dims: list[int], kind: int = FLOAT, **content: Any) -> Made:
    """Weights that say they are so large, and bring little."""
    tensor = TensorProto(name="k", data_type=kind, dims=dims, **content)
    return lambda: saved(network([node("Add", "h k", "g")], constants=[tensor]))


def in_constant(dims: list[int]) -> Made:
    """The same within a node."""
    tensor = TensorProto(name="k", data_type=FLOAT, dims=dims, raw_data=bytes(4))
    return lambda: saved(network([helper.make_node("Constant", [], ["k"], value=tensor), node("Add", "h k", "g")]))


MALFORMED = "model-malformed"
ONNX = Class(
    "model",
    24,
    (
        bomb("Expand", by([node("Expand", "h to", "big")], ints("to", HUGE, 1, 6))),
        bomb("Tile", by([node("Tile", "h to", "big")], ints("to", 1, HUGE))),
        bomb(
            "Range",
            by(
                [node("Range", "from end step", "n"), node("Cast", "n", "big", to=FLOAT)],
                ints_of("from", 0),
                ints_of("end", HUGE),
                ints_of("step", 1),
            ),
            "'n' is a row",
        ),
        bomb(
            "Range of fractions",
            by([node("Range", "from end step", "big")], scalar("from", 0), scalar("end", 1e12), scalar("step", 1)),
            "'big' is a row",
        ),
        bomb("Pad at the front", by([node("Pad", "h to", "big")], ints("to", 0, HUGE, 0, 0))),
        bomb("Pad by 2^62", by([node("Pad", "h to", "big")], ints("to", 0, 0, 0, 2**62))),
        bomb(
            "Resize by scales",
            by([*PICTURE, node("Resize", "q - scales", "big")], LAST, floats("scales", 1, 1, 2**18, 2**18)),
        ),
        bomb(
            "Resize to sizes",
            by([*PICTURE, node("Resize", "q - - sizes", "big")], LAST, ints("sizes", 1, 6, 2**18, 2**18)),
        ),
        bomb("ConstantOfShape", by([node("ConstantOfShape", "to", "big")], ints("to", 2**20, 2**20))),
        bomb("ConstantOfShape in three", by([node("ConstantOfShape", "to", "big")], ints("to", 2**31, 2**31, 2**31))),
        bomb(
            "OneHot",
            by(
                [node("Cast", "h", "i", to=INT64), node("OneHot", "i depth values", "big", axis=-1)],
                ints("depth", HUGE),
                floats("values", 0, 1),
            ),
        ),
        bomb(
            "EyeLike", by([node("ConstantOfShape", "to", "e"), node("EyeLike", "e", "big")], ints("to", 2**20, 2**20))
        ),
        bomb("an outer product", squared()),
        bomb("doubled 36 times", doubled(36)),
        bomb(
            "Reshape after Expand",
            by(
                [node("Expand", "h to", "e"), node("Reshape", "e flat", "big")],
                ints("to", HUGE, 1, 6),
                ints("flat", -1),
            ),
        ),
        bomb(
            "ScatterND into much",
            by(
                [node("ConstantOfShape", "to", "e"), node("ScatterND", "e at new", "big")],
                ints("to", HUGE),
                numpy_helper.from_array(np.zeros((1, 1), np.int64), "at"),
                floats("new", 1),
            ),
            "'e' is a row",
        ),
        bomb(
            "Gather of much",
            by(
                [node("ConstantOfShape", "to", "e"), node("Gather", "e zero", "big")], ints("to", HUGE), ints("zero", 0)
            ),
            "'e' is a row",
        ),
        bomb(
            "ConvTranspose with a long stride",
            by(
                [
                    *PICTURE,
                    node("ConvTranspose", "q up", "big", strides=[2**20, 2**20], output_padding=[2**20 - 1] * 2),
                ],
                LAST,
                weights("up", 6, 1, 1, 1),
            ),
        ),
        # Where a length is computed, ONNX alone knows it, and writes the row out: there the child's own limit stands.
        bomb(
            "a length that is computed",
            by(
                [
                    node("Mul", "k k", "n"),
                    node("ConstantOfShape", "n", "e"),
                    node("Gather", "e zero", "big"),
                ],
                ints("k", 2**18),
                ints("zero", 0),
            ),
            "more memory than a compute process may use",
            "resource-exhausted",
            memory=768,
        ),
        bomb("a batch of 2^40", declared([2**40, 4])),
        bomb("an input of 2^40 in six axes", declared(["batch", 2**10, 2**10, 2**10, 2**10, 4])),
        bomb("200,000 nodes", many(200_000), "parts", memory=128),
        bomb("60,000 nodes in branches", many_in_branches(30_000), "60,0", memory=128),
        bomb("functions that double 40 times", calls(40, 2), "nodes"),
        bomb("functions that call ten times ten", calls(6, 10), "nodes"),
        bomb("branches 12 deep, each twice", deep_branches(12), "branches", memory=128),
        bomb("branches 300 deep", nested(300), "no ONNX model", MALFORMED),
        bomb("weights of 2^63 in two axes", hollow([2**32, 2**31], raw_data=b""), "'k'", MALFORMED),
        bomb("weights of 2^70", hollow([2**35, 2**35], raw_data=b""), "'k'", MALFORMED),
        bomb("weights of minus one", hollow([-1, 6], raw_data=bytes(24)), "[-1, 6]", MALFORMED),
        bomb("weights of 2^40 as floats", hollow([2**20, 2**20], float_data=[1.0]), "'k'", MALFORMED),
        bomb(
            "weights of 2^40 four-bit numbers", hollow([2**40], TensorProto.INT4, raw_data=bytes(8)), "'k'", MALFORMED
        ),
        bomb("weights of 2^40 strings", hollow([2**40], TensorProto.STRING), "'k'", MALFORMED),
        bomb("weights of 1,000 axes", hollow([1] * 1000, raw_data=bytes(4)), "'k'", MALFORMED),
        bomb("a Constant of 2^40", in_constant([2**20, 2**20]), "'k'", MALFORMED),
        *from_zoo(networks.REFUSED, KIND),
    ),
)
