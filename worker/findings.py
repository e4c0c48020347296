"""From a survey's sums to what is published: a row for each unit, and the summary in the result."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import schemas, scoring
from service.scoring import rounded
from worker.survey import MOST_NOISE, ORDERS, Survey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_CLASSES = 100  # whose curves are in the result
SHOWN = 10  # most important units in the result, where no `top` says otherwise


class Findings:
    """What a survey that is done has found. sites: their names, in the survey's order."""

    def __init__(self, survey: Survey, sites: Sequence[str]) -> None:
        self._survey, self._config, self._sites = survey, survey.config, list(sites)
        self._layers: Ints = np.repeat(np.arange(len(sites)), survey.units)
        self._changes: list[scoring.Change] = []
        self._order: Ints = np.empty(0, np.int64)
        if survey.wants("importance"):
            self._changes = survey.importance.changes(self._config.confidence)
            self._added = np.array([rounded(each.cross_entropy_added.value) for each in self._changes])
            self._order = np.argsort(-self._added, kind="stable")
        self.units = self._units()

    def lines(self) -> list[str]:
        """The table as JSON lines, a unit each."""
        return [schemas.canonical(unit.model_dump(mode="json")) + "\n" for unit in self.units]

    def summary(self, lines: Sequence[str]) -> schemas.Analyses:
        """What goes into the result. lines: the table's, which it is bound to."""
        whole = hashlib.sha256()
        for line in lines:
            whole.update(line.encode())
        survey = self._survey
        return schemas.Analyses(
            selectivity=list(self._tuned()) if survey.wants("selectivity") else None,
            importance=self._importance() if survey.wants("importance") else None,
            relation=self._relation() if survey.wants("relation") else None,
            targeted=self._targeted() if survey.wants("targeted") else None,
            classes=self._classes() if survey.wants("classes") else None,
            noise=self._noise() if survey.wants("noise") else None,
            units=schemas.UnitTable(units=survey.total, digest=f"sha256:{whole.hexdigest()}"),
            passes=survey.passes,
        )

    def _units(self) -> list[schemas.Unit]:
        ranks = np.empty(len(self._order), np.int64)
        ranks[self._order] = np.arange(1, len(self._order) + 1)
        starts = np.cumsum([0, *self._survey.units])
        columns = self._survey.columns
        informative = self._informative()
        found = []
        for number, layer in enumerate(self._layers.tolist()):
            told: dict[str, Any] = {"site": self._sites[layer], "unit": int(number - starts[layer])}
            if columns:
                told |= {name: _number(columns[name][number]) for name in NUMBERS}
                told |= {"dead": bool(columns["dead"][number]), "informative": bool(informative[number])}
                driver = columns["driver"][number]
                told["driver"] = None if math.isnan(driver) else int(driver)
            if self._changes:
                told["importance"] = _published(self._changes[number], int(ranks[number]))
            found.append(schemas.Unit(**told))
        return found

    def _informative(self) -> NDArray[np.bool_]:
        """Units whose association with the class would come by chance in any of them with 1 - confidence at most."""
        if "surprise" not in self._survey.columns:
            return np.zeros(0, np.bool_)
        found: NDArray[np.bool_] = self._survey.columns["surprise"] < (1 - self._config.confidence) / self._survey.total
        return found

    def _tuned(self) -> Iterator[schemas.Tuned]:
        columns, informative = self._survey.columns, self._informative()
        for layer, site in enumerate(self._sites):
            own = self._layers == layer
            yield schemas.Tuned(
                site=site,
                units=int(np.count_nonzero(own)),
                dead=int(np.count_nonzero(columns["dead"][own])),
                informative=int(np.count_nonzero(informative[own])),
                fires=rounded(float(columns["fires"][own].mean())),
                selectivity=_median(columns["selectivity"][own]),
                information=_median(columns["information"][own]),
            )

    def _importance(self) -> schemas.Importance:
        top = self._config.top
        return schemas.Importance(
            examples=int(self._survey.importance.examples.max()),
            top=[self.units[number] for number in self._order[: SHOWN if top is None else top].tolist()],
            certain=None if top is None else len(self._survey.undecided) == 0,
        )

    def _relation(self) -> schemas.Relation:
        overall = [self._correlation(name, None) for name in PROPERTIES]
        layers = [self._correlation(name, layer) for name in PROPERTIES for layer in range(len(self._sites))]
        return schemas.Relation(finding=finding(overall, self._config.confidence), overall=overall, layers=layers)

    def _targeted(self) -> schemas.Targeted:
        orders, confidence = self._survey.targeted, self._config.confidence
        names: list[schemas.Order] = ["random", *(name for name, _, _ in ORDERS)]
        curves = [orders.random(confidence), *orders.curves(confidence)]
        found = [_curve(name, each, orders.examples) for name, each in zip(names, curves, strict=True)]
        return schemas.Targeted(examples=orders.examples, finding=order_finding(found), orders=found)

    def _classes(self) -> schemas.Classes:
        curves = self._survey.by_class.classes(self._config.confidence)
        return schemas.Classes(
            examples=self._survey.by_class.examples,
            classes=len(curves),
            fractions=scoring.fractions().tolist(),
            curves=[_class_curve(each) for each in curves[:MOST_CLASSES]],
        )

    def _noise(self) -> schemas.Noise:
        found = self._survey.noise.random(self._config.confidence)
        strengths = (MOST_NOISE * scoring.fractions()).tolist()
        return schemas.Noise(
            examples=self._survey.noise.examples,
            area=schemas.Estimate(**_rounded(found.area)),
            curve=[
                schemas.NoisePoint(deviations=rounded(strength), **_rounded(point))
                for strength, point in zip(strengths, found.points, strict=True)
            ],
        )

    def _correlation(self, name: str, layer: int | None) -> schemas.Correlation:
        own = np.ones(len(self._layers), np.bool_) if layer is None else self._layers == layer
        values = np.where(self._survey.columns["dead"] == 1, np.nan, self._survey.columns[name])
        found = scoring.related(
            values[own], self._added[own], self._layers[own], seed=self._config.seed, confidence=self._config.confidence
        )
        return schemas.Correlation(
            property=name,
            site=None if layer is None else self._sites[layer],
            units=found.units,
            spearman=_estimate(found.spearman),
            kendall=_estimate(found.kendall),
        )


NUMBERS = ("mean", "std", "fires", "selectivity", "information")
PROPERTIES = ("selectivity", "information")
WORDS = {"selectivity": "selective", "information": "informative"}


def finding(overall: Sequence[schemas.Correlation], confidence: float) -> str:
    """What was found on this model, a sentence for each property."""
    return " ".join(_sentence(each, confidence) for each in overall)


def _sentence(found: schemas.Correlation, confidence: float) -> str:
    word = WORDS[found.property]
    if found.spearman is None:
        return f"Whether more {word} units matter more cannot be told: {found.units} units could be compared."
    value, low, high = (f"{each:+.2f}" for each in vars(found.spearman).values())
    told = f"rank correlation {value} [{low}, {high}] at {100 * confidence:g} %, {found.units} units"
    if found.spearman.low > 0:
        return f"More {word} units matter more on this model ({told})."
    if found.spearman.high < 0:
        return f"More {word} units matter less on this model ({told})."
    return f"How {word} a unit is does not show how much it matters on this model ({told})."


def order_finding(curves: Sequence[schemas.OrderCurve]) -> str:
    """Which orders hurt more than random ones, in a sentence."""
    parts: dict[str, list[str]] = {"more than": [], "less than": [], "neither more nor less than": []}
    for each in curves:
        gap = each.less_than_random
        if gap is not None:
            which = "more than" if gap.low > 0 else "less than" if gap.high < 0 else "neither more nor less than"
            parts[which].append(f"{each.order.replace('_', ' ')} ({gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}])")
    told = [
        f"the {' and the '.join(names)} first hurts {which} a random order" for which, names in parts.items() if names
    ]
    return f"On this model, of the units that ever fire, losing {'; losing '.join(told)}."


def _curve(name: schemas.Order, curve: scoring.Curve, examples: int) -> schemas.OrderCurve:
    area = _estimate(curve.area)
    assert area is not None
    points = [
        schemas.CurvePoint(fraction=rounded(float(fraction)), trials=examples, **_rounded(each))
        for fraction, each in zip(scoring.fractions(), curve.points, strict=True)
    ]
    return schemas.OrderCurve(order=name, area=area, less_than_random=_estimate(curve.gap), curve=points)


def _class_curve(curve: scoring.ClassCurve) -> schemas.ClassCurve:
    return schemas.ClassCurve(
        label=curve.label,
        examples=curve.examples,
        half_life=None if curve.half_life is None else rounded(curve.half_life),
        area=schemas.Estimate(**_rounded(curve.area)),
        values=[round(value, 4) for value in curve.values],
    )


def _published(change: scoring.Change, rank: int) -> schemas.UnitImportance:
    lost, added = _estimate(change.accuracy_lost), _estimate(change.cross_entropy_added)
    assert lost is not None
    assert added is not None
    return schemas.UnitImportance(
        rank=rank,
        examples=change.examples,
        accuracy_lost=lost,
        cross_entropy_added=added,
        classes=[
            schemas.ClassLost(label=label, accuracy_lost=schemas.Estimate(**_rounded(share)))
            for label, share in change.classes
        ],
    )


def _estimate(estimate: scoring.Estimate | None) -> schemas.Estimate | None:
    return None if estimate is None else schemas.Estimate(**_rounded(estimate))


def _rounded(estimate: scoring.Estimate) -> dict[str, float]:
    return {name: rounded(value) for name, value in asdict(estimate).items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else rounded(value)


def _median(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return rounded(float(np.median(known))) if len(known) else None
