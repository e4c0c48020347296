"""What every answer tells a browser: run nothing, load nothing from elsewhere, guess no content type."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
NOTHING = "default-src 'none'; frame-ancestors 'none'"
ANSWER_HEADERS = "lesion.headers"  # where in a request's scope those lie that go with its answer
# Swagger UI starts itself by a script within the page, and paints icons from data.
DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
# The page runs its own files alone, nothing that stands within it, and no text can become markup.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
POLICIES = {"/docs": DOCS, "/": PAGE}


class SecurityHeaders:
    """Adds them to each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = POLICIES.get(scope["path"], NOTHING)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                headers.setdefault("Content-Security-Policy", policy)  # a report has one of its own
                headers.update(scope.get(ANSWER_HEADERS, {}))
            await send(message)

        await self._app(scope, receive, answer)
