"""Sends what waits for webhooks, beside the sweeper in each API process; the processes share the work by claims."""

import asyncio
import random
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Engine
from standardwebhooks import Webhook

from service import __version__
from service.courier import Answer, Courier
from service.settings import Settings
from service.store import deliveries
from service.store.deliveries import Claim, How
from service.store.session import reading, transaction
from service.targets import Names

MOST = 64  # attempts under way in one process
LOOK_SECONDS = 1.0  # how often to look for what is due
RETRIES = (30.0, 300.0, 1_800.0, 7_200.0, 28_800.0, 86_400.0)  # seconds after the first failure, the second, …
JITTER = 0.2  # so that what failed together does not come together again
LONGEST_WAIT = 86_400.0  # seconds that a receiver may ask to be left alone for
DRAIN_SECONDS = 3.0  # for attempts under way when the process is told to stop
GONE = 410

log = structlog.get_logger()


def run(engine: Engine, settings: Settings, tls: ssl.SSLContext, stop: threading.Event) -> None:
    """Send until told to stop; nothing else ends it."""
    asyncio.run(_run(engine, settings, tls, stop))


async def _run(engine: Engine, settings: Settings, tls: ssl.SSLContext, stop: threading.Event) -> None:
    names = Names()
    courier = Courier(names, settings.webhooks_allowed, tls)
    watch = ThreadPoolExecutor(1, "notify-stop")
    stopping = asyncio.get_running_loop().run_in_executor(watch, stop.wait)
    sending: set[asyncio.Task[None]] = set()
    while not stopping.done():
        claims = await asyncio.to_thread(_claims, engine, MOST - len(sending))
        sending |= {asyncio.create_task(_send(engine, courier, claim)) for claim in claims}
        patience = min(LOOK_SECONDS, settings.sweep_seconds)
        over: set[asyncio.Future[Any]] = {stopping, *sending}
        await asyncio.wait(over, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        sending = {one for one in sending if not one.done()}
    if sending:
        await asyncio.wait(sending, timeout=DRAIN_SECONDS)
    for late in sending:
        late.cancel()  # unrecorded, so it is sent again once its lease has run out
    await asyncio.gather(*sending, return_exceptions=True)
    names.close()
    watch.shutdown(wait=False)


def _claims(engine: Engine, limit: int) -> list[Claim]:
    """What to send now. Looks before it locks: mostly there is nothing, and SQLite has one lock for all who write."""
    if limit == 0:
        return []
    try:
        with reading(engine) as db:
            wanted = deliveries.due(db, limit)
        if not wanted:
            return []
        with transaction(engine) as db:
            return deliveries.claim(db, wanted)
    except Exception as error:  # a look that failed is repeated, whatever the reason: this thread is all that sends
        log.warning("notify.failed", kind=type(error).__name__)
        return []


async def _send(engine: Engine, courier: Courier, claim: Claim) -> None:
    begun = time.monotonic()
    try:
        answer = await courier.post(claim.url, _headers(claim), claim.payload.encode())
    except Exception as error:
        # Ours, whatever it is; unrecorded it would come back with every lease, for ever.
        log.error("webhook.crashed", webhook=claim.webhook, delivery=claim.delivery, exc_info=error)
        answer = Answer(error="The service failed at this attempt; its log says why.")
    how = judged(answer, claim.failures, time.monotonic() - begun)
    log.info("webhook.sent", webhook=claim.webhook, delivery=claim.delivery, status=how.status, error=how.error)
    await asyncio.to_thread(_record, engine, claim, how)


def _headers(claim: Claim) -> dict[str, str]:
    """Those of Standard Webhooks. The time is the database's: a receiver refuses one that is minutes off."""
    at = datetime.fromtimestamp(claim.at, UTC)
    return {
        "content-type": "application/json",
        "user-agent": f"Lesion/{__version__}",
        "webhook-id": claim.delivery,
        "webhook-timestamp": str(int(claim.at)),
        "webhook-signature": Webhook(claim.secret).sign(claim.delivery, at, claim.payload),
    }


def judged(answer: Answer, failures: int, seconds: float) -> How:
    """What follows from an answer, after so many failures before it."""
    told = (answer.status, answer.error, round(seconds, 3))
    if answer.taken:
        return How(*told, end="delivered")
    if answer.status == GONE:
        return How(*told, end="failed", gone=True)
    if failures >= len(RETRIES):
        return How(*told, end="failed")
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - nobody gains from guessing it
    asked = min(answer.retry_after or 0.0, LONGEST_WAIT)
    return How(*told, delay=max(RETRIES[failures] * jitter, asked))


def _record(engine: Engine, claim: Claim, how: How) -> None:
    try:
        with transaction(engine) as db:
            deliveries.record(db, claim, how)
    except Exception as error:  # it is sent again once its lease has run out: at least once
        log.warning("notify.unrecorded", delivery=claim.delivery, kind=type(error).__name__)
