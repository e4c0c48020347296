"""The addresses that callers want to be told at. What is sent there lies in deliveries.py."""

import base64
import json
import secrets
from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from service import problems
from service.store import ids
from service.store.session import clock
from service.store.tables import TenantRow, WebhookRow

MOST = 20  # webhooks of one tenant; with deliveries.AT_ONCE of each, no tenant fills a process of notify.py
SECRET_BYTES = 32


def create(db: Session, tenant: str, url: str, events: Sequence[str]) -> WebhookRow:
    """Remember an address, with a secret of its own; raises `Conflict` if the tenant has too many."""
    owner = select(TenantRow.id).where(TenantRow.id == tenant)
    db.scalar(owner.with_for_update(key_share=True))  # two at the same moment: the second counts the first
    if (db.scalar(select(func.count()).where(WebhookRow.tenant == tenant)) or 0) >= MOST:
        raise problems.Conflict(f"There are {MOST} webhooks already, the most there may be; delete one first.")
    made = ids.new("wh")
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
    values = {"id": made, "tenant": tenant, "url": url, "secret": secret, "events": json.dumps(sorted(set(events)))}
    db.execute(insert(WebhookRow).values(**values, created_at=clock(), tried_at=0.0))
    return get(db, tenant, made)


def get(db: Session, tenant: str, webhook: str) -> WebhookRow:
    """One webhook of a tenant; raises `NotFound`, in the same words whether it is another's or nobody's."""
    # PostgreSQL cannot even be asked for a text with NUL in it.
    row = None if "\0" in webhook else db.get(WebhookRow, webhook, populate_existing=True)
    if row is None or row.tenant != tenant:
        raise problems.NotFound(f"There is no webhook {webhook!r}; GET /v1/webhooks lists those there are.")
    return row


def page(db: Session, tenant: str, limit: int, before: str | None) -> list[WebhookRow]:
    """Up to `limit` webhooks of a tenant, newest first, older than the id `before`."""
    rows = select(WebhookRow).where(WebhookRow.tenant == tenant)
    if before is not None:
        rows = rows.where(WebhookRow.id < before)
    return list(db.scalars(rows.order_by(WebhookRow.id.desc()).limit(limit)))


def remove(db: Session, tenant: str, webhook: str) -> None:
    """Forget an address and all that was or would be sent there; raises `NotFound`."""
    get(db, tenant, webhook)
    db.execute(delete(WebhookRow).where(WebhookRow.id == webhook))
