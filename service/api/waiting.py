"""Requests that last: waiting for an evaluation to end, and telling what happens meanwhile.

They hold no database session while they wait: forty waiting callers would hold every connection.
"""

import re
import time
from collections.abc import AsyncIterator

from anyio import sleep
from fastapi import Request
from fastapi.sse import ServerSentEvent

from service import leaving, problems
from service.api import admission
from service.api.looking import Looks
from service.api.shown import Shown

FIRST_LOOK, SLOWEST_LOOK = 0.02, 0.25  # seconds between looks at the row: quick at first, for small evaluations
SHARE = 0.05  # of what was waited already, that another look waits: no caller hears of an end later than that
EVENT_LOOK = 0.1
LONGEST = 3600.0  # seconds of one stream; who follows comes back, as browsers do by themselves


def asked(request: Request, wait: float | None, most: float) -> float:
    """Seconds a caller wants to wait: `?wait=`, else `Prefer: wait=`; never more than `most`."""
    if wait is None:
        found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", request.headers.get("prefer", ""), re.IGNORECASE)
        wait = float(found[1]) if found else 0.0
    if wait < 0:
        raise problems.Invalid("`wait` is a number of seconds, 0 or more.")
    return min(wait, most)


async def ended(looks: Looks, tenant: str, evaluation: str, seconds: float) -> Shown:
    """An evaluation once it has ended, or as it is after `seconds`. Leaving early cancels nothing."""
    began = time.monotonic()
    deadline = began + seconds
    shown = await looks.look(tenant, evaluation)
    while not shown.over and not leaving.begun() and (left := deadline - time.monotonic()) > 0:
        with admission.aside():
            pause = max(SHARE * (time.monotonic() - began), FIRST_LOOK)
            await sleep(min(pause, SLOWEST_LOOK, left))
        shown = await looks.look(tenant, evaluation)
    return shown


async def events(looks: Looks, tenant: str, evaluation: str) -> AsyncIterator[ServerSentEvent]:
    """`progress` whenever the row changed, `ended` once. Each event tells all, so a reader may come and go."""
    told, until = b"", time.monotonic() + LONGEST
    with admission.aside():
        while not leaving.begun() and time.monotonic() < until:  # who follows comes back, to a process that stays
            shown = await looks.look(tenant, evaluation)
            if shown.over:
                yield ServerSentEvent(event="ended", raw_data=shown.body.decode())
                return
            if shown.body != told:
                yield ServerSentEvent(event="progress", raw_data=shown.body.decode())
                told = shown.body
            await sleep(EVENT_LOOK)
