"""Values of quantised files: on which grid of scale and zero point an integer stands for a number."""

import onnx_ir as ir

from worker.ablation.wiring import is_standard

INTEGERS = frozenset([ir.DataType.UINT8, ir.DataType.INT8])
# They give their data on the grid on which they took it.
KEEPING = frozenset(
    ["Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"]
)
# At which operands the scale of the result is; its zero point is the next one.
SCALES = {
    "QGemm": 7,
    "QLinearAdd": 6,
    "QLinearAveragePool": 3,
    "QLinearConcat": 0,
    "QLinearConv": 6,
    "QLinearGlobalAveragePool": 3,
    "QLinearLeakyRelu": 3,
    "QLinearMatMul": 6,
    "QLinearMul": 6,
    "QLinearSigmoid": 3,
    "QLinearSoftmax": 3,
    "QuantizeLinear": 1,
}
# Of these only the scales of constants are constant: those of the data come from all examples together.
AT_RUN_TIME = "DynamicQuantizeLinear"
Grid = tuple[ir.Value, ir.Value | None]


def grid(value: ir.Value) -> Grid | None:
    """The scale and the zero point of an integer value, if there is one pair for all of it."""
    while (node := value.producer()) is not None:
        if node.op_type in SCALES:
            scale, zero = (_operand(node, SCALES[node.op_type] + place) for place in (0, 1))
            return None if scale is None or not _is_single(scale) else (scale, zero)
        if not is_standard(node) or node.op_type not in KEEPING or node.inputs[0] is None:
            return None
        value = node.inputs[0]
    return None


def zero_point(node: ir.Node) -> ir.Value | None:
    """The zero point of what a node gives, which has the type of that."""
    return _operand(node, SCALES[node.op_type] + 1) if node.op_type in SCALES else None


def _operand(node: ir.Node, place: int) -> ir.Value | None:
    return node.inputs[place] if len(node.inputs) > place else None


def is_packed(value: ir.Value) -> bool:
    """Are its values integers on a grid? The types of foreign operators' results are known by their zero points."""
    if value.dtype is not None and value.dtype not in INTEGERS:
        return False
    found = grid(value)
    if found is None:
        return False
    zero = found[1]
    return value.dtype in INTEGERS or zero is None or _dtype(zero) in INTEGERS


def _dtype(value: ir.Value) -> ir.DataType | None:
    return value.dtype if value.const_value is None else value.const_value.dtype


def _is_single(scale: ir.Value) -> bool:
    shape = scale.const_value.shape if scale.const_value is not None else scale.shape
    return shape is not None and all(size == 1 for size in shape)
