"""Who holds a key: asked of the database at most every second and key, so that a request costs a hash and no more."""

import asyncio
import time

import structlog
from anyio import to_thread
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service import problems
from service.store import keys
from service.store.keys import Known
from service.store.session import reading, transaction

TRUSTED = 1.0  # seconds an answer of the database counts; a key that is revoked elsewhere opens nothing after that
MOST = 10_000  # keys remembered at once

log = structlog.get_logger()


class Keyring:
    """The keys that callers of this process showed lately. Only good ones are remembered, so nobody can fill it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._good: dict[str, tuple[float, Known]] = {}
        self._asking: dict[str, asyncio.Task[Known]] = {}

    async def holder(self, secret: str) -> Known:
        """What a secret is good for now; raises `Unauthorized`."""
        if not keys.is_well_formed(secret):
            raise refused("That is no key of Lesion: it reads lsn_…, and a character of it may be wrong or missing.")
        hashed = keys.hashed(secret)
        until, known = self._good.get(hashed, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        if (asking := self._asking.get(hashed)) is None:  # else many would ask the same at the same moment
            asking = self._asking[hashed] = asyncio.create_task(self._ask(hashed))
            asking.add_done_callback(lambda _: self._asking.pop(hashed))
        return await asyncio.shield(asking)  # who leaves early takes the answer from nobody

    async def _ask(self, hashed: str) -> Known:
        asked = time.monotonic()
        known = await to_thread.run_sync(self._look_up, hashed)
        if len(self._good) >= MOST:
            self._good.clear()
        lasts = TRUSTED if known.lasts is None else min(TRUSTED, known.lasts)
        self._good[hashed] = (asked + lasts, known)
        return known

    def _look_up(self, hashed: str) -> Known:
        self._good.pop(hashed, None)
        with reading(self._engine) as db:
            known = keys.known(db, hashed)
        if known is None:
            raise refused("This key is not known here: is it of another service?")
        if known.revoked:
            raise refused(f"The key {known.id} was revoked. Ask whoever runs the service for another.")
        if known.lasts is not None and known.lasts <= 0:
            raise refused(f"The key {known.id} has expired. Ask whoever runs the service for another.")
        if known.unmarked:
            self._mark(known)
        return known

    def _mark(self, known: Known) -> None:
        """Note the use. It is no reason to refuse a caller that the database takes no writes now."""
        try:
            with transaction(self._engine) as db:
                keys.mark_used(db, known.id)
        except SQLAlchemyError as error:
            log.warning("key.use_not_noted", key=known.id, error=str(error))


def refused(detail: str, error: str | None = "invalid_token") -> problems.Unauthorized:
    """The problem, with the header that tells how to do better (RFC 6750)."""
    challenge = 'Bearer realm="lesion"' + (f', error="{error}"' if error else "")
    return problems.Unauthorized(detail, headers={"WWW-Authenticate": challenge})
