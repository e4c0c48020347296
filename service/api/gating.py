"""What a config refers to, looked up before an evaluation is taken: its policy, its baseline, its training split."""

import json

from pydantic import ValidationError
from sqlalchemy.orm import Session

from service import compared, comparing, problems, schemas
from service.api.deps import Backends
from service.store import policies
from service.store.session import reading

# What an evaluation that is named as one or the other may have measured otherwise.
FREE = {"baseline": (), "training": ("dataset", "split", "labels", "weights")}


def refers(config: schemas.Config) -> bool:
    """Does the config name anything that is kept here?"""
    named = (config.baseline, config.training, config.gate and config.gate.policy)
    return any(each is not None for each in named)


def looked_up(backends: Backends, tenant: str, asked: schemas.NewEvaluation) -> schemas.Config:
    """`settled`, in a transaction of its own: versions never change, and the worker looks again at the evaluations."""
    with reading(backends.engine) as db:
        return settled(db, tenant, asked.model, asked.dataset, asked.config)


def settled(db: Session, tenant: str, model: str, dataset: str, config: schemas.Config) -> schemas.Config:
    """The config with its policy's version and rules written into it, once all that it refers to is known to be there.

    Raises `NotFound`, `NotReady`, `NotComparable`, or `Invalid` where policy and config contradict each other.
    """
    pinned = _pinned(db, tenant, config)
    for role in FREE:
        if (id := getattr(pinned, role)) is not None:
            _check(compared.side(db, tenant, id), role, model, dataset, pinned)
    return pinned


def _pinned(db: Session, tenant: str, config: schemas.Config) -> schemas.Config:
    if config.gate is None or config.gate.policy is None:
        return config
    row = policies.in_force(db, tenant, config.gate.policy)
    assert row.rules is not None, "in force"
    rules, own = json.loads(row.rules), config.gate.given()
    other = [rule for rule in own if rule in rules and own[rule] != rules[rule]]
    if other:
        raise _invalid(f"/gate/{other[0]}", f"the policy {row.name}@{row.version} says {rules[other[0]]:g}")
    gate = rules | dict(own) | {"policy": f"{row.name}@{row.version}"}
    try:
        return schemas.Config.model_validate(config.model_dump(exclude_unset=True) | {"gate": gate})
    except ValidationError as error:
        raise problems.invalid(error.errors(), "config") from error


def _check(side: comparing.Side, role: str, model: str, dataset: str, config: schemas.Config) -> None:
    comparing.usable(side)
    its, mine = comparing.measured(side.result), comparing.asked_for(dataset, config.identity())
    comparing.refuse(f"scores of this evaluation and of its {role}", mine, its, unless=FREE[role])
    if role == "training" and side.result.provenance.model != model:
        raise problems.NotComparable(f"{side.id} is an evaluation of another model; `training` is one of this model.")
    if role == "training" and (its["dataset"], its["split"]) == (dataset, config.split):
        raise problems.NotComparable(
            f"{side.id} is an evaluation on this very split; `training` is one on the split that the model learned."
        )


def _invalid(pointer: str, detail: str) -> problems.Problem:
    return problems.Invalid(
        f"Mend these fields and send the request again. {pointer}: {detail}",
        errors=[{"pointer": pointer, "detail": detail}],
    )
