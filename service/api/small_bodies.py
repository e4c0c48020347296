"""JSON bodies of a known small size: bounded, timed and held against their digest, as uploads are."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service import problems
from service.api import body, json_text

PROBLEMS = (
    problems.BadRequest,
    problems.DigestMismatch,
    problems.RequestTimeout,
    problems.ContentTooLarge,
    problems.UnsupportedMediaType,
    problems.Invalid,
)


class _Read(Request):
    """A request whose body was read already, for FastAPI, which would read one of any size."""

    def __init__(self, request: Request, content: bytes) -> None:
        super().__init__(request.scope, request.receive)
        self._body = content


class SmallBodies(APIRoute):
    """Routes that take small JSON: `APIRouter(route_class=SmallBodies)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, behind the walls."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            content = await body.small(request)
            json_text.check(content)
            return await handle(_Read(request, content))

        return bounded
