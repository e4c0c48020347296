"""What `importance` saves by spending passes where the ranking of units is undecided, counted on the shipped networks.

`python -P -m benchmarks.ranking` ablates each unit alone on each example, once, and then replays surveys on what came
out: how many pairs of living units stand in the wrong order after so many passes, and how many passes it takes to be as
good by giving all units equally many examples. Counts alone, so the machine's load doesn't matter. Some minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from service import scoring
from service.examples import paths
from service.schemas import Config
from worker.ablation import alone
from worker.ablation.network import Network
from worker.survey import Survey

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

ORDERS = 10  # of the examples, that figures are means over
SHARES = (128, 256, 512, 1024)  # examples for each unit, that the passes would be enough for
NAMES: tuple[Literal["learned", "memorised"], ...] = ("learned", "memorised")


@dataclass(frozen=True)
class Measured:
    """added: float64[U, N], nats that a unit adds on an example. acts: bool[U, N], does that take a pass?"""

    added: Floats
    acts: Bools

    @property
    def alive(self) -> Bools:
        """Units that fire on some example."""
        return np.asarray(self.acts.any(axis=1))

    def wrong(self, means: Floats) -> float:
        """Share of pairs of living units that stand in another order than on the whole dataset."""
        truth, seen = self.added.mean(axis=1)[self.alive], means[self.alive]
        order = np.sign(seen[:, None] - seen) * np.sign(truth[:, None] - truth)
        return float(np.mean(order[np.triu_indices(len(seen), 1)] < 0))

    def passes(self, order: Ints, met: Ints) -> int:
        """Passes that are run where units meet so many examples of this order."""
        return sum(int(self.acts[unit, order[:count]].sum()) for unit, count in enumerate(met.tolist()))


def measured(name: Literal["learned", "memorised"]) -> Measured:
    """Every unit of a shipped network alone, on every example."""
    model, dataset = paths(name)
    file = onnx.shape_inference.infer_shapes(onnx.load(model))
    network = Network(file.SerializeToString(), file.graph.output[0].name)
    with np.load(dataset) as arrays:
        inputs, labels = {next(iter(network.inputs)): arrays["x"]}, arrays["y"]
    network.mask([site.name for site in network.sites], "zero")
    every, units = np.arange(len(labels)), [site.units for site in network.sites]
    masks = alone.masks(units, np.arange(sum(units)))
    intact = _nats(network.intact(inputs, 0, len(labels)), labels)
    added = [
        _nats(network.outputs(inputs, every, np.full(len(every), unit), masks), labels) - intact
        for unit in range(sum(units))
    ]
    acts: Bools = network.activations(inputs, every)[1].T != 0
    return Measured(np.where(acts, np.stack(added), 0.0), acts)


def _nats(outputs: NDArray[np.float32], labels: Ints) -> Floats:
    scores = outputs.astype(np.float64)
    most = scores.max(axis=1, keepdims=True)
    found: Floats = np.log(np.exp(scores - most).sum(axis=1)) + most[:, 0] - scores[np.arange(len(labels)), labels]
    return found


def surveyed(network: Measured, order: Ints, passes: int) -> Survey:
    """A survey without `top` that may plan so many passes, computed from what is known."""
    config = Config.model_validate({"analyses": ["importance"], "passes": passes})
    survey = Survey(config, len(order), [len(network.added)], 1)
    while not survey.done:
        job = survey.jobs[survey.taken]
        places, which = (each.ravel() for each in np.mgrid[: len(job.units), : job.stop - job.start])
        same, own = np.ones(len(places), np.bool_), network.added[job.units[places], order[job.start + which]]
        pairs = scoring.Pairs(places, which, same, same, own)
        counted = scoring.count_pairs(job.units, np.zeros(job.stop - job.start, np.int64), 1, pairs)
        survey.take({"analysis": "importance", **counted, "passes": len(places), "intact_passes": 0})
    return survey


def rows(network: Measured) -> Iterator[str]:
    """Lines of the table: pairs in the wrong order, and the passes, of both ways of spending."""
    units, examples = network.added.shape
    orders = [np.random.default_rng(seed).permutation(examples) for seed in range(ORDERS)]
    evenly = np.stack([_evenly(network, order) for order in orders]).mean(axis=0)  # pairs in the wrong order, and runs
    for share in SHARES:
        told = []
        for order in orders:
            survey = surveyed(network, order, units * share)
            met = survey.importance.examples
            wrong = network.wrong(survey.importance.total / met)
            told.append((wrong, survey.passes, network.passes(order, met)))
        wrong, planned, run = np.mean(told, axis=0)
        as_good = int(np.flatnonzero(evenly[:, 0] <= wrong)[0])
        yield (
            f"| {units * share:,} | {evenly[share - 1, 0]:.1%} | {wrong:.1%} | {units * (as_good + 1):,} | "
            f"{1 - planned / (units * (as_good + 1)):.0%} | {1 - run / evenly[as_good, 1]:.0%} |"
        )


def _evenly(network: Measured, order: Ints) -> Floats:
    """For each number of examples, from 1: the pairs in the wrong order, and the passes run. float64[N, 2]."""
    means = network.added[:, order].cumsum(axis=1) / np.arange(1, len(order) + 1)
    runs = network.acts[:, order].sum(axis=0).cumsum()
    wrong = [network.wrong(means[:, count]) for count in range(len(order))]
    return np.stack([np.array(wrong), runs], axis=1)


def main() -> None:
    """Print a table for each network."""
    for name in NAMES:
        network = measured(name)
        print(f"{name}: {network.alive.sum()} of {len(network.added)} units fire")
        print(
            "| passes | wrong, even | wrong | even passes as good | fewer planned | fewer run |",
            "|---" * 6 + "|",
            sep="\n",
        )
        for row in rows(network):
            print(row, flush=True)


if __name__ == "__main__":
    main()
