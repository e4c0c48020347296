"""Webhooks: POST, GET, list and DELETE, a test delivery, and what became of deliveries.

Reading them wants the same scope as writing them: a URL may hold a token of the receiver's.
"""

import json
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query

from service import problems, schemas, targets
from service.api import answers
from service.api.deps import Caller, Cursor, Db, ReadDb, Used, documented, may
from service.api.small_bodies import PROBLEMS, SmallBodies
from service.store import deliveries, webhooks
from service.store.session import transaction
from service.store.tables import AttemptRow, DeliveryRow, WebhookRow

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=SmallBodies)

By = Annotated[Caller, may("webhooks:write")]
Limit = Annotated[int, Query(ge=1, le=100, description="Most entries of one page.")]
LOST = "The process that sent it ended before it could say how it went."


@router.post(
    "",
    status_code=201,
    responses=documented(*PROBLEMS, problems.WebhookUrlForbidden, problems.Conflict),
)
async def create(backends: Used, caller: By, asked: schemas.NewWebhook) -> schemas.WebhookMade:
    """Have an address told when evaluations end.

    The answer shows the secret that verifies deliveries, this once. Deliveries are those of Standard Webhooks: a POST
    with `webhook-id`, `webhook-timestamp` and `webhook-signature`, at least once, tried again for a day and a half.
    """
    await targets.check(asked.url, backends.names, backends.settings.webhooks_allowed)

    def enter() -> WebhookRow:
        with transaction(backends.engine) as db:
            return webhooks.create(db, caller.tenant, asked.url, asked.events)

    row = await to_thread.run_sync(enter)
    return schemas.WebhookMade(**_webhook(row).model_dump(), secret=row.secret)


@router.get("", responses=documented(problems.Invalid))
def list_(db: ReadDb, caller: By, limit: Limit = 20, cursor: Cursor = None) -> schemas.Webhooks:
    """List webhooks, newest first."""
    before = None if cursor is None else str(answers.read_cursor(cursor, str)[0])
    rows = webhooks.page(db, caller.tenant, limit + 1, before)
    more = answers.write_cursor(rows[limit - 1].id) if len(rows) > limit else None
    return schemas.Webhooks(data=[_webhook(row) for row in rows[:limit]], next_cursor=more)


@router.get("/{id}", responses=documented(problems.NotFound))
def show(db: ReadDb, caller: By, id: str) -> schemas.Webhook:
    """Show one webhook."""
    return _webhook(webhooks.get(db, caller.tenant, id))


@router.delete("/{id}", status_code=204, responses=documented(problems.NotFound))
def remove(db: Db, caller: By, id: str) -> None:
    """Forget a webhook, and all its deliveries; nothing is sent to it any more."""
    webhooks.remove(db, caller.tenant, id)


@router.post("/{id}/test", status_code=202, responses=documented(problems.NotFound, problems.Conflict))
def test(db: Db, caller: By, id: str) -> schemas.Delivery:
    """Send a `webhook.test` now; GET its deliveries shows how it went."""
    row = webhooks.get(db, caller.tenant, id)
    if row.disabled_at is not None:
        raise problems.Conflict("The receiver answered 410 Gone, so nothing is sent there; register it again.")
    return _delivery(deliveries.test(db, row), [])


@router.get("/{id}/deliveries", responses=documented(problems.NotFound, problems.Invalid))
def list_deliveries(db: ReadDb, caller: By, id: str, limit: Limit = 20, cursor: Cursor = None) -> schemas.Deliveries:
    """List what was sent to a webhook, or will be, newest first, with each attempt."""
    webhook = webhooks.get(db, caller.tenant, id)
    before = None if cursor is None else str(answers.read_cursor(cursor, str)[0])
    rows = deliveries.page(db, webhook.id, limit + 1, before)
    more = answers.write_cursor(rows[limit - 1][0].id) if len(rows) > limit else None
    return schemas.Deliveries(data=[_delivery(row, attempts) for row, attempts in rows[:limit]], next_cursor=more)


def _webhook(row: WebhookRow) -> schemas.Webhook:
    return schemas.Webhook(
        id=row.id,
        url=row.url,
        events=json.loads(row.events),
        created_at=schemas.instant(row.created_at),
        disabled_at=None if row.disabled_at is None else schemas.instant(row.disabled_at),
    )


def _delivery(row: DeliveryRow, attempts: list[AttemptRow]) -> schemas.Delivery:
    told = {name: getattr(row, name) for name in ("id", "event", "evaluation", "state")}
    return schemas.Delivery.model_validate(
        {
            **told,
            "created_at": schemas.instant(row.created_at),
            "next_attempt_at": schemas.instant(row.due_at) if row.state == "pending" else None,
            "attempts": [_attempt(attempt, row) for attempt in attempts],
        }
    )


def _attempt(row: AttemptRow, delivery: DeliveryRow) -> schemas.Attempt:
    lost = row.seconds is None and (row.number < delivery.attempts or delivery.lease_until is None)
    return schemas.Attempt(
        at=schemas.instant(row.at),
        status=row.status,
        error=LOST if lost else row.error,
        seconds=row.seconds,
        next_attempt_at=None if row.next_attempt_at is None else schemas.instant(row.next_attempt_at),
    )
