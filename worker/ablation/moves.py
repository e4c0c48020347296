"""How axes move through Reshape and Transpose, and which of them a Shape is asked for."""

import numpy as np
import onnx_ir as ir

from worker.ablation import wiring


def shape(value: ir.Value | None) -> list[object]:
    """The sizes of its axes, numbers or names; none where they are not known."""
    return [] if value is None or value.shape is None else list(value.shape)


def keeps(node: ir.Node, before: list[object], after: list[object], axes: int) -> bool:
    """Does a Reshape keep so many first axes as they are? Zeros in its numbers can say so."""
    same = len(before) > axes and len(after) > axes and before[:axes] == after[:axes]
    return same and None not in before[:axes] and not wiring.integer(node, "allowzero", 0)


def order(node: ir.Node, rank: int) -> list[int]:
    """Which axis of its operand each axis of a Transpose is."""
    return wiring.integers(node, "perm") or list(range(rank))[::-1]


def softmax_axis(node: ir.Node, model: ir.Model, rank: int) -> int:
    """The first axis that a Softmax sums over; before opset 13 it was the second one unless another was named."""
    usual = -1 if (model.opset_imports.get("") or 1) >= 13 else 1
    return wiring.integer(node, "axis", usual) % rank


def measures_others(node: ir.Node, axis: int, rank: int) -> bool:
    """Does whoever asks for a shape look at other axes only?"""
    axes = np.arange(rank)[wiring.integer(node, "start", 0) : wiring.integer(node, "end", rank)]
    for user, place in node.outputs[0].uses():
        numbers = [wiring.numbers(value) for value in user.inputs[1:]]
        if place != 0 or any(each is None for each in numbers):
            return False
        known = [np.atleast_1d(np.asarray(each)) for each in numbers if each is not None]
        if user.op_type == "Gather":
            looked = axes.take(known[0], mode="wrap")
        elif user.op_type == "Slice" and len(known) == 2:
            looked = axes[int(known[0][0]) : int(known[1][0])]
        else:
            return False
        if axis in looked:
            return False
    return True


def size(value: ir.Value | None, axis: int) -> object:
    """The size of one axis, a number or a name."""
    sizes = shape(value)
    return sizes[axis] if axis < len(sizes) else None
