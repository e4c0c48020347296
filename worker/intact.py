"""The intact network shown the dataset, or the examples of the first trials; labels and values stay in this process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.schemas import Config
from worker import bounds
from worker.ablation import trials
from worker.ablation.trials import Design
from worker.sandbox.parent import Child
from worker.targets import Bools, Floats, Ints, Target

BLOCK = 4096  # examples asked for at once; small enough to notice a lost claim soon


@dataclass(frozen=True)
class IntactPass:
    """at_once: of how many examples outputs fit into memory. weighed: are trials' examples drawn by weight? examples:
    a chunk's, from its index and its places."""

    child: Child
    target: Target
    at_once: int
    weighed: bool
    examples: Callable[[int, Ints], Ints]

    def whole(self, examples: int) -> Bools | Floats:
        """Values of all examples, [N]."""
        shown = blocks(self.child, examples, self.at_once)
        return np.asarray(np.concatenate([self.target.values(each, at) for at, each in shown]))

    def part(self, config: Config, metric: str, design: Design) -> bounds.Part | None:
        """As many trials' examples as are enough; None where that is the whole dataset."""

        def show(low: int, high: int) -> tuple[Ints, Bools | Floats]:
            chunks = [self.examples(each, trials.pushed(design, each)) for each in range(low, high)]
            examples = np.concatenate(chunks)
            return examples, self._shown(examples, design.units)

        return bounds.part(config, metric, design, chance=self.target.chance, weighed=self.weighed, show=show)

    def _shown(self, examples: Ints, units: tuple[int, ...]) -> Bools | Floats:
        """Values as trials of these examples would have them, [T]; each is shown once."""
        once, places = np.unique(examples, return_inverse=True)
        kept = [np.ones((1, each), np.bool_) for each in units]
        found: list[Any] = []
        step = min(BLOCK, self.at_once)
        for start in range(0, len(once), step):
            now = once[start : start + step]
            outputs = self.child.outputs(now, np.zeros(len(now), np.int64), kept)
            found.append(self.target.values(outputs, now))
        values = np.asarray(np.concatenate(found)[places])
        return self.target.drawn(values, examples) if self.weighed else values


def blocks(child: Child, examples: int, at_once: int) -> Iterator[tuple[Ints, NDArray[np.float32]]]:
    """The intact network's outputs for all examples, some at a time."""
    step = min(BLOCK, at_once)
    for start in range(0, examples, step):
        stop = min(start + step, examples)
        yield np.arange(start, stop), child.intact(start, stop)
