"""`lesion verify`: is a saved evaluation, or a verdict, what the service signed? Offline, with a public key."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from service import signing, verdicts

GENUINE, FORGED, UNUSABLE = 0, 1, 2


@dataclass(frozen=True)
class Order:
    """What to check, with which key. model: the file it must be about. passed: must its gate have said so?"""

    file: Path
    key: Path
    model: Path | None = None
    passed: bool = False


def run(order: Order) -> int:
    """Say in one line whether the file is genuine. The exit code: 0 it is, 1 it is not, 2 nothing could be checked."""
    try:
        keys = signing.public_keys(order.key.read_bytes())
        told = json.loads(order.file.read_bytes())
    except signing.UnusableKeyError as error:
        return _say(str(error), UNUSABLE)
    except ValueError:
        return _say(f"{order.file} is no JSON: save what GET /v1/evaluations/{{id}} answers.", UNUSABLE)
    try:
        if not isinstance(told, dict):
            raise signing.ForgedError("it is neither an evaluation nor an envelope")
        statement, verdict = _opened(told, keys)
        _check(order, statement, verdict)
    except signing.ForgedError as error:
        return _say(f"{order.file} is not genuine: {error}.", FORGED)
    except _UnwantedError as error:
        return _say(f"{order.file} is genuine, but {error}.", FORGED)
    typer.echo(f"genuine: {_line(statement) if verdict is None else verdicts.line(verdict)}")
    return GENUINE


class _UnwantedError(Exception):
    """It is signed, but not what was asked for."""


def _opened(told: dict[str, Any], keys: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The statement that was signed, and the verdict's if there is one: of an evaluation, or of a lone envelope."""
    if "payloadType" not in told:
        statement = signing.verify(told, keys)
        gated = told["result"]["gate"] is not None
        return statement, signing.opened(told["verdict_signature"], keys) if gated else None
    statement = signing.opened(told, keys)
    if statement.get("predicateType") not in (signing.PREDICATE, verdicts.TEST_RESULT):
        raise signing.ForgedError("it is signed, but states nothing that is known here")
    return statement, statement if statement["predicateType"] == verdicts.TEST_RESULT else None


def _check(order: Order, statement: dict[str, Any], verdict: dict[str, Any] | None) -> None:
    if order.model is not None:
        with order.model.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if statement["subject"][0]["digest"]["sha256"] != digest:
            raise _UnwantedError(f"about another model than {order.model}")
    if order.passed and (verdict is None or verdict["predicate"]["result"] != verdicts.PASSED):
        raise _UnwantedError("no pass" if verdict is None else f"no pass: {verdicts.line(verdict)}")


def _line(statement: dict[str, Any]) -> str:
    told = statement["predicate"]
    model, dataset = (each["digest"]["sha256"][:12] for each in statement["subject"])
    score = told["score"]
    shown = "no score" if score is None else f"score {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
    return f"{shown}, model {model}…, dataset {dataset}…, {told['evaluation']}, {told['ended_at']}"


def _say(text: str, code: int) -> int:
    typer.echo(text, err=True)
    return code
