"""What is right, and how far orderings lie apart: many orderings, 21 fractions, every example, no sampling of anything.

`python -m benchmarks.speed.reference ...` runs the engine in its own process, without a service, for as many orderings
as there is time for. It keeps who answered right at which fraction, so that two things can be told apart that a list of
areas mixes: how far orderings lie apart on any dataset, and what each of these examples adds by itself.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed import data
from benchmarks.speed.questions import FRACTIONS, LEAST_DRAWN, WORKLOADS
from service.scoring.interval import missed
from worker.ablation import trials
from worker.ablation.network import Network
from worker.ablation.shared import Shared
from worker.ablation.trials import Design
from worker.formats.models import read_onnx

MOST = 256  # orderings
SEED = 20_261_126  # not one of those that are timed
TRIED = 64  # examples on which it is found out whether masks may multiply

Floats = NDArray[np.float64]


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("form", choices=["network", "layer"])
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0, help=f"but {LEAST_DRAWN} orderings at least")
    asked = parser.parse_args()
    x, y = data.examples(asked.workload, asked.folder, 0, asked.examples)
    began = time.perf_counter()
    found = areas((asked.folder / f"{asked.workload}.onnx").read_bytes(), x, y, asked.form == "layer", asked.seconds)
    print(json.dumps({**told(*found), "seconds": time.perf_counter() - began}))


def areas(model: bytes, x: Any, y: NDArray[np.int64], separate: bool, seconds: float) -> tuple[Floats, Floats]:
    """The areas under each example's curve, float64[orderings, examples]; the mean of all curves, float64[FRACTIONS].

    Of scope layer, the mean over the sites.
    """
    read = read_onnx(model)
    network = Network(read.data, read.output, threads=2)
    network.mask([site.name for site in network.sites], "zero")
    [name] = network.inputs
    network.multiply({name: x[:TRIED]})
    shared, units = Shared(network), tuple(site.units for site in network.sites)
    design = Design(SEED, len(x), units, "grid", separate, orderings=MOST, fractions=FRACTIONS)
    chunks = trials.chunks(design) or 0
    each = chunks // MOST  # whole orderings come first
    began, found, heights = time.perf_counter(), [], []
    for ordering in range(MOST):
        right = np.zeros((design.groups * FRACTIONS, len(x)))
        for index in range(ordering * each, (ordering + 1) * each):
            drawn = trials.draw(design, index)
            outputs = shared.outputs({name: x}, drawn.examples, drawn.lesions, drawn.masks)
            group, step = np.divmod(drawn.cells, MOST * FRACTIONS)
            right[group * FRACTIONS + step % FRACTIONS, drawn.examples] = outputs.argmax(1) == y[drawn.examples]
        curves = right.reshape(design.groups, FRACTIONS, len(x)).mean(axis=0)
        found.append(np.trapezoid(curves, dx=1 / (FRACTIONS - 1), axis=0))
        heights.append(curves.mean(axis=1))
        if len(found) >= LEAST_DRAWN and time.perf_counter() - began > seconds:
            break
    return np.stack(found), np.mean(heights, axis=0)


def told(found: Floats, heights: Floats) -> dict[str, Any]:
    """The area, how certain it is for these examples, and the two variances of an analysis by orderings and examples.

    missed: what trapezoids between so few heights may be wrong by, as the estimator `grid` bounds it.

    With areas a[o, e] = m + orderings[o] + examples[e] + rest[o, e], between is the variance of `orderings`, rest that
    of `rest`: the mean over N examples of one ordering has the variance between + rest / N (two crossed random effects;
    Searle, Casella, McCulloch, Variance Components, 1992, section 4.3).
    """
    many, examples = found.shape
    by_ordering = found.mean(axis=1)
    apart = found - by_ordering[:, None] - found.mean(axis=0) + found.mean()
    rest = float((apart**2).sum() / ((many - 1) * max(examples - 1, 1)))
    whole = float(by_ordering.var(ddof=1))
    return {
        "auc": float(found.mean()),
        "deviation": float(np.sqrt(whole / many)),
        "missed": missed(heights),
        "orderings": many,
        "between": max(whole - rest / examples, 0.0),
        "rest": rest,
    }


if __name__ == "__main__":
    main()
