"""Simulated networks measured by other metrics than accuracy: every output is known for every set of kept units."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.scoring import METRICS, Payload, Reference
from tests.service.scoring.simulation import counted_with
from worker import lots, metrics
from worker.ablation.trials import Design, Trials
from worker.targets import Target

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Valued:
    """A network of one site, as a table of each example's value for each set of kept units: [N, 2**units].

    The trials of `adaptive` are drawn by weight, the grid's are weighed, as a worker does it.
    """

    name: str
    metric: str
    target: Target
    table: NDArray[Any]
    separate: bool = False

    @property
    def units(self) -> tuple[int, ...]:
        return (int(np.log2(self.table.shape[1])),)

    @property
    def examples(self) -> int:
        return len(self.table)

    @cached_property
    def _ends(self) -> Floats:
        assert self.target.lots is not None
        return lots.shelves(self.target.lots)

    @property
    def weights(self) -> Floats:
        return np.ones(self.examples) if self.target.weights is None else self.target.weights

    def drawn(self, trials: Trials, plan: Design, index: int) -> NDArray[np.int64]:
        """The examples of a chunk's trials."""
        if self.target.lots is None or plan.estimator == "grid":
            return trials.examples
        return lots.drawn(self._ends, trials.examples, plan.seed, index)

    def count(self, trials: Trials, plan: Design, index: int) -> Payload:
        examples = self.drawn(trials, plan, index)
        sets = trials.masks[0] @ (1 << np.arange(self.units[0]))
        values, intact = self.table[examples, sets[trials.lesions]], self.table[examples, -1]
        if self.target.lots is not None and plan.estimator == "adaptive":
            values, intact = (self.target.drawn(each, examples) for each in (values, intact))
        elif self.target.weights is not None:
            values = values * self.weights[examples]
        return counted_with(plan, trials, values, intact)

    def heights(self, fraction: float, group: int) -> float:
        units = self.units[0]
        kept = units - np.floor(fraction * units + 0.5)
        sizes = np.array([each.bit_count() for each in range(2**units)])
        return float(self.weights @ self.table[:, sizes == kept].mean(axis=1) / self.weights.sum())

    def reference(self, first: float) -> Reference:
        values = self.table[:, -1]
        intact = self.target.intact(values)
        assert abs(intact.value - first) < 1e-9
        seen = values.astype(np.float32)
        return Reference(METRICS[self.metric], intact, self.target.chance, self.target.counts, seen)


def _outputs(rng: np.random.Generator, wanted: NDArray[Any], units: int, noise: float) -> Floats:
    """float64[2**units, N, K]: what N examples want, spread over units that each carry a noisy part of it."""
    examples, columns = wanted.shape
    parts = rng.dirichlet(np.full(units, 2.0), examples)[:, :, None] * wanted[:, None, :]
    parts = parts + noise * rng.standard_normal((examples, units, columns)) / np.sqrt(units)
    kept = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
    found: Floats = np.einsum("su,nuk->snk", kept, parts)
    return found


def _valued(name: str, metric: str, target: Target, outputs: Floats) -> Valued:
    every = np.arange(outputs.shape[1])
    return Valued(name, metric, target, np.stack([target.values(each, every) for each in outputs], axis=1))


def classified(
    name: str,
    metric: str,
    frequencies: list[float],
    *,
    sharp: float,
    noise: float,
    weights: int = 1,
    examples: int = 400,
) -> Valued:
    """A classifier whose intact logits favour the label by `sharp`; weights from 1 to `weights`."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(
        np.repeat(np.arange(len(frequencies)), np.rint(np.array(frequencies) * examples).astype(int))
    )
    wanted = sharp * np.eye(len(frequencies))[labels] * rng.gamma(3, 1 / 3, (len(labels), 1))
    found = {"name": "out", "classes": len(frequencies), "kind": "classes", "probabilities": False}
    heavy = rng.integers(1, weights + 1, len(labels)).astype(np.float64) if weights > 1 else None
    target = metrics.target(metric, 2 if metric == "top_k" else None, found, labels, heavy)
    return _valued(name, metric, target, _outputs(rng, wanted, 8, noise))


def labelled_tokens(name: str, metric: str) -> Valued:
    """Sentences of 1 to 12 tokens, each with a label of 4."""
    rng = np.random.default_rng(6)
    labels = rng.choice(4, (200, 12), p=[0.55, 0.2, 0.15, 0.1])
    labels[np.arange(12) >= rng.integers(1, 13, (200, 1))] = -100
    wanted = 4.0 * np.eye(4)[np.maximum(labels, 0)].reshape(200, 48)
    found = {"name": "out", "classes": 4, "kind": "tokens", "probabilities": False}
    outputs = _outputs(rng, wanted, 8, 2.5)
    return _valued(name, metric, metrics.target(metric, None, found, labels, None), outputs.reshape(256, 200, 12, 4))


def regressed(name: str, *, freedom: float, noise: float, columns: int = 1, examples: int = 400) -> Valued:
    """A regression on labels that follow Student's t with few degrees of freedom: a few lie far out."""
    rng = np.random.default_rng(8)
    labels = rng.standard_t(freedom, (examples, columns))
    return _valued(name, "r2", metrics.target("r2", None, {}, labels, None), _outputs(rng, labels, 8, noise))


def shapes() -> dict[str, Valued]:
    """The metrics and the awkward distributions for which coverage is checked."""
    many, rare = [0.1] * 10, [0.98, 0.02]
    networks = [
        classified("cross-entropy", "cross_entropy", many, sharp=8, noise=3),
        classified("cross-entropy, overconfident", "cross_entropy", many, sharp=30, noise=8),
        classified("cross-entropy, 8,000 examples", "cross_entropy", many, sharp=30, noise=8, examples=8000),
        classified("cross-entropy, rare class", "cross_entropy", [0.9, 0.1], sharp=8, noise=2),
        classified("top 2", "top_k", many, sharp=8, noise=6),
        classified("accuracy, weights 1 to 20", "accuracy", many, sharp=8, noise=6, weights=20),
        classified("balanced, a class of 2 %", "balanced_accuracy", rare, sharp=6, noise=3, examples=500),
        classified("balanced, 2 % and weights", "balanced_accuracy", rare, sharp=6, noise=3, weights=20, examples=500),
        labelled_tokens("tokens", "accuracy"),
        labelled_tokens("tokens, balanced", "balanced_accuracy"),
        labelled_tokens("tokens, cross-entropy", "cross_entropy"),
        regressed("R2", freedom=30, noise=0.3),
        regressed("R2, heavy tails", freedom=2.5, noise=0.3),
        regressed("R2, heavy tails, 8,000 examples", freedom=2.5, noise=0.3, examples=8000),
        regressed("R2, heavy tails, 3 columns", freedom=2.5, noise=0.5, columns=3),
    ]
    return {network.name: network for network in networks}
