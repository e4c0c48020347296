"""The HTTP application: routers, one handler for every problem, and what lives as long as the process."""

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from service import __version__, courier, descriptors, metrics, notify, problems, retention, signing, sweeper, tracing
from service.api import (
    analyses,
    artifacts,
    comparison_files,
    comparisons,
    document,
    evaluations,
    evidence,
    health,
    keys,
    page,
    policies,
    problem_pages,
    reports,
    signing_keys,
    staging,
    standings,
    units,
    webhooks,
)
from service.api import metrics as metrics_route
from service.api.admission import Admission, Crowds
from service.api.deps import Backends
from service.api.headers import SecurityHeaders
from service.api.keyring import Keyring
from service.api.limiting import Limits
from service.api.looking import Looks
from service.api.observing import ID, REQUEST, Counted, Observed
from service.api.queueing import Queue
from service.api.shown import Showing
from service.api.status_reads import StatusReads
from service.api.submitting import Submitting
from service.hinting import Hinting
from service.settings import Settings
from service.store import session
from service.store.blobs import open_blobs
from service.targets import Names

ABOUT = """Scores how robust a trained network is to losing its own units.

Upload a model and an evaluation set; a worker deletes units at random, more and more of them, and measures what still
works. Networks that generalise survive the damage; networks that memorised do not (arXiv 1803.06959)."""

DATABASE_SECONDS = 60.0  # that a start waits for a database

log = structlog.get_logger()


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings. Nothing is opened before it starts."""
    app = FastAPIOffline(title="Lesion", version=__version__, description=ABOUT, lifespan=_lifespan, redoc_url=None)
    app.state.settings = settings
    app.router.routes.insert(0, StatusReads())
    app.include_router(evaluations.router)
    app.include_router(reports.router)
    for noun in artifacts.NOUNS:
        app.include_router(artifacts.routes(noun))
    app.include_router(units.router)
    app.include_router(analyses.router)
    app.include_router(standings.router)
    app.include_router(comparisons.router)
    app.include_router(comparison_files.router)
    app.include_router(policies.router)
    app.include_router(webhooks.router)
    app.include_router(keys.router)
    app.include_router(signing_keys.router)
    app.include_router(health.router)
    app.include_router(metrics_route.router)
    app.include_router(problem_pages.router)
    app.include_router(evidence.router)
    page.mount(app)
    app.state.crowds = Crowds()
    app.add_middleware(Admission, app.state.crowds)
    app.add_middleware(SecurityHeaders)
    app.state.registry = metrics.registry(settings.figures)
    app.state.counted = Counted(app.state.registry if settings.figures is None else None)
    app.add_middleware(Observed, app.state.counted)
    app.add_exception_handler(problems.Problem, _problem)
    app.add_exception_handler(RequestValidationError, _problem)
    app.add_exception_handler(HTTPException, _problem)
    for away in (*session.AWAY, OSError):
        app.add_exception_handler(away, _problem)
    app.add_exception_handler(Exception, _problem)
    document.complete(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    tracing.start("api")
    settings.scratch.mkdir(parents=True, exist_ok=True)
    staging.sweep(settings.scratch / "uploads")
    engine = session.connect(settings.database)
    _migrate(engine)
    app.state.registry.register(metrics.Shared(engine))
    blobs, signer = open_blobs(settings.blobs), signing.signer(settings)
    showing = Showing(signer)
    hinting = Hinting()
    names = Names()
    app.state.backends = Backends(
        settings,
        engine,
        blobs,
        signer,
        showing,
        Looks(engine, showing),
        Submitting(engine, Queue(settings, engine), hinting, showing),
        names,
        Keyring(engine),
        Limits(settings),
    )
    stop = threading.Event()
    tls = courier.trusting(settings.webhook_ca)
    beside = [
        threading.Thread(target=sweeper.run, args=(engine, settings, stop), name="sweeper", daemon=True),
        threading.Thread(target=notify.run, args=(engine, settings, tls, stop), name="notify", daemon=True),
        threading.Thread(target=retention.run, args=(engine, blobs, settings, stop), name="retention", daemon=True),
    ]
    for thread in beside:
        thread.start()
    with hinting:
        yield
    tracing.stop()
    stop.set()
    for thread in beside:
        thread.join(timeout=5)
    names.close()
    engine.dispose()


def _migrate(engine: Engine) -> None:
    """Bring the tables up to date; wait for a database that starts at the same time as we do."""
    deadline = time.monotonic() + DATABASE_SECONDS
    while True:
        try:
            return session.migrate(engine)
        except session.AWAY as error:
            if session.fault_of_ours(error) or time.monotonic() > deadline:
                raise
            log.warning("database.unavailable", error=str(getattr(error, "orig", error)))
            time.sleep(1)


def _problem(request: Request, error: Exception) -> JSONResponse:
    problem = _as_problem(error)
    headers = problem.headers
    headers[ID] = request.scope.get(REQUEST, "")
    if problem.status == 405:
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
    if problem.status == 408:
        headers["Connection"] = "close"
    if problem.status == 503:
        headers.setdefault("Retry-After", "5")
    return JSONResponse(problem.body(), problem.status, headers, media_type=problems.MEDIA)


def _allowed(request: Request) -> set[str]:
    """The methods that are documented for an address; Starlette would name those of its first route alone."""
    paths: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    matching = [methods for path, methods in paths.items() if compile_path(path)[0].match(request.scope["path"])]
    return {method.upper() for methods in matching for method in methods}


def _as_problem(error: Exception) -> problems.Problem:
    match error:
        case problems.Problem():
            return error
        case RequestValidationError():
            return problems.invalid(error.errors())
        case HTTPException(status_code=404):
            return problems.NotFound("There is nothing at this address; GET /docs lists all there is.")
        case HTTPException(status_code=405):
            return problems.MethodNotAllowed("GET /docs lists the methods of each address.")
        case HTTPException():
            return problems.BadRequest(str(error.detail))
        case OSError() if isinstance(full := staging.storage(error), problems.Problem):
            return full
        case OSError() if error.errno in descriptors.SPENT:
            log.error("descriptors.spent", error=str(error))
            return problems.Busy("The service has as many files open as it can. Send the request again in a moment.")
        case _ if isinstance(error, session.AWAY) and not session.fault_of_ours(error):
            return _database(error)
        case _:
            return _fault(error)


def _database(error: Exception) -> problems.Problem:
    log.error("database.unavailable", error=str(getattr(error, "orig", error)))
    if session.no_room(error):
        return problems.InsufficientStorage("The service's database has no room left; try later, or tell its operator.")
    return problems.Unavailable("The database does not answer; try again in a moment.")


def _fault(error: Exception) -> problems.Problem:
    log.error("request.failed", exc_info=error)
    return problems.Internal("The service failed at this request; its log says why. Trying again may help.")
