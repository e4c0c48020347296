"""The life of a delivery's row: made in the transaction that ends an evaluation, claimed, tried, delivered or given up.

    pending ── claim ──> pending, leased ── record ──> delivered
       └────────<── tried again later ──────┘  └─────> failed

`attempts` counts the claims and is their fencing token. Who claims and dies before it records has sent perhaps: once
the lease has run out it is sent again, under the same id. So a delivery arrives at least once.

Locks are taken in one order, webhook before delivery, so that no two transactions wait for each other.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from service import schemas
from service.store import ids
from service.store.session import clock
from service.store.tables import AttemptRow, DeliveryRow, EvaluationRow, WebhookRow

LEASE = 30.0  # seconds; an attempt takes five at most
AT_ONCE = 2  # attempts under way to one webhook


@dataclass(frozen=True)
class Claim:
    """The right, and the duty, to send a delivery once."""

    delivery: str
    number: int
    failures: int
    webhook: str
    url: str
    secret: str
    payload: str
    at: float  # the database's clock


@dataclass(frozen=True)
class How:
    """How an attempt went, and what follows: again after `delay` seconds, or the end."""

    status: int | None
    error: str | None
    seconds: float
    end: Literal["delivered", "failed"] | None = None
    delay: float | None = None
    gone: bool = False  # the receiver wants nothing more


def announce(db: Session, evaluation: EvaluationRow) -> None:
    """Queue the news that an evaluation has ended, for each webhook that asked for it."""
    event = f"evaluation.{evaluation.state}"
    asked = (WebhookRow.tenant == evaluation.tenant, WebhookRow.disabled_at.is_(None))
    # Held until this transaction ends, or a webhook that is removed meanwhile would make the evaluation's end fail.
    held = select(WebhookRow.id, WebhookRow.events).where(*asked).with_for_update(read=True, key_share=True)
    wanting = [webhook for webhook, events in db.execute(held) if event in json.loads(events)]
    if wanting:
        payload = _event(evaluation).model_dump_json()
        for webhook in wanting:
            _queue(db, webhook, event, evaluation.id, payload)


def _event(row: EvaluationRow) -> schemas.Event:
    assert row.ended_at is not None
    ended_at = schemas.instant(row.ended_at)
    result = {} if row.result is None else json.loads(row.result)
    data = schemas.EventData(
        id=row.id,
        state=row.state,
        model=row.model,
        dataset=row.dataset,
        created_at=schemas.instant(row.created_at),
        ended_at=ended_at,
        score=result.get("score"),
        verdict=(result.get("gate") or {}).get("verdict"),
        result_digest=None if row.result is None else schemas.digest(row.result),
        problem=None if row.problem is None else schemas.ProblemBody.model_validate_json(row.problem),
        links=schemas.EventLinks(self=f"/v1/evaluations/{row.id}"),
    )
    return schemas.Event.model_validate({"type": f"evaluation.{row.state}", "timestamp": ended_at, "data": data})


def test(db: Session, webhook: WebhookRow) -> DeliveryRow:
    """Queue a delivery that tells of nothing, so that a receiver can be tried."""
    now = schemas.instant(db.scalar(select(clock())) or 0.0)
    event = schemas.TestEvent(timestamp=now, data={"webhook": webhook.id})
    made = _queue(db, webhook.id, schemas.TEST, None, event.model_dump_json())
    return db.scalars(select(DeliveryRow).where(DeliveryRow.id == made)).one()


def _queue(db: Session, webhook: str, event: str, evaluation: str | None, payload: str) -> str:
    made = ids.new("dl")
    values = {"id": made, "webhook": webhook, "event": event, "evaluation": evaluation, "payload": payload}
    begun = {"state": "pending", "attempts": 0, "failures": 0}
    db.execute(insert(DeliveryRow).values(**values, **begun, created_at=clock(), due_at=clock()))
    return made


def due(db: Session, limit: int) -> list[tuple[str, str]]:
    """Deliveries to claim, and their webhooks: `AT_ONCE` of each, those first whose webhook has waited longest."""
    free = or_(DeliveryRow.lease_until.is_(None), DeliveryRow.lease_until <= clock())
    sent = (
        select(DeliveryRow.webhook, func.count().label("under_way"))
        .where(DeliveryRow.state == "pending", DeliveryRow.lease_until > clock())
        .group_by(DeliveryRow.webhook)
        .subquery()
    )
    place = func.row_number().over(partition_by=DeliveryRow.webhook, order_by=[DeliveryRow.due_at, DeliveryRow.id])
    ready = (
        select(DeliveryRow.id, DeliveryRow.webhook, place.label("place"))
        .where(DeliveryRow.state == "pending", DeliveryRow.due_at <= clock(), free)
        .subquery()
    )
    found = (
        select(ready.c.id, ready.c.webhook)
        .join(WebhookRow, WebhookRow.id == ready.c.webhook)
        .outerjoin(sent, sent.c.webhook == ready.c.webhook)
        .where(ready.c.place <= AT_ONCE - func.coalesce(sent.c.under_way, 0))
        .order_by(ready.c.place, WebhookRow.tried_at, ready.c.id)
        .limit(limit)
    )
    return [(delivery, webhook) for delivery, webhook in db.execute(found)]


def claim(db: Session, wanted: Sequence[tuple[str, str]]) -> list[Claim]:
    """Claim what `due` found, as far as no other process was faster."""
    ids = {webhook for _, webhook in wanted}
    # Another process that claims of the same webhook holds its row: what is left there is claimed at the next look.
    held = select(WebhookRow).where(WebhookRow.id.in_(ids)).order_by(WebhookRow.id)
    webhooks = {row.id: row for row in db.scalars(held.with_for_update(key_share=True, skip_locked=True))}
    claims = [_claim(db, delivery, webhooks[webhook]) for delivery, webhook in wanted if webhook in webhooks]
    db.execute(update(WebhookRow).where(WebhookRow.id.in_(list(webhooks))).values(tried_at=clock()))
    return [made for made in claims if made is not None]


def _claim(db: Session, delivery: str, webhook: WebhookRow) -> Claim | None:
    free = or_(DeliveryRow.lease_until.is_(None), DeliveryRow.lease_until <= clock())
    under_way = select(func.count()).where(
        DeliveryRow.webhook == webhook.id, DeliveryRow.state == "pending", DeliveryRow.lease_until > clock()
    )
    if (db.scalar(under_way) or 0) >= AT_ONCE:
        return None
    claimed = db.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery, DeliveryRow.state == "pending", DeliveryRow.due_at <= clock(), free)
        .values(attempts=DeliveryRow.attempts + 1, lease_until=clock() + LEASE)
        .returning(DeliveryRow.attempts, DeliveryRow.failures, DeliveryRow.payload, clock())
    ).one_or_none()
    if claimed is None:
        return None
    number, failures, payload, now = claimed
    db.execute(insert(AttemptRow).values(delivery=delivery, number=number, at=now))
    return Claim(delivery, number, failures, webhook.id, webhook.url, webhook.secret, payload, now)


def record(db: Session, claim: Claim, how: How) -> bool:
    """Write down how an attempt went. False if its lease ran out meanwhile: what follows is then another's to say."""
    if how.gone:
        _disable(db, claim)
    ended = clock() if how.end is not None else None
    mine = (DeliveryRow.id == claim.delivery, DeliveryRow.attempts == claim.number, DeliveryRow.state == "pending")
    values = {
        "state": how.end or "pending",
        "failures": DeliveryRow.failures + (0 if how.end == "delivered" else 1),
        "due_at": clock() + (how.delay or 0.0),
        "lease_until": None,
        "ended_at": ended,
    }
    due_at = db.scalar(update(DeliveryRow).where(*mine).values(**values).returning(DeliveryRow.due_at))
    told = {"status": how.status, "error": how.error, "seconds": how.seconds}
    told["next_attempt_at"] = None if how.end is not None else due_at
    of_it = (AttemptRow.delivery == claim.delivery, AttemptRow.number == claim.number, AttemptRow.seconds.is_(None))
    db.execute(update(AttemptRow).where(*of_it).values(**told))
    return due_at is not None


def _disable(db: Session, claim: Claim) -> None:
    """Send nothing more to a webhook, and nothing again of what waits for it."""
    db.execute(update(WebhookRow).where(WebhookRow.id == claim.webhook).values(disabled_at=clock()))
    waiting = (DeliveryRow.webhook == claim.webhook, DeliveryRow.state == "pending", DeliveryRow.id != claim.delivery)
    db.execute(update(DeliveryRow).where(*waiting).values(state="failed", ended_at=clock(), lease_until=None))


def page(db: Session, webhook: str, limit: int, before: str | None) -> list[tuple[DeliveryRow, list[AttemptRow]]]:
    """Up to `limit` deliveries of a webhook with their attempts, newest first, older than the id `before`."""
    rows = select(DeliveryRow).where(DeliveryRow.webhook == webhook)
    if before is not None:
        rows = rows.where(DeliveryRow.id < before)
    found = list(db.scalars(rows.order_by(DeliveryRow.id.desc()).limit(limit)))
    attempts: dict[str, list[AttemptRow]] = {row.id: [] for row in found}
    of_them = select(AttemptRow).where(AttemptRow.delivery.in_(list(attempts))).order_by(AttemptRow.number)
    for attempt in db.scalars(of_them):
        attempts[attempt.delivery].append(attempt)
    return [(row, attempts[row.id]) for row in found]


def forget(db: Session, kept: float) -> None:
    """Forget deliveries that ended more than `kept` seconds ago."""
    db.execute(delete(DeliveryRow).where(DeliveryRow.ended_at < clock() - kept))
