"""Tenants: who owns what. One exists always, and owns everything where no caller needs a key."""

import secrets
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store.session import clock
from service.store.tables import TenantRow

DEFAULT = "default"  # made by a migration, and the owner of all that was there before tenants were


def named(db: Session, name: str) -> TenantRow | None:
    """The tenant of a name, or None."""
    return db.scalar(select(TenantRow).where(TenantRow.name == name), execution_options={"populate_existing": True})


def ensure(db: Session, name: str) -> TenantRow:
    """The tenant of a name, made now if there is none."""
    if (known := named(db, name)) is not None:
        return known
    try:
        with db.begin_nested():
            db.execute(insert(TenantRow).values(id=f"tn_{secrets.token_hex(10)}", name=name, created_at=clock()))
    except IntegrityError:  # somebody else at the same moment
        pass
    made = named(db, name)
    assert made is not None
    return made


def every(db: Session) -> list[TenantRow]:
    """All tenants by name."""
    return list(db.scalars(select(TenantRow).order_by(TenantRow.name)))


def limit(db: Session, tenant: str, **quotas: Any) -> None:
    """Set `max_evaluations` or `max_bytes` of a tenant; None: as the settings say."""
    db.execute(update(TenantRow).where(TenantRow.id == tenant).values(**quotas))
