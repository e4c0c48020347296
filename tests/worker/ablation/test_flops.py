"""What a pass costs, against products written by hand."""

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from tests.nets import Shape, Weights, fixed_batch, net, node, noise
from tests.worker.ablation.grafting import parsed
from worker.ablation.flops import multiply_adds

CASES: dict[str, tuple[list[NodeProto], Weights, Shape, int | None]] = {
    "a grouped convolution": (
        [node("Conv", "x w", "y", group=2)],
        {"w": noise(1, 6, 2, 3, 3)},
        ["n", 4, 7, 8],
        6 * 5 * 6 * 2 * 9,
    ),
    "a transposed one": (
        [node("ConvTranspose", "x w", "y", strides=[2, 2])],
        {"w": noise(1, 4, 5, 3, 3)},
        ["n", 4, 7, 8],
        4 * 7 * 8 * 5 * 9,
    ),
    "a dense layer": ([node("Gemm", "x w", "y", transB=1)], {"w": noise(1, 6, 5)}, ["n", 5], 6 * 5),
    "tokens": ([node("MatMul", "x w", "y")], {"w": noise(1, 5, 6)}, ["n", 9, 5], 9 * 5 * 6),
    "an open number of tokens": ([node("MatMul", "x w", "y")], {"w": noise(1, 5, 6)}, ["n", "t", 5], None),
    "scores": ([node("Transpose", "x", "k", perm=[0, 2, 1]), node("MatMul", "x k", "y")], {}, ["n", 9, 5], 9 * 9 * 5),
    "einsum": ([node("Einsum", "x w", "y", equation="bti,io->bo")], {"w": noise(1, 5, 6)}, ["n", 9, 5], 9 * 5 * 6),
    "a fixed batch": ([node("Gemm", "x w", "y")], {"w": noise(1, 5, 6)}, [3, 5], 5 * 6),
    "activations cost nothing": ([node("Relu", "x", "y")], {}, ["n", 5], 0),
    "an LSTM in both directions": (
        [
            node("Transpose", "x", "t", perm=[1, 0, 2]),
            node("LSTM", "t w r", "y", hidden_size=3, direction="bidirectional"),
        ],
        {"w": noise(1, 2, 12, 5), "r": noise(2, 2, 12, 3)},
        ["n", 9, 5],
        9 * 2 * 4 * 3 * (5 + 3),
    ),
}


RANKS = {"einsum": 2, "an LSTM in both directions": 4}  # of the outputs that have not their inputs'


@pytest.mark.parametrize("name", CASES)
def test_products_are_counted(name: str) -> None:
    """One for each multiplication with its addition; the batch counts as one."""
    nodes, weights, inputs, expected = CASES[name]
    assert (
        multiply_adds(parsed(net(nodes, weights, inputs, ["n", *["?"] * (RANKS.get(name, len(inputs)) - 1)])))
        == expected
    )


def test_a_network_is_the_sum_of_its_layers() -> None:
    """Whatever batch it was exported for."""
    expected = 4 * 6 * 6 * 2 * 9 + 4 * 6 * 6 * 4 + 4 * 3
    assert multiply_adds(parsed(fixed_batch(1))) == multiply_adds(parsed(fixed_batch(3))) == expected


def test_of_two_branches_the_dearer_one_counts() -> None:
    """Only one of them runs, and which one is not known."""
    branches = [
        helper.make_graph([node("MatMul", f"x {name}", f"z_{name}")], name, [], [output(f"z_{name}")])
        for name in ("wide", "narrow")
    ]
    choice = node("If", "yes", "h", then_branch=branches[0], else_branch=branches[1])
    weights = {"wide": noise(1, 5, 6), "narrow": noise(2, 5, 2), "v": noise(3, 5, 1), "yes": np.array(True)}
    assert multiply_adds(parsed(net([choice, node("MatMul", "x v", "y")], weights, ["n", 5], ["n", 1]))) == 30 + 5


def output(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
