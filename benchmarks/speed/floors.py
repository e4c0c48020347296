"""What cannot be spared: multiply-adds of one pass, and the share of them that is left when work is shared."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from benchmarks.speed.questions import FRACTIONS, SIZES, WORKLOADS
from worker.ablation import batches, flops, prefix, pruned
from worker.ablation.network import Network
from worker.ablation.prefix import Prefix
from worker.formats.models import read_onnx

Shape = tuple[int, ...]


def floors(name: str, folder: Path) -> dict[str, Any]:
    """sites, units; millions of multiply-adds; what share of them a grid over all sites needs."""
    read = read_onnx((folder / f"{name}.onnx").read_bytes())
    network = Network(read.data, read.output)
    network.mask([site.name for site in network.sites], "zero")
    network.multiplies = True
    shape = WORKLOADS[name].shape
    whole = network.multiply_adds({"x": shape}) or 1
    units = [site.units for site in network.sites]
    # What comes before all masks is computed once for each example, and so for all fractions of at least one ordering.
    shared = prefix.of(network, {"x": np.broadcast_to(np.float32(0), (SIZES[1], *shape))})
    first = 0 if shared is None else (whole - shared.work) / FRACTIONS
    # Where nothing is lost, the intact pass has the answer.
    hurt = range(1, FRACTIONS)
    left = [0.0, *((first + _pruned(network, shared, step / (FRACTIONS - 1), shape)) / whole for step in hurt)]
    return {
        "sites": len(units),
        "units": sum(units),
        "million": whole / 1e6,
        "network": float(np.mean(left)),
    }


def _pruned(network: Network, shared: Prefix | None, fraction: float, shape: Shape) -> int:
    generator = np.random.default_rng(0)
    masks = [generator.permutation(site.units) >= np.floor(fraction * site.units + 0.5) for site in network.sites]
    if shared is None:
        model, tails = network.grafted(), {"x": shape}
        pruned.prune(model, network.scope, masks)
        return _work(model, tails)
    model = shared.behind
    columns = pruned.prune(model, network.scope, masks, shared.names)
    first = np.zeros(1, np.int64)
    tails = {name: array.shape[1:] for name, array in shared.feed(first).items() if name in shared.names}
    for name, left in columns.items():
        tails[name] = tuple(len(left.kept) if at == left.axis else size for at, size in enumerate(tails[name], 1))
    return _work(model, tails)


def _work(model: ir.Model, tails: dict[str, Shape]) -> int:
    plain = ir.serde.serialize_model(model)
    del plain.graph.value_info[:]
    again = ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(plain))
    batches.fill(again, tails)
    found = flops.multiply_adds(again)
    assert found is not None, "all sizes are known"
    return found
