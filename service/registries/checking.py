"""One registered version, from the registry to a verdict and back: fetched, evaluated, written down, promoted."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from service import plots
from service.client import Client, ClientError, Refused
from service.registries import report
from service.registries.flavours import UnusableModelError
from service.registries.names import Named
from service.registries.verdicts import NOT_JUDGED, Judged, judged
from service.registries.versions import Place, Version
from service.schemas import Config, Estimate, Evaluation, Result

Seen = Callable[[str, Evaluation], None]


@dataclass(frozen=True)
class Plan:
    """How versions are checked: on what, how, against which line, and which alias a pass moves."""

    dataset: Path
    config: Config = field(default_factory=Config)
    min_score: float | None = None
    alias: str | None = None
    only_forward: bool = False  # the alias never goes back from a newer version
    timeout: float | None = None


@dataclass(frozen=True)
class Checked:
    """How it went; `evaluation` of None: the model was refused before there was one."""

    version: Version
    judged: Judged
    evaluation: Evaluation | None = None
    promoted: bool = False


def check(place: Place, client: Client, named: Named, plan: Plan, seen: Seen = lambda name, now: None) -> Checked:
    """Check one version and write down how it went.

    A model that is refused, or fails, is written down as not judged. Raises `WentWrongError`, `Unreachable` and
    `TimeoutError`, after which nothing is written down, so that it may be tried again.
    """
    version = place.version(named)
    try:
        evaluation = _evaluated(place, client, version, plan, seen)
    except UnusableModelError as error:
        return _not_judged(place, version, str(error))
    except Refused as refusal:
        if refusal.problem.get("status") in (401, 403, 408, 429) or int(refusal.problem.get("status", 500)) >= 500:
            raise  # says nothing of the model
        return _not_judged(place, version, str(refusal))
    if evaluation.result is None:
        why = evaluation.problem.detail if evaluation.problem else f"the evaluation is {evaluation.state}"
        return _not_judged(place, version, why, evaluation)
    verdict = judged(evaluation.result, plan.min_score)
    with TemporaryDirectory(prefix="lesion-report-") as folder:
        _write(Path(folder), version, evaluation, evaluation.result, verdict)
        run = place.record(version, metrics(evaluation.result), Path(folder))
    place.note(version, _tags(evaluation, evaluation.result, verdict) | {"run": run})
    promoted = False
    if plan.alias is not None and verdict.verdict == "pass":
        promoted = place.promote(version, plan.alias, only_forward=plan.only_forward)
    return Checked(version, verdict, evaluation, promoted)


def _evaluated(place: Place, client: Client, version: Version, plan: Plan, seen: Seen) -> Evaluation:
    with TemporaryDirectory(prefix="lesion-fetched-") as folder:
        files = place.fetch(version, Path(folder))
        evaluation = client.evaluate(files, plan.dataset, plan.config)
    try:
        return evaluation.wait(lambda now: seen(version.uri, now), plan.timeout)
    except (KeyboardInterrupt, SystemExit):
        with suppress(ClientError):  # it may have ended at this very moment
            evaluation.cancel()
        raise


def _not_judged(place: Place, version: Version, why: str, evaluation: Evaluation | None = None) -> Checked:
    told = {"verdict": "not judged", "reason": why}
    place.note(version, told if evaluation is None else told | {"evaluation": evaluation.id})
    return Checked(version, Judged(None, f"not judged: {why}", NOT_JUDGED), evaluation)


def metrics(result: Result) -> list[tuple[str, float, int]]:
    """A result as metrics (name, value, step); the curve has a step for each percent, so that MLflow draws it."""
    told: list[tuple[str, float, int]] = [("chance", result.chance, 0)]
    named: Mapping[str, Estimate | None] = {
        "score": result.score,
        "auc": result.auc,
        "intact": result.intact,
        "half_life": result.half_life,
    }
    for name, estimate in named.items():
        if estimate is not None:
            told += [(name, estimate.value, 0), (f"{name}_low", estimate.low, 0), (f"{name}_high", estimate.high, 0)]
    return told + [("curve", point.value, round(100 * point.fraction)) for point in result.curve]


def _tags(evaluation: Evaluation, result: Result, judged: Judged) -> dict[str, str]:
    score = result.score
    return {
        "verdict": judged.verdict or ("not judged" if score is None else "none"),
        "reason": judged.reason,
        "score": "none" if score is None else f"{score.value:.4f} [{score.low:.4f}, {score.high:.4f}]",
        "evaluation": evaluation.id,
        "model": evaluation.model,
        "dataset": evaluation.dataset,
        "result_digest": evaluation.result_digest or "none",
    }


def _write(folder: Path, version: Version, evaluation: Evaluation, result: Result, judged: Judged) -> None:
    """The artifacts: curve and report to look at, and the signed evaluation, which `lesion verify` reads."""
    (folder / "curve.png").write_bytes(plots.png(result, version.uri))
    (folder / "curve.svg").write_bytes(plots.svg(result, version.uri))
    (folder / "report.html").write_text(report.html(version.uri, evaluation, result, judged))
    (folder / "evaluation.json").write_text(evaluation.model_dump_json(indent=2))
