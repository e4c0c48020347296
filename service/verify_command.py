"""`lesion verify`: is a saved evaluation what the service signed? Offline, with nothing but a public key."""

import json
from pathlib import Path
from typing import Any

import typer

from service import signing

GENUINE, FORGED, UNUSABLE = 0, 1, 2


def run(file: Path, key: Path) -> int:
    """Say in one line whether the file is genuine. The exit code: 0 it is, 1 it is not, 2 nothing could be checked."""
    try:
        keys = signing.public_keys(key.read_bytes())
        evaluation = json.loads(file.read_bytes())
    except signing.UnusableKeyError as error:
        return _say(str(error), UNUSABLE)
    except ValueError:
        return _say(f"{file} is no JSON: save what GET /v1/evaluations/{{id}} answers.", UNUSABLE)
    try:
        statement = signing.verify(evaluation, keys)
    except signing.ForgedError as error:
        return _say(f"{file} is not genuine: {error}.", FORGED)
    typer.echo(_line(statement))
    return GENUINE


def _line(statement: dict[str, Any]) -> str:
    told = statement["predicate"]
    model, dataset = (each["digest"]["sha256"][:12] for each in statement["subject"])
    score = told["score"]
    shown = "no score" if score is None else f"score {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
    return f"genuine: {shown}, model {model}…, dataset {dataset}…, {told['evaluation']}, {told['ended_at']}"


def _say(text: str, code: int) -> int:
    typer.echo(text, err=True)
    return code
