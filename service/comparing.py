"""May two evaluations be compared, and what does it show? Reads what is stored of them; draws no trial of its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service import problems, schemas, scoring
from service.scoring import gate

EXAMPLES = ("dataset", "split", "weights")  # what may differ where one model is held against itself


@dataclass(frozen=True)
class Side:
    """One evaluation: its id, its result, and the payloads of its chunks in order, from chunk 0 on."""

    id: str
    result: schemas.Result
    chunks: Sequence[str]


def compare(asked: schemas.NewComparison, baseline: Side, candidate: Side) -> schemas.Comparison:
    """The difference of the two scores. Raises `NotComparable`, saying why, where it would mean nothing."""
    for side in (baseline, candidate):
        usable(side)
    one, other = (measured(side.result) for side in (baseline, candidate))
    if asked.memorisation:  # one model held against itself: its examples may differ, it must not
        one["model"], other["model"] = (side.result.provenance.model for side in (baseline, candidate))
    refuse("two scores", one, other, unless=EXAMPLES if asked.memorisation else ())
    same = baseline.result.provenance, candidate.result.provenance
    same_examples = (same[0].dataset, baseline.result.split) == (same[1].dataset, candidate.result.split)
    found = scoring.difference(
        arm(candidate),
        arm(baseline),
        estimator=candidate.result.estimator,
        confidence=asked.confidence,
        same_draws=same_examples and same[0].seed == same[1].seed,
    )
    if found is None:
        raise problems.NotComparable(
            "One of the evaluations has too few trials for a difference. Evaluate it again with a smaller `precision`, "
            "or a larger `limits.trials`."
        )
    estimate = schemas.Estimate(value=found.estimate.value, low=found.estimate.low, high=found.estimate.high)
    verdict, reasons = _verdict(asked.max_drop, found.estimate)
    return schemas.Comparison(
        baseline=_side(baseline),
        candidate=_side(candidate),
        difference=estimate,
        confidence=asked.confidence,
        paired=found.paired,
        trials=found.trials,
        summary=(_memorised if asked.memorisation else _summary)(estimate, asked.confidence),
        verdict=verdict,
        reasons=reasons,
    )


def usable(side: Side) -> None:
    """Raise `NotComparable` for an evaluation that has nothing to be compared."""
    if side.result.score is None:
        raise problems.NotComparable(f"{side.id} has no score. {side.result.score_refused or ''}".strip())
    if not side.chunks:
        raise problems.NotComparable(f"The chunks of {side.id} are kept no longer; evaluate its model again.")


def refuse(what: str, one: Mapping[str, Any], other: Mapping[str, Any], *, unless: Sequence[str] = ()) -> None:
    """Raise `NotComparable` where two scores measure different things, but for what is named in `unless`.

    Only what both tell is held against each other: beforehand less is known than afterwards.
    """
    names = [name for name in one if name in other and name not in unless]
    differing = [f"{name} ({one[name]} against {other[name]})" for name in names if one[name] != other[name]]
    if differing:
        raise problems.NotComparable(
            f"The {what} measure different things: {', '.join(differing)}. Evaluate one of the models again with "
            "what the other was evaluated with."
        )


def asked_for(dataset: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a score measures, as far as the dataset and the config (`Config.identity`) say: all of it must agree."""
    told = {"dataset": dataset, **{name: config.get(name) for name in ("split", "scope", "clamp", "labels")}}
    if config.get("metric") is not None:
        told["metric"] = config["metric"]
        told["k"] = config.get("k")
    # Names of sites are each architecture's own; whether all were ablated or some is not.
    sites = "some" if config.get("sites") or config.get("site") else "all"
    return told | {name: config.get(name) for name in ("estimator", "orderings", "fractions")} | {"sites": sites}


def found_out(measured: schemas.Measured, layers: int | None) -> dict[str, Any]:
    """What else a score measures, as is known once the model is open. layers: how many sites, if each alone."""
    told: dict[str, Any] = {"metric": measured.name, "k": measured.k, "kind of output": measured.kind}
    told["weights"] = measured.weights
    return told if layers is None else told | {"sites, each alone": layers}


def measured(result: schemas.Result) -> dict[str, Any]:
    """What the score of a result measures."""
    told = asked_for(result.provenance.dataset, result.provenance.config)
    known = result.measured or schemas.Measured(name=result.metric)
    return told | found_out(known, len(result.sites) if result.layers else None)


def arm(side: Side) -> scoring.Arm:
    """The side's chunks, as the arithmetic takes them."""
    first, *others = (json.loads(chunk) for chunk in side.chunks)
    others = [each for each in others if "analysis" not in each]
    empty = scoring.Tally.empty(_shape(side.result))
    return scoring.Arm(scoring.stored_reference(first, side.result.metric), [empty.add(payload) for payload in others])


def _shape(result: schemas.Result) -> tuple[int, ...]:
    """What `trials.cells` gave to the worker that drew these chunks."""
    groups = max(len(result.layers), 1)
    config = result.provenance.config
    if result.estimator == "grid":
        return (groups, config["orderings"], config["fractions"])
    return (groups, len(result.curve) - 1)  # a point a stratum, and f = 0


def _side(side: Side) -> schemas.Side:
    assert side.result.score is not None, "checked"
    return schemas.Side(
        id=side.id, model=side.result.provenance.model, score=side.result.score, intact=side.result.intact
    )


def _summary(difference: schemas.Estimate, confidence: float) -> str:
    sure = f"with {confidence:.1%} confidence".replace(".0%", "%")
    if difference.low > 0:
        return f"The candidate is more robust, {sure}: its score is higher by {difference.value:.3f}."
    if difference.high < 0:
        return f"The candidate is less robust, {sure}: its score is lower by {-difference.value:.3f}."
    reach = max(difference.high, -difference.low)
    return f"No difference is shown: whatever there is, is smaller than {reach:.3f}, {sure}."


def _memorised(difference: schemas.Estimate, confidence: float) -> str:
    sure = f"with {confidence:.1%} confidence".replace(".0%", "%")
    if difference.low > 0 or difference.high < 0:
        which = "more" if difference.low > 0 else "less"
        return (
            f"The model's answers to the examples it was trained on withstand {which} than those to others, {sure}: "
            f"its score there is {'higher' if difference.low > 0 else 'lower'} by {abs(difference.value):.3f}."
        )
    reach = max(difference.high, -difference.low)
    return (
        "No difference is shown between examples it was trained on and others: whatever there is, is smaller than "
        f"{reach:.3f}, {sure}."
    )


def _verdict(max_drop: float | None, difference: scoring.Estimate) -> tuple[schemas.Verdict | None, list[str]]:
    """Reads the interval: only when all of it lies on one side of the line is the answer certain."""
    if max_drop is None:
        return None, []
    shown = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    match gate.judged("max_drop", max_drop, difference):
        case "pass":
            return "pass", [f"The difference, {shown}, is no drop by more than {max_drop:g}."]
        case "fail":
            return "fail", [f"The difference, {shown}, is a drop by more than {max_drop:g}."]
        case "inconclusive":
            unsure = (
                f"The difference, {shown}, lies on both sides of a drop by {max_drop:g}. Evaluate both models with a "
                "smaller `precision` and the same `seed`, and compare again."
            )
            return "inconclusive", [unsure]
