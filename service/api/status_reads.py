"""GET of one evaluation without waiting, which is asked more often than all else: straight to the row.

FastAPI matches routes twice and finds out anew for each request what a handler wants; that is half of what such a read
costs. `evaluations.show` is the same read with all its parameters, and what the document describes.
"""

from fastapi import Request, Response
from fastapi.security import SecurityScopes
from starlette.routing import Match, Route
from starlette.types import Scope

from service.api import evaluations
from service.api.deps import Backends, bearer, caller

READ = SecurityScopes(["evaluations:read"])


async def _show(request: Request) -> Response:
    backends: Backends = request.app.state.backends
    who = await caller(request, READ, backends, await bearer(request))
    shown = await backends.looks.look(who.tenant, request.path_params["id"])
    return evaluations.answer(shown, request)


class StatusReads(Route):
    """The route; it has to stand before all others. Whatever has parameters is not its business."""

    def __init__(self) -> None:
        super().__init__("/v1/evaluations/{id}", _show, methods=["GET"], include_in_schema=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is such a read."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
            return Match.NONE, {}
        if any(name == b"prefer" for name, _ in scope["headers"]):
            return Match.NONE, {}
        match, found = super().matches(scope)
        return match, {**found, "route": self}  # which requests are counted by
