"""The shapes that operators give for which ONNX has no rules, those of quantised files; and of the most frequent ones,
for which its rules take ten times as long.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from worker.ablation.layouts import Shape
from worker.ablation.wiring import integer, is_standard

SAME = frozenset(["QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QuickGelu", "Gelu", "FastGelu", "BiasGelu"])
UNARY = frozenset(
    """
    BatchNormalization Clip DequantizeLinear Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu Log Neg
    QuantizeLinear Relu Sigmoid Softmax Softplus Sqrt Tanh
    """.split()
)
BINARY = frozenset(["Add", "Div", "Mul", "Pow", "Sub"])
PAIRS = {"QLinearAdd": 3, "QLinearMul": 3}  # at which operand the second tensor is
RECURRENT = frozenset(["GRU", "LSTM", "RNN"])  # ONNX's rules for them want the sizes of the initial states to be known
PRODUCTS = {"DynamicQuantizeMatMul": 1, "MatMulIntegerToFloat": 1}


def shapes(node: ir.Node, operands: Sequence[Shape | None]) -> list[Shape] | None:
    """The shapes of a node's outputs, or None where they cannot be told."""
    if not operands or operands[0] is None:
        return None
    try:
        return _frequent(node, operands[0], operands) if is_standard(node) else _shapes(node, operands[0], operands)
    except (ValueError, IndexError):
        return None


def _frequent(node: ir.Node, first: Shape, operands: Sequence[Shape | None]) -> list[Shape] | None:
    if node.op_type in RECURRENT:
        return _recurrent(operands)
    if node.op_type in UNARY and len(node.outputs) == 1:
        return [first]
    if node.op_type in BINARY and len(operands) == 2 and operands[1] is not None:
        return [np.broadcast_shapes(first, operands[1])]
    return None


def _shapes(node: ir.Node, first: Shape, operands: Sequence[Shape | None]) -> list[Shape] | None:
    if node.op_type in SAME or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return [first]
    if node.op_type in PAIRS:
        second = operands[PAIRS[node.op_type]]
        return None if second is None else [np.broadcast_shapes(first, second)]
    if node.op_type in PRODUCTS:
        second = operands[PRODUCTS[node.op_type]]
        return None if second is None else [(*first[:-1], second[-1])]
    if node.op_type == "QGemm" and (second := operands[3]) is not None:
        rows = first[1] if integer(node, "transA", 0) else first[0]
        return [(rows, second[0] if integer(node, "transB", 0) else second[1])]
    if node.op_type == "QLinearGlobalAveragePool":
        last = integer(node, "channels_last", 0)
        return [(first[0], *[1] * (len(first) - 2), first[-1])] if last else [(*first[:2], *[1] * (len(first) - 2))]
    if node.op_type == "QLinearConcat":
        return _joined(node, [each for each in operands[2::3] if each is not None])
    return None


def _recurrent(operands: Sequence[Shape | None]) -> list[Shape] | None:
    """From data [time, batch, width] and recurrent weights [directions, .., hidden]; Y, Y_h and Y_c."""
    data, weights = operands[0], operands[2]
    if data is None or weights is None or len(data) != 3 or len(weights) != 3:
        return None
    directions, hidden = weights[0], weights[2]
    last = (directions, data[1], hidden)
    return [(data[0], *last), last, last]


def _joined(node: ir.Node, parts: list[Shape]) -> list[Shape]:
    axis = integer(node, "axis", 0) % len(parts[0])
    return [(*parts[0][:axis], sum(part[axis] for part in parts), *parts[0][axis + 1 :])]
