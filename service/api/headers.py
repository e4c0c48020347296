"""What every answer tells a browser: run nothing, load nothing from elsewhere, guess no content type."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
NOTHING = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI starts itself by a script within the page, and paints icons from data.
ANSWER_HEADERS = "lesion.headers"  # where in a request's scope those lie that go with its answer
DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)


class SecurityHeaders:
    """Adds them to each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = DOCS if scope["path"] == "/docs" else NOTHING

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                headers["Content-Security-Policy"] = policy
                headers.update(scope.get(ANSWER_HEADERS, {}))
            await send(message)

        await self._app(scope, receive, answer)
