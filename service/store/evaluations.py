"""The life of an evaluation's row: claimed, beating, ended; every step a compare-and-set. Submissions make them.

    queued ── claim ──> running ── finish ──> succeeded
       │                   ├────── fail ────> failed
       └────── cancel ─────┴────────────────> cancelled

A claim has a lease on the database's clock and an epoch, the fencing token: who lets the lease run out can write
nothing any more. Up to `workers` claims on one evaluation live at a time.
"""

from dataclasses import dataclass

from sqlalchemy import and_, delete, exists, func, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from service import problems, schemas
from service.store import deliveries
from service.store.session import clock
from service.store.tables import UNENDED, ChunkRow, ClaimRow, EvaluationRow

NOBODY = 0  # an epoch that no claim has


@dataclass(frozen=True)
class Claim:
    """A worker's right to compute chunks of an evaluation, while its lease lives."""

    evaluation: str
    tenant: str
    epoch: int
    worker: str
    model: str
    dataset: str
    config: str
    created_at: float


class ClaimLostError(Exception):
    """The lease ran out, or the evaluation ended: whatever this worker has computed is no longer wanted."""


@dataclass(frozen=True)
class Asked:
    """What a caller asked for, in the form that is stored.

    fingerprint: of what determines the answer. request: of what the caller said, where that is not the same: the
    policy that it names may have another version by now.
    """

    model: str
    dataset: str
    config: str
    workers: int
    fingerprint: str
    request: str | None = None


def get(db: Session, tenant: str, evaluation: str) -> EvaluationRow:
    """One evaluation of a tenant; raises `NotFound`, in the same words whether it is another's or nobody's."""
    # PostgreSQL cannot even be asked for a text with NUL in it.
    row = None if "\0" in evaluation else db.get(EvaluationRow, evaluation, populate_existing=True)
    if row is None or row.tenant != tenant:
        raise missing(evaluation)
    return row


def missing(evaluation: str) -> problems.NotFound:
    """What to raise for an id that is another's or nobody's."""
    return problems.NotFound(f"There is no evaluation {evaluation!r}; GET /v1/evaluations lists those there are.")


def claim(db: Session, evaluation: str, worker: str, lease: float) -> Claim | None:
    """Claim an evaluation for `lease` seconds, or None if it has ended or enough workers hold it already."""
    row = db.scalar(
        select(EvaluationRow)
        .where(EvaluationRow.id == evaluation, EvaluationRow.state.in_(UNENDED))
        .with_for_update()  # two workers at the same row: the second counts the first one's claim
    )
    if row is None:
        return None
    of_it = ClaimRow.evaluation == evaluation
    db.execute(delete(ClaimRow).where(of_it, ClaimRow.lease_until <= clock()))
    if (db.scalar(select(func.count()).where(of_it)) or 0) >= row.workers:
        return None
    epoch = row.epoch + 1
    db.execute(
        update(EvaluationRow)
        .where(EvaluationRow.id == evaluation)
        .values(state="running", epoch=epoch, started_at=func.coalesce(EvaluationRow.started_at, clock()))
    )
    db.execute(insert(ClaimRow).values(evaluation=evaluation, epoch=epoch, worker=worker, lease_until=clock() + lease))
    return Claim(evaluation, row.tenant, epoch, worker, row.model, row.dataset, row.config, row.created_at)


def _of(claim: Claim) -> ColumnElement[bool]:
    """The claim's row. The worker counts: a database that was restored from a backup gives its epochs again."""
    row = (ClaimRow.evaluation == claim.evaluation, ClaimRow.epoch == claim.epoch)
    return and_(*row, ClaimRow.worker == claim.worker)


def _live(claim: Claim) -> ColumnElement[bool]:
    return and_(_of(claim), ClaimRow.lease_until > clock())


def writing(db: Session, claim: Claim) -> None:
    """Let this transaction write for a claim; raises `ClaimLostError` unless its lease lives and its evaluation runs.

    The evaluation's row stays locked until the transaction ends, so that nobody ends it or takes it over in between.
    Two statements, and no condition of the write itself: PostgreSQL would check that against what was committed
    before it waited for the row, and let an evaluation end twice.
    """
    running = (EvaluationRow.id == claim.evaluation, EvaluationRow.state == "running")
    if db.scalar(select(EvaluationRow.id).where(*running).with_for_update()) is None:
        raise ClaimLostError
    if db.scalar(select(exists().where(_live(claim)))) is not True:
        raise ClaimLostError


def beat(db: Session, claim: Claim, lease: float) -> None:
    """Renew a lease; raises `ClaimLostError` if it ran out or the evaluation was cancelled or ended."""
    renewed = db.execute(
        update(ClaimRow).where(_live(claim)).values(lease_until=clock() + lease).returning(ClaimRow.epoch)
    )
    if renewed.scalar() is None:
        raise ClaimLostError


def release(db: Session, claim: Claim) -> None:
    """Give a claim back, so that another worker need not wait for its lease to run out."""
    # Due for a hint at once; nothing happens if the evaluation has ended. First, as all writers lock its row first.
    db.execute(update(EvaluationRow).where(EvaluationRow.id == claim.evaluation).values(hinted_at=0.0))
    db.execute(delete(ClaimRow).where(_of(claim)))
    # Given back is not lost: the chunk it held counts no loss.
    held = (ChunkRow.evaluation == claim.evaluation, ChunkRow.epoch == claim.epoch, ChunkRow.payload.is_(None))
    db.execute(update(ChunkRow).where(*held).values(epoch=NOBODY))


def release_all(db: Session) -> None:
    """Drop every claim. Only for who knows that no worker lives: an embedded stack that has just locked its data."""
    db.execute(delete(ClaimRow))
    db.execute(update(EvaluationRow).where(EvaluationRow.state.in_(UNENDED)).values(hinted_at=0.0))


def seconds_run(db: Session, evaluation: str) -> float:
    """Seconds since the first claim."""
    age = select(clock() - EvaluationRow.started_at).where(EvaluationRow.id == evaluation)
    return float(db.scalar(age) or 0.0)


def show_progress(db: Session, claim: Claim, progress: schemas.Progress) -> None:
    """Publish how far the evaluation is; raises `ClaimLostError` unless this claim is live."""
    writing(db, claim)
    row = EvaluationRow.id == claim.evaluation
    db.execute(update(EvaluationRow).where(row).values(progress=progress.model_dump_json()))


def finish(db: Session, claim: Claim, result: str, chunks: int) -> None:
    """Store the result that the first so many chunks gave; of several claims, one wins.

    Raises `ClaimLostError` unless this claim is live and those chunks are stored: a database that was restored from a
    backup does not know all that this worker has computed. What lies beyond them is no part of the answer, and goes.
    """
    writing(db, claim)
    of_it = ChunkRow.evaluation == claim.evaluation
    computed = select(func.count()).where(of_it, ChunkRow.index < chunks, ChunkRow.payload.is_not(None))
    if db.scalar(computed) != chunks:
        raise ClaimLostError
    _end(db, claim.evaluation, state="succeeded", result=result)
    db.execute(delete(ChunkRow).where(of_it, ChunkRow.index >= chunks))


def fail(db: Session, claim: Claim, problem: problems.Problem) -> None:
    """End an evaluation with a problem; raises `ClaimLostError` unless this claim is live."""
    writing(db, claim)
    _end(db, claim.evaluation, state="failed", problem=schemas.canonical(problem.body()))


def _end(db: Session, evaluation: str, **values: str) -> bool:
    """End what has not ended: nobody holds it, what no success needs is gone, who asked is told. False if it has."""
    unended = (EvaluationRow.id == evaluation, EvaluationRow.state.in_(UNENDED))
    ended = update(EvaluationRow).where(*unended).values(**values, ended_at=clock()).returning(EvaluationRow.id)
    if db.scalar(ended) is None:
        return False
    db.execute(delete(ClaimRow).where(ClaimRow.evaluation == evaluation))
    if values["state"] != "succeeded":
        db.execute(delete(ChunkRow).where(ChunkRow.evaluation == evaluation))
    deliveries.announce(db, db.get_one(EvaluationRow, evaluation, populate_existing=True))
    return True


def cancel(db: Session, tenant: str, evaluation: str) -> EvaluationRow:
    """Cancel; the workers find out at their next beat. Cancelling twice is fine; raises `Conflict` once ended."""
    get(db, tenant, evaluation)
    hit = _end(db, evaluation, state="cancelled")
    row = get(db, tenant, evaluation)
    if not hit and row.state != "cancelled":
        raise problems.Conflict(f"The evaluation has {row.state} already. To delete it for good, say ?forget=true.")
    return row


def neglected(db: Session, patience: float, limit: int) -> list[tuple[str, int]]:
    """Evaluations that want workers, last hinted at more than `patience` seconds ago, and how many they want.

    The hint counts as repeated from now: the caller publishes after this transaction.
    """
    live_claims = (
        select(func.count())
        .where(ClaimRow.evaluation == EvaluationRow.id, ClaimRow.lease_until > clock())
        .scalar_subquery()
    )
    due = (
        select(EvaluationRow.id, EvaluationRow.workers - live_claims)
        .where(
            EvaluationRow.state.in_(UNENDED),
            EvaluationRow.hinted_at < clock() - patience,
            live_claims < EvaluationRow.workers,
        )
        .order_by(EvaluationRow.hinted_at)
        .limit(limit)
        .with_for_update(of=EvaluationRow, skip_locked=True)  # another sweep has those, or a worker that is awake
    )
    found = [(evaluation, missing) for evaluation, missing in db.execute(due)]
    for evaluation, _ in found:
        db.execute(update(EvaluationRow).where(EvaluationRow.id == evaluation).values(hinted_at=clock()))
    return found
