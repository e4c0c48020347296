"""The little HTTP application that registries' webhooks go to: verified, remembered, answered with 202 at once."""

import time
from collections.abc import Callable, Mapping

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from service import problems
from service.api import body
from service.api.headers import SecurityHeaders
from service.registries import hooks
from service.registries.hooks import Sender
from service.registries.inbox import Inbox

log = structlog.get_logger()
SECRETS: Mapping[Sender, str] = {  # the variable that a sender's secret is in
    "mlflow": "LESION_MLFLOW_SECRET",
    "hugging-face": "LESION_HUGGING_FACE_SECRET",
    "signed": "LESION_HOOK_SECRET",
}


def create_app(
    inbox: Inbox, secrets: Mapping[Sender, str], wake: Callable[[], None], wanted: Callable[[str], bool]
) -> FastAPI:
    """The application: `wake` is called when there is work, `wanted` says which versions are any."""
    app = FastAPI(title="Lesion's receiver of registry webhooks", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SecurityHeaders)
    for kind in (problems.Problem, HTTPException):
        app.add_exception_handler(kind, _problem)

    @app.post("/hooks/{sender}", status_code=202)
    async def deliver(sender: str, request: Request) -> dict[str, str]:
        """Take a delivery; nothing of it is read before its signature fits."""
        known = next((kind for kind in SECRETS if kind == sender), None)
        if known is None:
            raise problems.NotFound(f"Deliveries go to {', '.join(f'/hooks/{kind}' for kind in SECRETS)}.")
        if known not in secrets:
            raise problems.NotFound(f"Deliveries of {known} are taken once {SECRETS[known]} is set here.")
        text = await body.small(request)
        try:
            arrived = hooks.read(known, secrets[known], request.headers, text, time.time())
        except hooks.NotTheirsError as error:
            log.warning("hook.refused", sender=known, why=str(error))
            raise problems.Unauthorized(str(error)) from error
        except hooks.NotReadableError as error:
            raise problems.BadRequest(str(error)) from error
        version = arrived.version if arrived.version is not None and wanted(arrived.version) else None
        new = await run_in_threadpool(inbox.take, arrived.delivery, version)
        state = "repeated" if not new else "passed over" if version is None else "taken"
        log.info("hook.came", sender=known, delivery=arrived.delivery, version=arrived.version, state=state)
        if state == "taken":
            wake()
        return {"state": state}

    @app.get("/healthz")
    async def healthz() -> dict[str, int]:
        """Alive, and how many versions are still to be checked."""
        return {"waiting": await run_in_threadpool(inbox.waiting)}

    return app


async def _problem(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, HTTPException):
        error = problems.NotFound("There is nothing here.") if error.status_code == 404 else _other(error)
    assert isinstance(error, problems.Problem)
    return JSONResponse(error.body(), error.status, error.headers, media_type=problems.MEDIA)


def _other(error: HTTPException) -> problems.Problem:
    if error.status_code == 405:
        return problems.MethodNotAllowed("Deliveries are sent with POST.")
    return problems.BadRequest(str(error.detail))
