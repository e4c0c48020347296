"""Whose turn it is: the tenant that the fewest workers are busy for, of several the one that waited longest.

A hint says that there is work; which, is decided here. So a tenant with a thousand evaluations queued holds up
another's single one only until the next worker is free. Of one tenant the oldest comes first, and what has a worker
already is helped once nothing else waits: who helps gives way as soon as something does.
"""

from collections import Counter
from contextlib import suppress

from sqlalchemy import Select, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store import evaluations
from service.store.evaluations import Claim
from service.store.session import clock
from service.store.tables import ClaimRow, EvaluationRow, TurnRow

TRIES = 20  # other workers may be faster, each time with another evaluation


def claim_next(db: Session, worker: str, lease: float) -> Claim | None:
    """Claim the evaluation whose turn it is for `lease` seconds, or None if nothing wants a worker."""
    for _ in range(TRIES):
        evaluation = _next(db)
        if evaluation is None:
            return None
        claim = evaluations.claim(db, evaluation, worker, lease)
        if claim is not None:
            _serve(db, claim.tenant)
            return claim
    return None


def _next(db: Session) -> str | None:
    """The evaluation whose turn it is. Of what is queued, an index alone is read."""
    holders = (
        select(ClaimRow.evaluation, EvaluationRow.tenant)
        .join(EvaluationRow, EvaluationRow.id == ClaimRow.evaluation)
        .where(ClaimRow.lease_until > clock())
    )
    live = [(evaluation, tenant) for evaluation, tenant in db.execute(holders)]
    busy, holding = Counter(tenant for _, tenant in live), Counter(evaluation for evaluation, _ in live)
    served: dict[str, float] = {row.tenant: row.served_at for row in db.scalars(select(TurnRow))}

    def rank(tenant: str, evaluation: str) -> tuple[bool, int, float, str]:
        return holding[evaluation] > 0, busy[tenant], served.get(tenant, 0.0), evaluation

    running = select(EvaluationRow.id, EvaluationRow.tenant, EvaluationRow.workers)
    waiting = [
        rank(tenant, evaluation)
        for evaluation, tenant, workers in db.execute(running.where(EvaluationRow.state == "running"))
        if holding[evaluation] < workers
    ]
    waiting += [rank(tenant, head) for tenant, head in db.execute(heads())]
    return min(waiting)[-1] if waiting else None


def gives_way(db: Session, claim: Claim) -> bool:
    """Should who holds this claim leave its evaluation to another that has a claim on it, since some have nobody?"""
    if db.scalar(select(exists().where(EvaluationRow.state == "queued"))) is not True:
        return False
    live = (ClaimRow.evaluation == claim.evaluation, ClaimRow.lease_until > clock())
    return bool(db.scalar(select(exists().where(*live, ClaimRow.epoch < claim.epoch))))


def _serve(db: Session, tenant: str) -> None:
    """Note that a tenant had its turn."""
    again = update(TurnRow).where(TurnRow.tenant == tenant).values(served_at=clock()).returning(TurnRow.tenant)
    if db.scalar(again) is None:
        with suppress(IntegrityError), db.begin_nested():  # another worker notes the same at this moment
            db.execute(insert(TurnRow).values(tenant=tenant, served_at=clock()))


def heads() -> "Select[str, str]":
    """The oldest queued evaluation of each tenant that has one, read off an index of state, tenant and id."""
    queued = EvaluationRow.state == "queued"
    return select(EvaluationRow.tenant, func.min(EvaluationRow.id)).where(queued).group_by(EvaluationRow.tenant)
