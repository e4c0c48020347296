"""What is asked, of everyone alike: which networks, which forms of the question, how many passes an answer takes.

No torch and nothing of Lesion's service: both environments import it.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

Form = Literal["network", "layer", "importance"]
FORMS: tuple[Form, ...] = ("network", "layer", "importance")
SIZES = (1_000, 10_000, 100_000)
FRACTIONS = 21
MET = 256  # examples that every unit meets when its importance is asked for, however large the dataset
HALF, NORMAL, SURE = 0.01, 1.96, 0.975  # of the interval that is asked for, at 95 %
LEAST = 2  # orderings without which there is no interval at all
LEAST_DRAWN = 8  # orderings that the reference has, and so the spread between them is told from


@dataclass(frozen=True)
class Workload:
    """A network, and the shape of one example.

    part: examples on which loops are timed. whole: by form, examples on which Lesion's grid and importance are: few, so
    that all chunks are timed, for early sites cost more than late ones, and small fractions more than large ones. slow:
    too slow for several rounds of an intact pass over 10,000 examples. largest: examples of the largest dataset that
    `adaptive` is timed on; an intact pass over more takes minutes.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    part: int
    whole: dict[str, int]
    reference: dict[str, int]
    slow: bool = False
    largest: int = SIZES[-1]

    def fits(self, examples: int) -> bool:
        """Is `adaptive` timed on a dataset of so many?"""
        return examples <= self.largest


def _few(network: int, layer: int, importance: int) -> dict[str, int]:
    return {"network": network, "layer": layer, "importance": importance}


def _of(network: int, layer: int = 0) -> dict[str, int]:
    return {"network": network, "layer": layer} if layer else {"network": network}


WORKLOADS = {
    each.name: each
    for each in (
        Workload("mlp", "MLP 784-512-512-256-10 on MNIST", (784,), 2_000, _few(10_000, 2_000, 256), _of(1_000, 1_000)),
        Workload(
            "cnn",
            "CNN of 11 convolutions, 3 x 32 x 32",
            (3, 32, 32),
            256,
            _few(768, 32, 16),
            _of(256, 16),
            slow=True,
            largest=10_000,
        ),
        Workload("residual", "ResNet-20, 3 x 32 x 32", (3, 32, 32), 512, _few(768, 64, 32), _of(1_000, 64)),
        Workload(
            "encoder", "transformer encoder, 4 blocks, 28 tokens", (28, 28), 512, _few(768, 64, 16), _of(1_000, 64)
        ),
        Workload(
            "lite0",
            "EfficientNet-Lite0, 3 x 224 x 224",
            (3, 224, 224),
            32,
            _few(128, 8, 2),
            _of(64),
            slow=True,
            largest=10_000,
        ),
    )
}


def orderings(spread: float) -> int:
    """How many orderings make the 95 % t interval of the mean over them reach no further than HALF; two at least.

    spread: of the areas of single orderings. Whoever draws them knows it from these orderings alone, so that the normal
    quantile would give an interval that covers less than it says.
    """
    from scipy.stats import t  # here: those that it is held against need no scipy

    many = LEAST
    while t.ppf(SURE, many - 1) * spread / sqrt(many) > HALF:
        many += 1
    return many


def passes(form: Form, units: list[int], examples: int, drawn: int) -> int:
    """Forward passes of one example that a loop needs. units: of each site. drawn: orderings."""
    if form == "importance":
        return sum(units) * min(examples, MET)
    return drawn * FRACTIONS * examples * (len(units) if form == "layer" else 1)
