"""A network without its lost units: where one lesion serves many examples, what nothing reads is not computed.

The masks become constants. Where a lost unit's channel can be followed to the products that read it and back to the one
that makes it, all three lose it; elsewhere, as before a residual addition, multiplying by a constant is what remains.
Sums have fewer terms then, so that outputs may differ in their last bits from those of the whole network with masks.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation import cuts, graft, layouts, ways, wiring
from worker.ablation.cuts import APART, Columns, Cuts, Lost
from worker.ablation.sites import Site

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
ZERO_STAYS = frozenset(["HardSwish", "Identity", "LeakyRelu", "Relu", "Tanh", *APART])


def prune(
    model: ir.Model, sites: Sequence[Site], masks: Sequence[Bools], free: Sequence[str] = ()
) -> dict[str, Columns]:
    """Put a lesion into a grafted model, in place: bool[units] a site; True = kept. Its masks must be those of float32.

    Masks that cannot be constants, because the network takes the number of examples from them, stay inputs.
    free: inputs that may come without the channels that are lost; gives those that are to, and what is left of them.
    """
    asked: dict[str, Columns] = {}
    for index, (site, mask) in enumerate(zip(sites, masks, strict=True)):
        given = next(value for value in model.graph.inputs if value.name == graft.mask_name(index))
        if given.dtype != ir.DataType.FLOAT or _tells_the_batch(site):
            continue
        factors = mask.astype(np.float32).reshape(graft.mask_shape(site, 1))
        fixed = cuts.constant(model, f"{given.name}_fixed", factors)
        for node, place in list(given.uses()):
            node.replace_input_with(place, fixed)
        model.graph.inputs.remove(given)
        if ways.is_fast(site):
            for node in list(dict.fromkeys(node for node, _ in fixed.uses())):
                if not _drop(model, node, mask, _axis(site), free, asked):
                    _fold(model, node, mask)
    for node in model.graph:
        for value in node.outputs:
            value.shape = None  # which may have changed; onnxruntime finds it again
    return asked


def _tells_the_batch(site: Site) -> bool:
    return any(len(axis) > 1 and layouts.BATCH in layouts.labels(axis) for layout in site.layouts for axis in layout)


def _axis(site: Site) -> int:
    [axis] = [place for place, each in enumerate(site.layouts[0]) if layouts.UNIT in layouts.labels(each)]
    return axis


def _drop(
    model: ir.Model, masking: ir.Node, mask: Bools, axis: int, free: Sequence[str], asked: dict[str, Columns]
) -> bool:
    """Let the channels of a site's lost units go, if all that reads and makes them can be cut."""
    kept = np.flatnonzero(mask)
    value, rank = masking.inputs[0], len(masking.outputs[0].shape or ())
    if len(kept) == len(mask) or value is None or rank == 0:
        return False
    if len(kept) == 0:
        kept = np.zeros(1, np.int64)  # of no channel, runtimes know little; this one stays zero
    cut = Cuts(model, len(mask), kept, frozenset(free) - asked.keys())
    if not cut.ahead(masking.outputs[0], axis, rank):
        return False
    cut.seen[value] = Lost(axis, users={masking})
    if not cut.behind(value, axis, rank) or not cut.alone():
        return False
    cut.take(masking, 1, axis)
    cut.apply()
    for given, along in cut.given.items():
        asked[given.name or ""] = Columns(along, kept)
        given.shape = ir.Shape([len(kept) if place == along else size for place, size in enumerate(given.shape or [])])
    if mask.any():  # what is left of the mask is ones
        _pass_by(masking)
    return True


def _fold(model: ir.Model, masking: ir.Node, mask: Bools) -> None:
    """Put the mask into the layer's weights, if nothing but what keeps a zero stands between."""
    value = masking.inputs[0]
    while value is not None and len(list(value.uses())) == 1 and (node := value.producer()) is not None:
        if node.op_type == "Conv" and node.graph is model.graph and not cuts.is_output(model, value):
            arrays = [wiring.numbers(each) for each in node.inputs[1:]]
            if all(each is not None and each.shape[0] == len(mask) for each in arrays):
                for place, array in enumerate(arrays, 1):
                    assert array is not None
                    factors = mask.astype(array.dtype).reshape(-1, *([1] * (array.ndim - 1)))
                    name = f"lesion_folded_{len(model.graph.initializers)}"
                    node.replace_input_with(place, cuts.constant(model, name, array * factors))
                _pass_by(masking)
            return
        if not (node.op_type in ZERO_STAYS or _clips_around_zero(node)) or cuts.is_output(model, value):
            return
        value = node.inputs[0]


def _pass_by(masking: ir.Node) -> None:
    value = masking.inputs[0]
    assert value is not None
    for node, place in list(masking.outputs[0].uses()):
        node.replace_input_with(place, value)
    assert isinstance(masking.graph, ir.Graph)
    masking.graph.remove(masking, safe=True)


def _clips_around_zero(node: ir.Node) -> bool:
    if node.op_type != "Clip" or node.attributes:
        return False
    ends = [wiring.numbers(value) for value in node.inputs[1:]]
    low, high = (*ends, None, None)[:2]
    return (
        low is not None
        and high is not None
        and bool((np.asarray(low, float) <= 0).all() and (np.asarray(high, float) >= 0).all())
    )
