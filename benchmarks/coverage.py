"""Long simulation of the score's promises: `python -m benchmarks.coverage [RUNS [SHAPE]]` prints bias, coverage, cost.

SHAPE: part of a name; only the simulated networks whose name has it are run.
"""

import sys
import time

import numpy as np

from tests.service.scoring import simulation, valued

HEAD = ("shape", "estimator", "+-", "runs", "coverage", "half-life", "score", "bias", "+- se", "half width", "trials")
FORM = "{:33} {:9} {:>5} {:>6} {:>9} {:>13} {:>6} {:>8} {:>7} {:>10} {:>8}"


def row(network: simulation.Network, estimator: str, precision: float, seeds: range) -> str:
    """Evaluate a network once a seed, and set what was published against the truth."""
    known = simulation.truth(network)
    values, covers, halves, spans, widths, trials = [], [], [], [], [], []
    runs = len(seeds)
    for seed in seeds:
        plan = simulation.design(network, seed, "grid" if estimator == "grid" else "adaptive")
        tally, _ = simulation.evaluate(network, known, plan, precision)
        summary = simulation.published(tally, known, plan)
        assert summary.score is not None
        values.append(summary.score.value)
        covers.append(summary.score.low <= known.score <= summary.score.high)
        widths.append((summary.score.high - summary.score.low) / 2)
        trials.append(summary.trials)
        if known.half_life is not None and summary.half_life is not None:
            spans.append((summary.half_life.high - summary.half_life.low) / 2)
            halves.append(summary.half_life.low <= known.half_life <= summary.half_life.high)
    cells = (
        network.name,
        estimator,
        f"{precision:g}" if estimator == "adaptive" else "",
        runs,
        f"{np.mean(covers):.2%}",
    )
    half = f"{np.mean(halves):.1%} {np.mean(spans):.3f}" if halves else "-"
    bias, se = np.mean(values) - known.score, np.std(values, ddof=1) / np.sqrt(runs)
    numbers = (f"{known.score:.3f}", f"{bias:+.5f}", f"{se:.5f}", f"{np.mean(widths):.4f}", f"{np.mean(trials):.0f}")
    return FORM.format(*cells, half, *numbers)


def main(runs: int, part: str = "") -> None:
    print(FORM.format(*HEAD))
    begun = time.perf_counter()
    first = 1_000_000  # seeds that no test uses, and none twice: rows with the same seeds would share their luck
    networks: list[simulation.Network] = [*simulation.shapes().values(), *valued.shapes().values()]
    for network in (each for each in networks if part in each.name):
        for estimator, precision, times in (
            ("adaptive", 0.01, runs),
            ("adaptive", 0.05, runs),
            ("grid", 0.0, runs // 10),
        ):
            seeds = range(first, first + max(times, 2))
            first += len(seeds)
            print(row(network, estimator, precision, seeds), flush=True)
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000, *sys.argv[2:3])
