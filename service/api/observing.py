"""Every request has an id, is counted and timed; writes and failures are logged."""

import re
import time
import uuid

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.admission import READING

ID = "X-Request-Id"
REQUEST = "lesion.request"  # where in a request's scope its id lies
SANE = re.compile(r"[A-Za-z0-9._:-]{1,100}")  # what a caller may name its request; else it is given a name
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
NOWHERE = "none"  # the route of what no route answered: addresses that callers make up must not become labels
METHODS = frozenset({*READING, "POST", "PUT", "DELETE", "PATCH"})

log = structlog.get_logger()


class Counted:
    """The figures of this process's requests; without a registry they are told by one that adds up processes."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        names = ("method", "route")
        self.requests = Counter(
            "lesion_http_requests", "Requests answered by this process.", (*names, "status"), registry=registry
        )
        self.seconds = Histogram(
            "lesion_http_request_seconds",
            "Seconds until an answer began, waiting for an evaluation's end included.",
            names,
            registry=registry,
            buckets=BUCKETS,
        )

    def refused(self, method: str, status: int) -> None:
        """A request that was turned away before any route saw it."""
        self.requests.labels(method, NOWHERE, str(status)).inc()


class Observed:
    """Counts, times and names each request; outermost, so that nothing goes unseen."""

    def __init__(self, app: ASGIApp, counted: Counted) -> None:
        self._app, self._counted = app, counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID, "")
        name = given if SANE.fullmatch(given) else uuid.uuid4().hex
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[ID] = name
                self._note(scope, message["status"], time.perf_counter() - began, headers.get("location", ""))
            await send(message)

        scope[REQUEST] = name
        structlog.contextvars.bind_contextvars(
            request=name
        )  # for the whole task, so that a fault is logged with it, too
        try:
            await self._app(scope, receive, answer)
        except Exception:
            self._note(scope, 500, time.perf_counter() - began, "")  # answered further out, where nobody counts
            raise

    def _note(self, scope: Scope, status: int, seconds: float, location: str) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = getattr(scope.get("route"), "path", NOWHERE)
        self._counted.requests.labels(method, route, str(status)).inc()
        self._counted.seconds.labels(method, route).observe(seconds)
        if method in READING and status < 500:
            return
        place = {"evaluation": found} if (found := _evaluation(scope, location)) else {}
        log.info("request", method=method, route=route, status=status, seconds=round(seconds, 4), **place)


def _evaluation(scope: Scope, location: str) -> str | None:
    """The evaluation that a request is about, or that it made."""
    if location.startswith("/v1/evaluations/"):
        return location.rpartition("/")[2]
    path: str = scope["path"]
    return path.split("/")[3] if path.startswith("/v1/evaluations/") else None
