"""Keys: made, found by the hash of what a caller shows, rotated, revoked.

A secret reads lsn_<id>_<43 characters, 256 bits>_<checksum>: scanners know it by the prefix, and a mistyped one is told
from an unknown one without asking the database. As nobody can guess 256 bits, a plain sha256 keeps it.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from service import problems
from service.schemas import Scope
from service.store.session import clock
from service.store.tables import KeyRow

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH, SECRET_LENGTH, SUM_LENGTH = 12, 43, 6
FORM = re.compile(r"(lsn_[0-9A-Za-z]{12}_[0-9A-Za-z]{43})_([0-9A-Za-z]{6})")
USED_EXACT_TO = 60.0  # seconds; so much `last_used_at` may lag, for one write a minute and key


@dataclass(frozen=True)
class Known:
    """What a secret that somebody showed is good for."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    revoked: bool
    lasts: float | None  # seconds until it expires, negative afterwards
    unmarked: bool  # its last use is not on record yet


@dataclass(frozen=True)
class Made:
    """A new key, and its secret, which nobody can show a second time."""

    row: KeyRow
    secret: str


def is_well_formed(secret: str) -> bool:
    """Has it our form and the right checksum?"""
    match = FORM.fullmatch(secret)
    return match is not None and _checksum(match[1]) == match[2]


def hashed(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create(db: Session, tenant: str, name: str, scopes: Sequence[Scope], expires_in: float | None = None) -> Made:
    """Make a key that lasts `expires_in` seconds, or until it is revoked."""
    key = _random(ID_LENGTH)
    whole = f"lsn_{key}_{_random(SECRET_LENGTH)}"
    secret = f"{whole}_{_checksum(whole)}"
    db.execute(
        insert(KeyRow).values(
            id=key,
            tenant=tenant,
            name=name,
            hash=hashed(secret),
            scopes=" ".join(sorted(set(scopes))),
            created_at=clock(),
            expires_at=None if expires_in is None else clock() + expires_in,
        )
    )
    return Made(get(db, tenant, key), secret)


def known(db: Session, hash: str) -> Known | None:
    """Whose secret has this hash? None: nobody's."""
    found = db.execute(
        select(KeyRow, KeyRow.expires_at - clock(), clock() - KeyRow.last_used_at).where(KeyRow.hash == hash)
    ).one_or_none()
    if found is None:
        return None
    row, lasts, idle = found
    unmarked = idle is None or idle > USED_EXACT_TO
    return Known(row.id, row.tenant, scopes(row), row.revoked_at is not None, lasts, unmarked)


def mark_used(db: Session, key: str) -> None:
    """Put a use on record."""
    db.execute(update(KeyRow).where(KeyRow.id == key).values(last_used_at=clock()))


def get(db: Session, tenant: str, key: str) -> KeyRow:
    """One key of a tenant; raises `NotFound`."""
    row = db.get(KeyRow, key, populate_existing=True)
    if row is None or row.tenant != tenant:
        raise problems.NotFound(f"There is no key {key!r}; GET /v1/keys lists those there are.")
    return row


def page(db: Session, tenant: str, limit: int, before: tuple[float, str] | None = None) -> list[KeyRow]:
    """Up to `limit` keys of a tenant, newest first, after the (created_at, id) of the last page."""
    rows = select(KeyRow).where(KeyRow.tenant == tenant)
    if before is not None:
        created_at, key = before
        rows = rows.where((KeyRow.created_at < created_at) | ((KeyRow.created_at == created_at) & (KeyRow.id < key)))
    return list(db.scalars(rows.order_by(KeyRow.created_at.desc(), KeyRow.id.desc()).limit(limit)))


def rotate(db: Session, tenant: str, key: str, overlap: float) -> Made:
    """Replace a key by one that allows the same and lasts as long; the old one works for `overlap` seconds more.

    Raises `Conflict` for a key that is not live, or has been replaced already: two of a line live at most.
    """
    get(db, tenant, key)
    row = db.scalars(select(KeyRow).where(KeyRow.id == key).with_for_update()).one()
    now = db.scalar(select(clock())) or 0.0
    if state(row, now) != "live":
        raise problems.Conflict(f"The key {key} is {state(row, now)}; make a new one instead.")
    if row.successor is not None:
        raise problems.Conflict(f"The key {key} was replaced by {row.successor} already; rotate that one.")
    made = create(
        db, tenant, row.name, sorted(scopes(row)), None if row.expires_at is None else row.expires_at - row.created_at
    )
    end = now + overlap if row.expires_at is None else min(row.expires_at, now + overlap)
    db.execute(update(KeyRow).where(KeyRow.id == key).values(expires_at=end, successor=made.row.id))
    return made


def revoke(db: Session, tenant: str, key: str) -> KeyRow:
    """Let a key open nothing any more. Revoking twice is fine."""
    get(db, tenant, key)
    unrevoked = (KeyRow.id == key, KeyRow.revoked_at.is_(None))
    db.execute(update(KeyRow).where(*unrevoked).values(revoked_at=clock()))
    return get(db, tenant, key)


def scopes(row: KeyRow) -> frozenset[Scope]:
    """What a key allows."""
    return frozenset(row.scopes.split())  # type: ignore[arg-type]


def state(row: KeyRow, now: float) -> str:
    """live, expired or revoked."""
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "live"


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    number, letters = zlib.crc32(text.encode()), ""
    for _ in range(SUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        letters = ALPHABET[digit] + letters
    return letters
