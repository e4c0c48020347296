"""What a curve is held against: the metric, its value for the intact network, and for the best constant answer."""

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Level = TypeVar("Level", float, NDArray[np.float64])
LEAST_MARGIN = 0.05  # between A(0) and chance, in the metric's own unit; with less the score divides by noise
PROBABILITY_FLOOR = 1e-12  # a probability counts as no smaller, so no answer costs more than 27.6 nats


@dataclass(frozen=True)
class Metric:
    """A metric's name, and the least and the largest value of one trial. rising: larger is worse."""

    name: str
    low: float = 0.0
    high: float = 1.0
    rising: bool = False

    @property
    def share(self) -> bool:
        """Is its value a share of right answers?"""
        return (self.low, self.high) == (0.0, 1.0)

    def inside(self, value: float) -> float:
        """The value, or the nearest bound."""
        return max(self.low, min(value, self.high))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy"),
        Metric("top_k"),
        Metric("balanced_accuracy"),
        Metric("cross_entropy", 0.0, -math.log(PROBABILITY_FLOOR), rising=True),
        Metric("r2", -math.inf, 1.0),
        Metric("agreement"),
    )
}


@dataclass(frozen=True)
class Intact:
    """The intact network's values over the dataset, or a part of it, and what they tell of where that came from.

    total: sum of the weighted values; examples: how many, so A(0) = total / examples. effective: as how many examples
    of equal weight they count (Kish, 1965); None where A(0) is known by definition. error: standard error of A(0) as
    that of a sample, where it isn't that of a plain share. of: how many examples the dataset has, where they are a
    part of it. doubt: then the variance of A(0) as an estimate of the whole dataset's.
    """

    total: float
    examples: int
    effective: float | None
    error: float | None = None
    of: int | None = None
    doubt: float = 0.0

    @classmethod
    def counted(cls, right: int, examples: int) -> "Intact":
        """Right answers of examples that weigh the same."""
        return cls(right, examples, examples)

    @property
    def value(self) -> float:
        """A(0)."""
        return self.total / self.examples


@dataclass(frozen=True)
class Reference:
    """What a curve is held against. binary: every trial's value is 0 or 1, so that totals are exact counts.

    chance: the metric's value for the best constant answer on this dataset. seen: float32[n], what the intact network
    gave to the first n trials' examples, where A(0) is counted on those; else float32[N], to all examples.
    Raises ValueError where A(0) or chance can be no value of the metric, or where there is no example.
    """

    metric: Metric
    intact: Intact
    chance: float
    binary: bool = True
    seen: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.intact.examples < 1:
            raise ValueError("a dataset has examples")
        for value in (self.intact.value, self.chance):
            if not (self.metric.low - 1e-9 <= value <= self.metric.high + 1e-9 and math.isfinite(value)):
                raise ValueError(f"{value} is no value of {self.metric.name}")

    @property
    def examples(self) -> int:
        """How many examples A(0) is counted on: of a grid, the whole dataset."""
        return self.intact.examples

    @property
    def first(self) -> float:
        """A(0)."""
        return self.intact.value

    @property
    def margin(self) -> float:
        """How much better the intact network is than the best constant answer, whichever way the metric runs."""
        return self.chance - self.first if self.metric.rising else self.first - self.chance

    @property
    def scored(self) -> bool:
        """Is there enough to lose for a score?"""
        return self.margin >= LEAST_MARGIN

    @cached_property
    def kurtosis(self) -> float:
        """Of what the intact network gave to single examples; infinite where that is the same for all, or not known."""
        if self.seen is None:
            return math.inf
        rests = self.seen.astype(np.float64)
        rests -= rests.mean()
        spread = float((rests**2).mean())
        return float((rests**4).mean()) / spread**2 if spread > 0 else math.inf

    def scaled(self, value: Level) -> Level:
        """A value of the metric, or float64s of them, on the score's scale: 1 is A(0), 0 the best constant answer."""
        return (value - self.chance) / (self.first - self.chance)

    def refusal(self) -> str | None:
        """Why there is no score, a sentence for humans; None if there is one."""
        if self.scored:
            return None
        first, chance = self.first, self.chance
        match self.metric.name:
            case "accuracy":
                told = (
                    f"intact, the model is right on {first:.1%} of the dataset, and always giving the most frequent "
                    f"answer is right on {chance:.1%}"
                )
            case "agreement":
                told = f"the intact model gives one and the same answer to {chance:.1%} of the dataset"
            case "cross_entropy":
                told = (
                    f"the intact model's cross-entropy is {first:.3f} nats, and that of always answering with the "
                    f"labels' frequencies is {chance:.3f}"
                )
            case name:
                told = f"intact, the model's {name} is {first:.3f}, and the best constant answer's is {chance:.3f}"
        least = f"{LEAST_MARGIN:.0%}" if self.metric.share else f"{LEAST_MARGIN} nats" if self.metric.rising else "0.05"
        between = f"With less than {least} between them"
        if self.metric.name == "agreement":
            between = f"With less than {least} of other answers"
        return f"No score: {told}. {between} there is nothing to lose by ablation, and the score would be noise."


def stored_reference(payload: Mapping[str, Any], metric: str) -> Reference:
    """What the curve is held against, as chunk 0 stores it."""
    names = ("total", "examples", "effective", "error", "of", "doubt")
    intact = Intact(**{name: payload[name] for name in names if name in payload})
    seen = payload.get("seen")
    return Reference(METRICS[metric], intact, payload["chance"], payload["binary"], seen and unpacked(seen))


def packed(values: NDArray[Any]) -> str:
    """What the intact network gave, [n], as a text for JSON: as bytes if it is right or wrong, else in float32."""
    right = values.dtype == np.bool_
    data = values.astype("u1" if right else "<f4").tobytes()
    return ("u1:" if right else "f4:") + base64.b64encode(zlib.compress(data)).decode()


def unpacked(text: str) -> NDArray[np.float32]:
    """What `packed` was given, float32[n]."""
    kind, _, data = text.partition(":")
    return np.frombuffer(zlib.decompress(base64.b64decode(data)), f"<{kind}").astype(np.float32)
