"""Evaluations that nobody computes, and the ways in which they end: tests play worker and caller by the rows."""

import json
from collections.abc import Callable

from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from service import problems, schemas
from service.store import artifacts, evaluations, ids, submissions
from service.store.session import transaction
from service.store.tables import DeliveryRow
from service.store.tenants import DEFAULT

MODEL, DATASET = "sha256:" + "a" * 64, "sha256:" + "b" * 64
RESULT = json.dumps({"score": {"value": 0.6, "low": 0.5, "high": 0.7}})
ENDS: dict[str, Callable[[Session, evaluations.Claim], object]] = {
    "succeeded": lambda db, claim: evaluations.finish(db, claim, RESULT, 0),
    "failed": lambda db, claim: evaluations.fail(db, claim, problems.ModelCrashed("It died.")),
    "cancelled": lambda db, claim: evaluations.cancel(db, DEFAULT, claim.evaluation),
}


def running(engine: Engine, fingerprint: str = "f", tenant: str = DEFAULT) -> evaluations.Claim:
    """A new evaluation, with a worker's claim on it."""
    with transaction(engine) as db:
        artifacts.receive(db, tenant, "model", MODEL, 1)
        artifacts.receive(db, tenant, "dataset", DATASET, 1)
        asked = evaluations.Asked(MODEL, DATASET, schemas.Config().model_dump_json(), 1, fingerprint)
        row, _ = submissions.create(db, tenant, asked, None)
        claim = evaluations.claim(db, row.id, "worker", 300)
    assert claim is not None
    return claim


def queue(db: Session, webhook: str, count: int) -> None:
    """So many deliveries that wait to be sent."""
    begun = {"webhook": webhook, "event": schemas.TEST, "payload": "{}", "state": "pending"}
    counts = {"attempts": 0, "failures": 0, "created_at": 1.0, "due_at": 1.0}
    db.execute(insert(DeliveryRow), [{"id": ids.new("dl"), **begun, **counts} for _ in range(count)])
