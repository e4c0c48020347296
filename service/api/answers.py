"""Rows of the store as the API shows them."""

import base64
import binascii
import json
import math
from typing import Any

from service import problems, schemas
from service.signing import Signer
from service.store import artifacts, keys
from service.store.tables import ArtifactRow, EvaluationRow, KeyRow

CURVES = ("json", "csv", "svg", "png")
REPORTS = ("xml", "md")


def evaluation(row: EvaluationRow, signer: Signer) -> schemas.Evaluation:
    """An evaluation as callers see it, signed once it has a result."""
    shown = _unsigned(row)
    shown.signature, shown.verdict_signature = signer.signed(shown), signer.signed_verdict(shown)
    return shown


def _unsigned(row: EvaluationRow) -> schemas.Evaluation:
    here = f"/v1/evaluations/{row.id}"
    config = schemas.Config.model_validate_json(row.config)
    return schemas.Evaluation(
        id=row.id,
        state=row.state,
        model=row.model,
        dataset=row.dataset,
        config=config,
        created_at=schemas.instant(row.created_at),
        started_at=None if row.started_at is None else schemas.instant(row.started_at),
        ended_at=None if row.ended_at is None else schemas.instant(row.ended_at),
        progress=schemas.Progress.model_validate_json(row.progress) if row.progress else schemas.Progress(),
        result=result(row),
        result_digest=None if row.result is None else schemas.digest(row.result),
        problem=None if row.problem is None else schemas.ProblemBody.model_validate_json(row.problem),
        links=schemas.Links(
            self=here,
            events=f"{here}/events",
            curve={kind: f"{here}/curve.{kind}" for kind in CURVES},
            report={kind: f"{here}/report.{kind}" for kind in REPORTS},
            analyses={
                name: {kind: f"{here}/analyses/{name}.{kind}" for kind in CURVES} for name in config.analyses or []
            },
        ),
    )


def result(row: EvaluationRow) -> schemas.Result | None:
    """The stored result with the seconds it took, which are no part of what is stored: a rerun changes them."""
    if row.result is None:
        return None
    stored = schemas.Result.model_validate_json(row.result)
    if row.started_at is not None and row.ended_at is not None:
        stored.cost.seconds = round(row.ended_at - row.started_at, 3)
    return stored


def needed(row: EvaluationRow, lacking: str) -> schemas.Result:
    """The result that a caller asks about; raises `Conflict`, saying what is lacking, or `NotReady`."""
    found = result(row)
    if found is not None:
        return found
    if row.state in schemas.ENDED:
        raise problems.Conflict(f"The evaluation has {row.state}; {lacking}.")
    raise problems.NotReady("The evaluation has not ended; wait with GET /v1/evaluations/{id}?wait=60.")


def artifact(row: ArtifactRow) -> schemas.Model | schemas.Dataset:
    """An artifact as callers see it."""
    known = {
        "id": row.digest,
        "size": row.size,
        "state": row.state,
        "created_at": schemas.instant(row.created_at),
        "problem": artifacts.problem(row),
        "found": artifacts.found(row),
    }
    return schemas.Model.model_validate(known) if row.kind == "model" else schemas.Dataset.model_validate(known)


def key(row: KeyRow, now: float) -> schemas.Key:
    """A key as callers see it."""
    return schemas.Key.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "scopes": sorted(keys.scopes(row)),
            "state": keys.state(row, now),
            "created_at": schemas.instant(row.created_at),
            "expires_at": _moment(row.expires_at),
            "revoked_at": _moment(row.revoked_at),
            "last_used_at": _moment(row.last_used_at),
            "replaced_by": row.successor,
        }
    )


def made(new: keys.Made) -> schemas.MadeKey:
    """A key that was made just now, with its secret."""
    return schemas.MadeKey(**key(new.row, new.row.created_at).model_dump(), secret=new.secret)


def refusal(row: ArtifactRow) -> problems.Problem:
    """The problem for which an artifact was refused, to be raised."""
    body = artifacts.problem(row) or {}
    kind = problems.BY_TYPE[body["type"].rpartition("/")[2]]
    return kind(body["detail"])


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else schemas.instant(seconds)


def write_cursor(*place: str | float) -> str:
    """The end of a page, as callers hand it back."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_moment(cursor: str) -> tuple[float, str]:
    """The (created_at, id) that a cursor names."""
    created_at, name = read_cursor(cursor, float, str)
    return created_at, name


def read_cursor(cursor: str, *kinds: type[str] | type[float]) -> list[Any]:
    """What `write_cursor` wrote, of these kinds; raises `Invalid` for anything else."""
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        place = None
    if not isinstance(place, list) or [type(each) for each in place] != [*kinds] or not all(map(_is_sane, place)):
        raise problems.Invalid("`cursor` is none of ours: take `next_cursor` of the page before, unchanged.")
    return place


def _is_sane(value: str | float) -> bool:
    """Can a database be asked for it?"""
    return value.isascii() and value.isprintable() if isinstance(value, str) else math.isfinite(value)
