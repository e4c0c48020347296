"""Evaluations as the API answers them, built by hand, for tests of what is drawn and printed."""

import math
from typing import Any

from service.schemas import (
    Analyses,
    ClassCurve,
    Classes,
    ClassLost,
    Config,
    Correlation,
    Cost,
    CurvePoint,
    Estimate,
    Evaluation,
    Importance,
    Layer,
    Links,
    Noise,
    NoisePoint,
    OrderCurve,
    Progress,
    Provenance,
    Relation,
    Result,
    Site,
    Targeted,
    Tuned,
    Unit,
    UnitImportance,
    UnitTable,
)

MODEL = "sha256:" + "1a" * 32
DATASET = "sha256:" + "2b" * 32


def estimate(value: float, half: float = 0.01) -> Estimate:
    """A number with an interval of `half` on either side."""
    return Estimate(value=value, low=value - half, high=value + half)


def curve(steepness: float = 12, middle: float = 0.55, chance: float = 0.11) -> list[CurvePoint]:
    """A falling curve of 21 points whose intervals are widest in the middle."""

    def point(i: int) -> CurvePoint:
        f = i / 20
        value = chance + (0.98 - chance) / (1 + math.exp(steepness * (f - middle)))
        half = 0.005 + 0.16 * f * (1 - f)
        return CurvePoint(fraction=f, value=value, low=value - half, high=value + half, trials=200)

    return [point(i) for i in range(21)]


def layer(site: str, score: float | None) -> Layer:
    """One site's answer; without a score if None."""
    return Layer(site=site, units=32, auc=estimate(0.5), score=None if score is None else estimate(score))


def result(**changes: Any) -> Result:
    """A result that succeeded, with any field replaced."""
    found: dict[str, Any] = {
        "score": estimate(0.612),
        "score_refused": None,
        "auc": estimate(0.645),
        "intact": Estimate(value=0.982, low=0.974, high=0.988),
        "chance": 0.1135,
        "half_life": estimate(0.54),
        "metric": "accuracy",
        "split": "test",
        "scope": "network",
        "clamp": "zero",
        "estimator": "adaptive",
        "curve": curve(),
        "layers": [],
        "sites": [Site(site="conv1", op="Conv", units=32, convolutional=True)],
        "warnings": [],
        "cost": Cost(passes=5120, intact_passes=1200, seconds=12.34, device="cpu"),
        "provenance": Provenance(model=MODEL, dataset=DATASET, config={"confidence": 0.95}, seed=0, versions={}),
    }
    return Result(**(found | changes))


def refused(**changes: Any) -> Result:
    """A result without a score, because the intact network is no better than a constant."""
    why = "A(0) is 0.12 and the best constant answer has 0.1135: there is nothing to lose."
    return result(score=None, score_refused=why, auc=None, half_life=None, curve=[], **changes)


def evaluation(state: str = "succeeded", **changes: Any) -> Evaluation:
    """An evaluation in a state; one that succeeded has a result."""
    here = "/v1/evaluations/ev_1"
    told: dict[str, Any] = {
        "id": "ev_1",
        "state": state,
        "model": MODEL,
        "dataset": DATASET,
        "config": Config(),
        "created_at": "2026-11-23T12:00:00Z",
        "started_at": None,
        "ended_at": None,
        "progress": Progress(trials=3072, score=estimate(0.611, 0.023), intact=0.982, share=0.4),
        "result": result() if state == "succeeded" else None,
        "result_digest": None,
        "problem": None,
        "links": Links(self=here, events=f"{here}/events", curve={}),
    }
    return Evaluation(**(told | changes))


def units(sites: tuple[str, ...] = ("conv1", "fc"), each: int = 10) -> list[Unit]:
    """Units that matter the less the higher their number; the last of each site never fires."""

    def unit(place: int, site: str, number: int) -> Unit:
        importance = UnitImportance(
            rank=1 + number * len(sites) + place,
            examples=500,
            accuracy_lost=estimate(0.01 / (1 + number)),
            cross_entropy_added=estimate(0.1 / (1 + number)),
            classes=[ClassLost(label=4, accuracy_lost=estimate(0.05))],
        )
        dead = number == each - 1
        tuned = {"selectivity": None, "driver": None} if dead else {"selectivity": number / each, "driver": 7}
        told = {"mean": 1.0, "std": 0.5, "fires": 0.5, "information": 0.2, "informative": True, "dead": dead}
        return Unit(site=site, unit=number, importance=importance, **told, **tuned)

    return [unit(place, site, number) for place, site in enumerate(sites) for number in range(each)]


def analyses(sites: tuple[str, ...] = ("conv1", "fc")) -> Analyses:
    """Everything that analyses may find, of `units`."""
    found = units(sites)
    half = estimate(0.1, 0.2)
    related = [
        Correlation(property="selectivity", site=s, units=9, spearman=half, kendall=None) for s in (None, *sites)
    ]
    orders = [
        OrderCurve(order=order, area=estimate(0.5), less_than_random=None, curve=curve(middle=0.3 + 0.1 * place))
        for place, order in enumerate(("random", "most_selective", "least_selective", "largest", "most_important"))
    ]
    values = [point.value for point in curve()]
    broken = [
        ClassCurve(label=label, examples=40, half_life=half_life, area=estimate(0.5), values=values)
        for label, half_life in ((3, 0.21), (1, None))
    ]
    strengths = [NoisePoint(deviations=2 * p.fraction, value=p.value, low=p.low, high=p.high) for p in curve()]
    return Analyses(
        selectivity=[
            Tuned(site=site, units=10, dead=1, informative=4, fires=0.5, selectivity=0.4, information=None)
            for site in sites
        ],
        importance=Importance(examples=500, top=sorted(found, key=_rank)[:3], certain=True),
        relation=Relation(finding="No <relation> was found.", overall=related[:1], layers=related[1:]),
        targeted=Targeted(examples=500, finding="Any order hurts.", orders=orders),
        classes=Classes(examples=500, classes=3, fractions=[p.fraction for p in curve()], curves=broken),
        noise=Noise(examples=500, area=estimate(0.7), curve=strengths),
        units=UnitTable(units=len(found), digest=MODEL),
        passes=100,
    )


def _rank(unit: Unit) -> int:
    assert unit.importance is not None
    return unit.importance.rank
