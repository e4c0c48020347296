"""Where a score stands among the networks of the populations that Lesion comes with, and where it can't be said.

A score alone says little: what is high for one kind of network is low for another. So it is held only against networks
that were scored in the same way, on the same kind of task and of input, and are built alike; see docs/evidence.md.
"""

import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from service.schemas import Estimate, ModelFound, Result, Standing

FILE = Path(__file__).parent / "populations.json"
COARSEST = 0.02  # half width of a score's interval, with which a standing still says something


@dataclass(frozen=True)
class Population:
    """Networks of one kind and their scores, in rising order."""

    about: str
    inputs: tuple[int, ...]  # sizes of the one input, without the axis of examples
    classes: int
    convolutional: bool
    units: tuple[int, int]  # fewest and most
    intact: float  # the least accuracy on the training set
    split: str
    scores: tuple[float, ...]


@lru_cache(maxsize=1)
def populations() -> tuple[Population, ...]:
    """Those of populations.json, which `python -m benchmarks.zoo` writes."""
    return tuple(_population(each) for each in json.loads(FILE.read_text()))


def _population(told: dict[str, Any]) -> Population:
    whole = told | {"inputs": tuple(told["inputs"]), "units": tuple(told["units"]), "scores": tuple(told["scores"])}
    return Population(**whole)


def standing(result: Result, found: ModelFound | None) -> Standing:
    """Set a result's score among the networks of its kind. found: in its model, if still known."""
    if result.score is None:
        return Standing(sentence="There is no score to hold against others.", population=None)
    odds = [list(_differs(result, found, each)) for each in populations()]
    least = min(odds, key=len, default=["no networks are known"])
    if least:
        sentence = f"Not comparable with the networks that Lesion comes with: {'; '.join(least)}."
        return Standing(sentence=sentence, population=None, reasons=least)
    kind = populations()[odds.index(least)]
    value, low, high = (_below(kind, score) for score in (result.score.value, result.score.low, result.score.high))
    sentence = (
        f"Higher than {value:.0%} ({low:.0%} to {high:.0%}) of {len(kind.scores)} networks of this kind: {kind.about}."
    )
    share = Estimate(value=value, low=low, high=high)
    return Standing(sentence=sentence, population=kind.about, networks=len(kind.scores), higher_than=share)


def _below(kind: Population, score: float) -> float:
    return bisect_left(kind.scores, score) / len(kind.scores)


def _differs(result: Result, found: ModelFound | None, kind: Population) -> Iterator[str]:
    """Everything in which a result is not of a kind."""
    config = result.provenance.config
    if result.metric != "accuracy":
        yield f"the metric is {result.metric}, theirs accuracy"
    if result.scope != "network" or config.get("sites"):
        yield "not all of the network's sites were ablated at once, as theirs were"
    if result.clamp != "zero":
        yield f"the clamp is {result.clamp}, theirs zero"
    if result.estimator != "adaptive":
        yield f"the estimator is {result.estimator}, theirs adaptive"
    if result.score is not None and result.score.high - result.score.low > 2 * COARSEST + 1e-9:
        yield f"the score's interval is wider than ±{COARSEST:g}"
    if result.split != kind.split:
        yield f"theirs were scored on the examples they were trained on; if these are, too, say `split` {kind.split}"
    if result.intact.value < kind.intact:
        yield f"it is right on {result.intact.value:.0%} of these examples, they on {kind.intact:.0%} and more"
    yield from _built_otherwise(result, kind)
    if found is None:
        yield "what its inputs and classes are is no longer known, since the model was deleted"
        return
    shapes = [tuple((each.shape or [])[1:]) for each in found.inputs]
    if shapes != [kind.inputs]:
        yield f"it takes {_sized(shapes)}, they take {_sized([kind.inputs])}"
    if found.output.kind != "classes" or found.output.classes != kind.classes:
        yield f"it tells {found.output.classes} classes apart, they {kind.classes}"


def _built_otherwise(result: Result, kind: Population) -> Iterator[str]:
    units = sum(site.units for site in result.sites)
    if {site.convolutional for site in result.sites} != {kind.convolutional} or any(
        site.op not in ("Conv", "Gemm") for site in result.sites
    ):
        yield f"its hidden layers are not all {'convolutions' if kind.convolutional else 'plain dense ones'}, as theirs"
    if not kind.units[0] <= units <= kind.units[1]:
        yield f"it has {units:,} units, they have {kind.units[0]} to {kind.units[1]}"


def _sized(shapes: list[tuple[int | str, ...]] | list[tuple[int, ...]]) -> str:
    return " and ".join("×".join(map(str, shape)) or "single numbers" for shape in shapes) or "nothing"
