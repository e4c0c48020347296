"""Requests that last: waiting for an evaluation to end, and telling what happens meanwhile.

They hold no database session while they wait: forty waiting callers would hold every connection.
"""

import re
import time
from collections.abc import AsyncIterator

from anyio import sleep, to_thread
from fastapi import Request
from fastapi.sse import ServerSentEvent
from sqlalchemy import Engine

from service import leaving, problems
from service.api import answers
from service.schemas import ENDED
from service.signing import Signer
from service.store import evaluations
from service.store.session import reading
from service.store.tables import EvaluationRow

FIRST_LOOK, SLOWEST_LOOK = 0.02, 0.25  # seconds between looks at the row: quick at first, for small evaluations
EVENT_LOOK = 0.1


def asked(request: Request, wait: float | None, most: float) -> float:
    """Seconds a caller wants to wait: `?wait=`, else `Prefer: wait=`; never more than `most`."""
    if wait is None:
        found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", request.headers.get("prefer", ""), re.IGNORECASE)
        wait = float(found[1]) if found else 0.0
    if wait < 0:
        raise problems.Invalid("`wait` is a number of seconds, 0 or more.")
    return min(wait, most)


def look(engine: Engine, tenant: str, evaluation: str) -> EvaluationRow:
    """The row as it is now."""
    with reading(engine) as db:
        return evaluations.get(db, tenant, evaluation)


async def ended(engine: Engine, tenant: str, evaluation: str, seconds: float) -> EvaluationRow:
    """The row once the evaluation has ended, or as it is after `seconds`. Leaving early cancels nothing."""
    deadline = time.monotonic() + seconds
    row = await to_thread.run_sync(look, engine, tenant, evaluation)
    pause = FIRST_LOOK
    while row.state not in ENDED and not leaving.begun() and (left := deadline - time.monotonic()) > 0:
        await sleep(min(pause, left))
        pause = min(pause * 1.5, SLOWEST_LOOK)
        row = await to_thread.run_sync(look, engine, tenant, evaluation)
    return row


async def events(engine: Engine, tenant: str, evaluation: str, signer: Signer) -> AsyncIterator[ServerSentEvent]:
    """`progress` whenever the row changed, `ended` once. Each event tells all, so a reader may come and go."""
    shown = ""
    while not leaving.begun():  # who follows comes back, to a process that stays
        row = await to_thread.run_sync(look, engine, tenant, evaluation)
        body = answers.evaluation(row, signer).model_dump_json()
        if row.state in ENDED:
            yield ServerSentEvent(event="ended", raw_data=body)
            return
        if body != shown:
            yield ServerSentEvent(event="progress", raw_data=body)
            shown = body
        await sleep(EVENT_LOOK)
