"""How often one key may call. Reads are counted in this process, writes in the broker's Redis for all processes.

So a Redis that is away holds up no read, and writes are then counted here too, which is stricter than not at all.
"""

import time
from dataclasses import dataclass
from typing import Any

import structlog
from anyio import to_thread
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from service import problems
from service.settings import Settings

ANSWER_SECONDS = 0.5  # that Redis has to answer
AWAY_SECONDS = 5.0  # for which a Redis that did not is left alone

log = structlog.get_logger()


@dataclass(frozen=True)
class Budget:
    """What is left of a limit."""

    name: str
    limit: RateLimitItem
    left: int
    reset: int  # seconds

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers writes it."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.limit.amount};w={self.limit.get_expiry()}',
            "RateLimit": f'"{self.name}";r={self.left};t={self.reset}',
        }


class Limits:
    """The limits of one API process."""

    def __init__(self, settings: Settings) -> None:
        self._limits = {"reads": _parsed(settings.read_limit), "writes": _parsed(settings.write_limit)}
        self._here = FixedWindowRateLimiter(MemoryStorage())
        self._shared = None if settings.broker_url is None else FixedWindowRateLimiter(_redis(settings.broker_url))
        self._away_until = 0.0

    async def spend(self, key: str, *, writes: bool) -> Budget | None:
        """Count one request of a key; raises `RateLimited`. None where there is no limit."""
        name = "writes" if writes else "reads"
        limit = self._limits[name]
        if limit is None:
            return None
        if not writes or self._shared is None or time.monotonic() < self._away_until:
            return _spend(self._here, name, limit, key)
        try:
            return await to_thread.run_sync(_spend, self._shared, name, limit, key)
        except StorageError as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning("limits.no_redis", error=str(error))
            return _spend(self._here, name, limit, key)


def _spend(limiter: FixedWindowRateLimiter, name: str, limit: RateLimitItem, key: str) -> Budget:
    may = limiter.hit(limit, name, key)
    stats = limiter.get_window_stats(limit, name, key)
    budget = Budget(name, limit, stats.remaining, max(1, round(stats.reset_time - time.time())))
    if not may:
        raise problems.RateLimited(
            f"This key may make {limit}, {name} alone, and has. Come again in {budget.reset} s.",
            headers={"Retry-After": str(budget.reset), **budget.headers()},
        )
    return budget


def _parsed(limit: str) -> RateLimitItem | None:
    return parse(limit) if limit else None


def _redis(url: str) -> RedisStorage:
    for celery, theirs in (("redis+socket://", "redis+unix://"), ("unix://", "redis+unix://")):
        if url.startswith(celery):
            url = theirs + url.removeprefix(celery)
    options: dict[str, Any] = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    return RedisStorage(url, wrap_exceptions=True, key_prefix="lesion.limits", **options)
