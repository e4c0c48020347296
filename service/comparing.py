"""May two evaluations be compared, and what does it show? Reads what is stored of them; draws no trial of its own."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service import problems, schemas, scoring

EXAMPLES = ("dataset", "split", "weights")  # what may differ where one model is held against itself


@dataclass(frozen=True)
class Side:
    """One evaluation: its id, its result, and the payloads of its chunks in order, from chunk 0 on."""

    id: str
    result: schemas.Result
    chunks: Sequence[str]


def compare(asked: schemas.NewComparison, baseline: Side, candidate: Side) -> schemas.Comparison:
    """The difference of the two scores. Raises `NotComparable`, saying why, where it would mean nothing."""
    _check(baseline, candidate, asked.memorisation)
    same = baseline.result.provenance, candidate.result.provenance
    same_examples = (same[0].dataset, baseline.result.split) == (same[1].dataset, candidate.result.split)
    found = scoring.difference(
        _arm(candidate),
        _arm(baseline),
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
    verdict, reasons = _verdict(asked.max_drop, estimate)
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


def _check(baseline: Side, candidate: Side, memorisation: bool) -> None:
    """Scores are the same quantity only if all of this is the same; of one model, its examples may differ."""
    for side in (baseline, candidate):
        if side.result.score is None:
            raise problems.NotComparable(f"{side.id} has no score. {side.result.score_refused or ''}".strip())
        if not side.chunks:
            raise problems.NotComparable(f"The chunks of {side.id} are kept no longer; evaluate its model again.")
    one, other = (_measured(side.result) for side in (baseline, candidate))
    if memorisation:
        models = [side.result.provenance.model for side in (baseline, candidate)]
        one, other = (
            {"model": model} | {name: value for name, value in told.items() if name not in EXAMPLES}
            for model, told in zip(models, (one, other), strict=True)
        )
    differing = [f"{name} ({one[name]} against {other[name]})" for name in one if one[name] != other[name]]
    if differing:
        raise problems.NotComparable(
            f"The two scores measure different things: {', '.join(differing)}. Evaluate one of the models again with "
            "what the other was evaluated with."
        )


def _measured(result: schemas.Result) -> dict[str, Any]:
    config = result.provenance.config
    measured = result.measured or schemas.Measured(name=result.metric)
    told = {
        "dataset": result.provenance.dataset,
        "split": result.split,
        "scope": result.scope,
        "clamp": result.clamp,
        "metric": measured.name,
        "k": measured.k,
        "kind of output": measured.kind,
        "labels": config.get("labels"),
        "weights": measured.weights,
        "estimator": result.estimator,
        "orderings": config.get("orderings"),
        "fractions": config.get("fractions"),
        # Names of sites are each architecture's own; whether all were ablated or some is not.
        "sites": "some" if config.get("sites") or config.get("site") else "all",
    }
    return told | ({"sites, each alone": len(result.sites)} if result.layers else {})


def _arm(side: Side) -> scoring.Arm:
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


def _verdict(max_drop: float | None, difference: schemas.Estimate) -> tuple[schemas.Verdict | None, list[str]]:
    """Reads the interval: only when all of it lies on one side of the line is the answer certain."""
    if max_drop is None:
        return None, []
    shown = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    if difference.low >= -max_drop:
        return "pass", [f"The difference, {shown}, is no drop by more than {max_drop:g}."]
    if difference.high < -max_drop:
        return "fail", [f"The difference, {shown}, is a drop by more than {max_drop:g}."]
    unsure = (
        f"The difference, {shown}, lies on both sides of a drop by {max_drop:g}. Evaluate both models with a smaller "
        "`precision` and the same `seed`, and compare again."
    )
    return "inconclusive", [unsure]
