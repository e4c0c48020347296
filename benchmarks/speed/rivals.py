"""Times one rival on one question, in a process of its own: `python -m benchmarks.speed.rivals ...`, JSON on stdout.

What takes hours is measured in part: masks and units are drawn evenly from all that would be asked, until the seconds
are over, and the passes that were made are told beside the seconds that they took.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed import data
from benchmarks.speed.loops import LOOPS, Captum
from benchmarks.speed.questions import WORKLOADS, Form
from worker.ablation import alone, trials
from worker.ablation.trials import Design

BATCHES = (32, 128, 512)  # of which the fastest is taken, before anything is timed
AT_ONCE = (1, 4, 16, 64)  # Captum's `perturbations_per_eval`, likewise
CAPTUM_EXAMPLES, CAPTUM_UNITS = 8, 32  # of one call
GOLDEN = 0.6180339887498949


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rival", choices=[*LOOPS, "captum"])
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("form", choices=["network", "layer", "importance"])
    parser.add_argument("--seconds", type=float, default=2.0)
    asked = parser.parse_args()
    found = (_captum if asked.rival == "captum" else _loop)(asked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "peak_mib": peak}))


def lesions(form: Form, units: list[int]) -> list[list[NDArray[np.bool_]]]:
    """Masks, evenly from all that a loop would go through: of one ordering, or of single units."""
    if form == "importance":
        total = sum(units)
        chosen = np.unique((np.arange(128) * GOLDEN % 1 * total).astype(np.int64))
        np.random.default_rng(0).shuffle(chosen)
        return [alone.masks(units, np.array([unit])) for unit in chosen]
    design = Design(0, 1, tuple(units), "grid", separate=form == "layer", orderings=1)
    # Over a dataset of one example a chunk holds an ordering's fractions.
    chunks = [trials.draw(design, index) for index in range(trials.chunks(design) or 0)]
    found = [[mask[row : row + 1] for mask in each.masks] for each in chunks for row in range(len(each.fractions))]
    order = np.argsort(np.arange(len(found)) * GOLDEN % 1)
    return [found[place] for place in order]


def _loop(asked: Any) -> dict[str, Any]:
    work = WORKLOADS[asked.workload]
    x, y = data.examples(work.name, asked.folder, 0, work.part)
    rival = LOOPS[asked.rival](work.name, asked.folder)
    units = [place.units for place in rival.places]
    masks = [[mask[0] for mask in each] for each in lesions(asked.form, units)] if units else [[]]
    batch = _fastest(lambda size: _timed(lambda: rival.ask(x[:size], masks[0]), min(size, len(x))), BATCHES)
    passes, right, began = 0, 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < asked.seconds:
        mask = masks[passes // batch % len(masks)]
        start = passes % (len(x) - batch + 1) if batch < len(x) else 0
        rows = slice(start, start + batch)
        right += int((rival.ask(x[rows], mask).argmax(1) == y[rows]).sum())
        passes += len(x[rows])
    return {"passes": passes, "seconds": seconds, "batch": batch, "units": [p.units for p in rival.places]}


def _captum(asked: Any) -> dict[str, Any]:
    """Single units, or the two halves of a mask: what is lost as one group, and what is kept as another."""
    work = WORKLOADS[asked.workload]
    x, _ = data.examples(work.name, asked.folder, 0, CAPTUM_EXAMPLES)
    rival = Captum(work.name, asked.folder)
    units = [place.units for place in rival.places]
    at = sorted(range(len(units)), key=lambda site: (site + 1) * GOLDEN % 1)
    if asked.form == "importance":
        # By how many units each site has, since a site of many takes more of the passes.
        spread = np.repeat(np.arange(len(units)), units)
        at = [int(spread[int((i + 0.5) * GOLDEN % 1 * len(spread))]) for i in range(64)]

    def ask(site: int, at_once: int, examples: Any = x) -> int:
        if asked.form == "layer":
            return rival.features(examples, site, np.arange(units[site]) % 2, at_once)
        return rival.features(examples, site, np.minimum(np.arange(units[site]), CAPTUM_UNITS), at_once)

    at_once = _fastest(lambda many: _timed(lambda: ask(at[0], many), 1), AT_ONCE)
    passes, calls, began = 0, 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < asked.seconds:
        passes += ask(at[calls % len(at)], at_once)
        calls += 1
    # Of four evaluations of a mask (the intact one twice, each group once) one is an answer.
    useful = passes if asked.form == "importance" else calls * len(x)
    return {"passes": useful, "seconds": seconds, "batch": at_once, "units": units}


def _fastest(cost: Any, choices: tuple[int, ...]) -> int:
    return min(choices, key=cost)


def _timed(ask: Any, examples: int) -> float:
    ask()
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) / examples


if __name__ == "__main__":
    main()
