"""Reads, submits and lists at the rates we promise, and three times what the service can do."""

import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from benchmarks.load import callers, site
from benchmarks.load.callers import Figures, request
from benchmarks.load.rows import copied, evaluated
from benchmarks.load.site import MIB, Site

READS, SUBMITS, LISTS = 2000, 200, 50  # a second
CONNECTIONS = 32
WARM_SECONDS = 1.0


def reads(place: Site, seconds: float) -> dict[str, Any]:
    """GET of 200 evaluations, half of them ended, in turn."""
    asked = status_reads(place)
    return _measured(place, lambda length: callers.paced(place.address, asked, READS, length, CONNECTIONS), seconds)


def submits(place: Site, seconds: float) -> dict[str, Any]:
    """POST of new evaluations of uploads that are known; each is a row on disk before its answer."""
    asked = new_evaluations(place)
    return _measured(place, lambda length: callers.paced(place.address, asked, SUBMITS, length, CONNECTIONS), seconds)


def lists(place: Site, seconds: float, queued: int = 10_000) -> dict[str, Any]:
    """Pages of 10,000 queued evaluations: the first, the queued ones, and from the middle."""
    one = evaluated(place)
    copied(place, one["id"], ended=0, queued=queued)
    with place.client() as client:
        page = client.get("/v1/evaluations?limit=100").json()
        for _ in range(queued // 200):
            page = client.get("/v1/evaluations", params={"limit": 100, "cursor": page["next_cursor"]}).json()
    paths = [
        "",
        "?state=queued",
        f"?limit=20&state=queued&cursor={page['next_cursor']}",
        "?limit=100",
        "?state=running",
    ]
    asked = callers.in_turn([request("GET", f"/v1/evaluations{path}", place.headers) for path in paths])
    return _measured(place, lambda length: callers.paced(place.address, asked, LISTS, length, CONNECTIONS), seconds)


def overload(place: Site, seconds: float) -> dict[str, Any]:
    """What the service can do of reads and submits together; then three times that, by callers who do not wait."""
    read, submit = status_reads(place), new_evaluations(place)
    turn = itertools.cycle([read] * 9 + [submit])

    def asked() -> bytes:
        return next(turn)()

    able = _measured(place, lambda length: callers.busy(place.address, asked, length, CONNECTIONS), seconds)
    flood = _measured(
        place, lambda length: callers.paced(place.address, asked, 3 * able["rate"], length, 20 * CONNECTIONS), seconds
    )
    after = _measured(place, lambda length: callers.paced(place.address, read, 100, length, 4), seconds)
    return {"able": able, "flood": flood, "after": after}


def status_reads(place: Site) -> Callable[[], bytes]:
    one = evaluated(place)
    known = copied(place, one["id"], ended=100, queued=100)
    mixed = [each for pair in zip(known[:100], known[100:], strict=True) for each in pair]
    return callers.in_turn([request("GET", f"/v1/evaluations/{each}", place.headers) for each in mixed])


def new_evaluations(place: Site) -> Callable[[], bytes]:
    one = evaluated(place)
    numbers = itertools.count(1000)

    def asked() -> bytes:
        body = {"model": one["model"], "dataset": one["dataset"], "config": {"seed": next(numbers)}}
        return request("POST", "/v1/evaluations", place.headers, json.dumps(body).encode())

    return asked


def _measured(place: Site, load: Callable[[float], Awaitable[Figures]], seconds: float) -> dict[str, Any]:
    """Some warm load, then the load: what the callers saw, and what it cost the API."""

    async def both() -> tuple[Figures, site.Reading, site.Reading]:
        await load(min(WARM_SECONDS, seconds))
        before = site.read(place.api)
        figures = await load(seconds)
        return figures, before, site.read(place.api)

    figures, before, after = uvloop.run(both())
    asked = sum(figures.statuses.values())
    return figures.shown() | {
        "cpu_ms": round(1000 * (after.cpu - before.cpu) / asked, 3),
        "rss_mib": round(after.rss / MIB, 1),
        "rss_rise_mib": round((after.rss - before.rss) / MIB, 1),
        "fds": after.descriptors,
    }
