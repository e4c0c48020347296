"""Follows examples and units through operators: from the layouts of a node's operands to those of what it gives."""

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from worker.ablation import layouts
from worker.ablation.layouts import BATCH, Atom, Layout, Shape
from worker.ablation.shapes import Sizes
from worker.ablation.small_numbers import Numbers
from worker.ablation.wiring import bodies, integer, integers, ordered

RESHAPING = frozenset(["Flatten", "Reshape", "Squeeze", "Unsqueeze"])
BROADCASTING = frozenset(
    """
    Add And Div Equal Expand Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow QLinearAdd
    QLinearMul Sub Sum Where Xor
    """.split()
)
RECURRENT = frozenset(["GRU", "LSTM", "RNN"])
# Which operands of a product are its two factors.
FACTORS = {
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "DynamicQuantizeMatMul": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
    "QGemm": (0, 3),
    "QLinearMatMul": (0, 3),
}
Layouts = Mapping[ir.Value, Layout | None]
Ints = Mapping[ir.Value, Numbers]


def batches(model: ir.Model, sizes: Sizes) -> dict[ir.Value, Layout]:
    """Where the examples lie in each value, as far as it can be told."""
    found: dict[ir.Value, Layout] = {}
    for value in model.graph.inputs:
        if not value.is_initializer() and value in sizes.shapes:
            found[value] = _input(value, sizes)
    for node in ordered(model.graph):
        for place, (value, layout) in enumerate(zip(node.outputs, follow(node, found, sizes.shapes), strict=True)):
            layout = _from_branches(node, place, found) if bodies(node) else layout
            layout = layout or _by_size(sizes.shapes.get(value), sizes)
            if layout is not None:
                found[value] = layout
    return found


def _input(value: ir.Value, sizes: Sizes) -> Layout:
    """Examples are on the axis that is called as the batch, else on the first."""
    shape = sizes.shapes[value]
    names = [None if isinstance(size, int) else size.value or "" for size in value.shape or ()]
    place = names.index(sizes.batch_name) if sizes.batch_name in names else 0
    if not shape or shape[place] != sizes.batch:
        return layouts.free(shape)
    axes = list(layouts.free(shape))
    axes[place] = layouts.tidy([Atom(BATCH, sizes.batch)])
    return tuple(axes)


def _from_branches(node: ir.Node, place: int, found: Mapping[ir.Value, Layout]) -> Layout | None:
    ends = [body.outputs[place] for body in bodies(node) if place < len(body.outputs)]
    return next((found[end] for end in ends if end in found and layouts.has(found[end], BATCH)), None)


def _by_size(shape: Shape | None, sizes: Sizes) -> Layout | None:
    """Where nothing else is known, a first axis as long as the batch is the batch."""
    if shape is None:
        return None
    axes = list(layouts.free(shape))
    if shape and shape[0] == sizes.batch and sizes.batch_name is not None:
        axes[0] = layouts.tidy([Atom(BATCH, sizes.batch)])
    return tuple(axes)


def follow(node: ir.Node, known: Layouts, shapes: Mapping[ir.Value, Shape]) -> list[Layout | None]:
    """The layouts of a node's outputs; None where they cannot be told."""
    operands = [None if value is None else _operand(value, known, shapes) for value in node.inputs]
    targets = [shapes.get(value) for value in node.outputs]
    try:
        return _follow(node, operands, targets)
    except (IndexError, ValueError):
        return [None] * len(targets)


def _operand(value: ir.Value, known: Layouts, shapes: Mapping[ir.Value, Shape]) -> Layout | None:
    layout = known.get(value)
    return layout if layout is not None else layouts.free(shapes[value]) if value in shapes else None


def _follow(node: ir.Node, operands: Sequence[Layout | None], targets: Sequence[Shape | None]) -> list[Layout | None]:
    first = operands[0] if operands else None
    target = targets[0] if targets else None
    if target is None or (first is None and node.op_type != "Constant"):
        return [None] * len(targets)
    if first is None:
        return [layouts.free(target)]
    if node.op_type in RECURRENT:
        return [_recurrent(first, shape) for shape in targets]
    rule = RULES.get(node.op_type)
    if rule is not None:
        made = rule(node, first, operands, target)
        return [made if made is not None and layouts.shape(made) == target else None] * len(targets)
    strict = node.op_type in BROADCASTING
    return [None if shape is None else _alike(operands, shape, strict) for shape in targets]


def _alike(operands: Sequence[Layout | None], shape: Shape, strict: bool) -> Layout | None:
    """Axes that keep their place and their size hold what they held."""
    usable = [each for each in operands if each is not None and (strict or len(each) == len(shape))]
    if not strict and operands[0] is not None and len(operands[0]) != len(shape):
        return None
    return layouts.broadcast(usable, shape, strict)


def _recurrent(data: Layout, shape: Shape | None) -> Layout | None:
    """From [time, batch, width] to [time, directions, batch, hidden] or [directions, batch, hidden]."""
    if shape is None or len(data) != 3:
        return None
    axes = list(layouts.free(shape))
    axes[-2] = data[1]
    if len(shape) == 4:
        axes[0] = data[0]
    return tuple(axes)


def _reshaped(_: ir.Node, data: Layout, __: Sequence[Layout | None], target: Shape) -> Layout | None:
    return layouts.reshaped(data, target)


def _transposed(node: ir.Node, data: Layout, _: Sequence[Layout | None], __: Shape) -> Layout:
    return layouts.transposed(data, integers(node, "perm"))


def _product(node: ir.Node, _: Layout, operands: Sequence[Layout | None], target: Shape) -> Layout | None:
    one, other = (operands[place] for place in FACTORS[node.op_type])
    if one is None or other is None or len(one) < 2 or len(other) < 2:
        return None
    row = one[-1] if integer(node, "transA", 0) else one[-2]
    column = other[-2] if integer(node, "transB", 0) else other[-1]
    outer = layouts.broadcast([one[:-2], other[:-2]], target[:-2], strict=True)
    return None if outer is None else (*outer, row, column)


def _gathered(node: ir.Node, data: Layout, operands: Sequence[Layout | None], _: Shape) -> Layout | None:
    axis = integer(node, "axis", 0) % len(data)
    index = operands[1]
    return None if index is None else (*data[:axis], *index, *data[axis + 1 :])


def _reduced(node: ir.Node, data: Layout, operands: Sequence[Layout | None], target: Shape) -> Layout | None:
    """Without its axes, which may be an operand, what was reduced is told by what is left."""
    if len(target) == len(data):
        return layouts.broadcast([data], target, strict=False)
    axes = integers(node, "axes") or ([integer(node, "axis", 0)] if "axis" in node.attributes else None)
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        tensor = ir.convenience.get_const_tensor(node.inputs[1])
        axes = None if tensor is None else [int(axis) for axis in tensor.numpy().ravel()]
    if axes is None:
        return () if not target else None
    gone = {axis % len(data) for axis in axes}
    return tuple(axis for place, axis in enumerate(data) if place not in gone)


def _summed(node: ir.Node, _: Layout, operands: Sequence[Layout | None], __: Shape) -> Layout | None:
    """Einsum: a letter stands for an axis."""
    terms = letters(node)
    if terms is None or any(each is None for each in operands):
        return None
    axes = {}
    for term, layout in zip(terms[:-1], operands, strict=True):
        for letter, axis in zip(term, layout or (), strict=True):
            if letter not in axes or layouts.labels(axis):
                axes[letter] = axis
    return tuple(axes[letter] for letter in terms[-1])


def letters(node: ir.Node) -> list[str] | None:
    """The terms of an Einsum, the result's last, or None for one with dots or without a result."""
    equation = node.attributes["equation"].as_string().replace(" ", "")
    if "." in equation or "->" not in equation:
        return None
    left, right = equation.split("->")
    return [*left.split(","), right]


Rule = Callable[[ir.Node, Layout, Sequence[Layout | None], Shape], Layout | None]
REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
RULES: dict[str, Rule] = {
    **dict.fromkeys(RESHAPING, _reshaped),
    **dict.fromkeys(FACTORS, _product),
    **{f"Reduce{name}": _reduced for name in REDUCTIONS},
    "ArgMax": _reduced,
    "ArgMin": _reduced,
    "Einsum": _summed,
    "Gather": _gathered,
    "Transpose": _transposed,
}
