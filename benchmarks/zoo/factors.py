"""Which networks there are: two full factorials, and the series that the paper's figures are drawn from."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

FAMILIES = ("mlp", "conv")
LETTERS = {
    "corruption": "c",
    "width": "w",
    "depth": "l",
    "norm": "n",
    "dropout": "d",
    "decay": "k",
    "rate": "r",
    "batch": "b",
    "seed": "s",
}
GRID = "grid"  # the group that statistics are made of; other groups are for figures


@dataclass(frozen=True)
class Recipe:
    """How one network is made. `seed` draws its weights, its training examples, its wrong labels and its batches."""

    family: str
    group: str
    corruption: float  # share of training labels drawn anew, all classes alike
    width: int  # hidden units of a layer; of a conv net, feature maps of the first
    depth: int  # hidden layers
    norm: bool  # batch normalisation
    dropout: float
    decay: float  # decoupled, as AdamW has it
    rate: float
    batch: int
    seed: int
    checkpoints: int = 0  # so many epochs are kept, and none ends the training early

    @property
    def name(self) -> str:
        """Unique, and fit for a file."""
        told = [f"{LETTERS[name]}{value:g}" for name, value in self.levels().items()]
        return "-".join([self.group, self.family, *told])

    def levels(self) -> dict[str, float]:
        """What varies, by name."""
        skip = ("family", "group", "checkpoints")
        return {name: float(value) for name, value in asdict(self).items() if name not in skip}


# Each value is combined with each other one. The two seeds are the two halves: choices are made on 0, reported on 1.
AXES: dict[str, dict[str, Sequence[Any]]] = {
    "mlp": {
        "decay": (0.0, 0.1),  # first, so that the first half of what is made is a factorial of all others
        "corruption": (0.0, 0.2),
        "width": (64, 160),
        "depth": (1, 3),
        "norm": (False, True),
        "dropout": (0.0, 0.1),
        "rate": (2e-3, 6e-3),
        "batch": (128,),
        "seed": (0, 1),
    },
    "conv": {
        "corruption": (0.0, 0.2),
        "width": (8, 16),
        "norm": (False, True),
        "batch": (32, 128),
        "rate": (2e-3, 6e-3),
        "seed": (0, 1),
    },
}
_PLAIN = {
    "mlp": Recipe("mlp", GRID, 0.0, 128, 2, False, 0.0, 0.0, 1e-3, 64, 0),
    "conv": Recipe("conv", GRID, 0.0, 12, 3, False, 0.0, 0.0, 2e-3, 64, 0),
}
LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
DROPOUTS = (0.0, 0.1, 0.3, 0.5)
EPOCHS = 30  # of the networks that early stopping is tried on


def grid(family: str) -> Iterator[Recipe]:
    """The full factorial of a family."""
    axes = AXES[family]
    for values in itertools.product(*axes.values()):
        yield replace(_PLAIN[family], **dict(zip(axes, values, strict=True)))


def every() -> list[Recipe]:
    """All networks, in the order in which they are made."""
    made = [recipe for family in reversed(FAMILIES) for recipe in grid(family)]
    for family, seeds in (("mlp", 3), ("conv", 2)):
        made += [
            replace(_PLAIN[family], group="ladder", corruption=corruption, seed=seed)
            for corruption in LADDER
            for seed in range(seeds)
        ]
    made += [
        replace(_PLAIN["mlp"], group="dropout", corruption=corruption, dropout=dropout, seed=seed)
        for corruption in (0.0, 0.2)
        for dropout in DROPOUTS
        for seed in range(3)
    ]
    made += [
        replace(_PLAIN["mlp"], group="epochs", corruption=corruption, rate=rate, seed=seed, checkpoints=EPOCHS)
        for corruption in (0.0, 0.2)
        for rate in (1e-3, 4e-3)
        for seed in range(2)
    ]
    return made
