"""A product right behind a site that loses units alone: along an ordering, from lesion to lesion only what differs.

Of nested lesions each keeps what the one before it kept, and some units more. So the product of what is kept is that of
the lesion before plus that of those units: all lesions together cost one product, where each would cost a whole one.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import graft, halves, sessions, wiring
from worker.ablation.network import Array, Floats, Ints, Network
from worker.ablation.sessions import Session

Bools = NDArray[np.bool_]
LEAST_SHARE = 0.25  # of the multiply-adds behind the masks that are the product's; below that, the gain is eaten up
MOST_NUMBERS = 16 * 1024**2  # of the products of all lesions of a batch
SUM = "lesion_sum"


@dataclass(frozen=True)
class Sums:
    """value: what crosses and is masked. weights: float32[units, M]. adding: c + a b. rest: takes the product."""

    value: str
    weights: Floats
    adding: Session
    rest: Session

    def outputs(self, network: Network, crossing: dict[str, Array], places: Ints, masks: Bools) -> Floats:
        """Outputs float32[T, L, *tail] for T places of what crosses, and masks bool[L, units].

        Each mask keeps what the one before it keeps.
        """
        given = crossing[self.value][places]
        total, kept = np.zeros((len(places), self.weights.shape[1]), np.float32), np.zeros(masks.shape[1], np.bool_)
        totals = []
        for mask in masks:
            more = np.flatnonzero(mask & ~kept)
            if len(more):
                feed = {"a": given.take(more, axis=1), "b": self.weights[more], "c": total}
                [total] = sessions.run(self.adding, feed)
            totals.append(total)
            kept = mask
        taken = {value.name for value in self.rest.get_inputs()}
        feed = {
            name: np.tile(array[places], (len(masks), *[1] * (array.ndim - 1)))
            for name, array in crossing.items()
            if name in taken
        }
        feed[SUM] = np.concatenate(totals)
        found = network.answer(self.rest, feed, len(masks) * len(places))
        return np.moveaxis(found.reshape(len(masks), len(places), *found.shape[1:]), 0, 1)


def made(network: Network, behind: ir.Model, crossing: list[str], rows: list[bool], work: int | None) -> Sums | None:
    """Of a copy of what is behind one site's masks, which is changed; None where there is no such product, or it is not
    worth it by arithmetic. work: multiply-adds of one example there.
    """
    [mask] = [value for value in behind.graph.inputs if value.name == graft.mask_name(0)]
    uses = list(mask.uses())
    if len(uses) != 1 or network.fixed_batch is not None or not network.multiplies or not all(rows):
        return None
    masking = uses[0][0]
    value, users = masking.inputs[0], list(masking.outputs[0].uses())
    if masking.op_type != "Mul" or value is None or value.name not in crossing or len(users) != 1:
        return None
    product, place = users[0]
    weights = _weights(product) if place == 0 and len(value.shape or ()) == 2 else None
    if weights is None or not work or weights.size < LEAST_SHARE * work:
        return None
    _replace(behind, product)
    behind.graph.remove([product, masking], safe=True)
    halves.tidy(behind)
    return Sums(value.name or "", weights, network.session(_adding(behind), ["y"]), network.session(behind))


def _weights(product: ir.Node) -> Floats | None:
    """float32[units, M] of a product of one axis with constants."""
    found = wiring.numbers(product.inputs[1]) if product.op_type in ("Gemm", "MatMul") else None
    if found is None or found.ndim != 2 or found.dtype != np.float32 or wiring.integer(product, "transA", 0):
        return None
    if any(name in product.attributes and product.attributes[name].as_float() != 1 for name in ("alpha", "beta")):
        return None
    return np.ascontiguousarray(found.T if wiring.integer(product, "transB", 0) else found, np.float32)


def _replace(model: ir.Model, product: ir.Node) -> None:
    """Let what read a product read an input instead, with the bias that the product had."""
    result = product.outputs[0]
    given = ir.Value(name=SUM, type=result.type, shape=result.shape)
    model.graph.inputs.append(given)
    bias = product.inputs[2] if len(product.inputs) > 2 else None
    reading = ir.Node("", "Identity", [given]) if bias is None else ir.Node("", "Add", [given, bias])
    model.graph.insert_before(product, reading)
    [read] = reading.outputs
    read.name, read.type, read.shape = result.name, result.type, result.shape
    result.name = "lesion_product"
    for node, place in list(result.uses()):
        node.replace_input_with(place, read)
    model.graph.outputs[:] = [read if end is result else end for end in model.graph.outputs]


def _adding(like: ir.Model) -> ir.Model:
    """y = a b + c, of matrices of any size."""
    kind = ir.TensorType(ir.DataType.FLOAT)
    values = [ir.Value(name=name, type=kind, shape=ir.Shape([f"{name}0", f"{name}1"])) for name in "abc"]
    node = ir.Node("", "Gemm", values)
    [result] = node.outputs
    result.name, result.type, result.shape = "y", kind, ir.Shape(["c0", "c1"])
    graph = ir.Graph(values, [result], nodes=[node], opset_imports=dict(like.opset_imports), name="adding")
    return ir.Model(graph, ir_version=like.ir_version)
