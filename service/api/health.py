"""Is the service alive, and is it ready."""

from contextlib import suppress
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text

from service import __version__, broker, problems
from service.api.deps import PUBLIC, Used, documented
from service.store.session import reading

router = APIRouter(tags=["service"])


@router.get("/healthz", openapi_extra=PUBLIC)
def alive() -> dict[str, str]:
    """Answer, as long as the process does."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", openapi_extra=PUBLIC, responses=documented(problems.Unavailable))
def ready(backends: Used) -> JSONResponse:
    """Ask what the service needs: 503 without database or blobs. Without broker, uploads are kept and work waits.

    `workers_refusing` says, by machine, why workers there take no work.
    """
    asked = {"database": _database, "blobs": _blobs, "broker": _broker}
    states: dict[str, Any] = {name: _ask(question, backends) for name, question in asked.items()}
    down = [name for name in ("database", "blobs") if states[name] != "ok"]
    if down:
        problem = problems.Unavailable(f"No answer from: {', '.join(down)}. See the service's log.", **states)
        return JSONResponse(problem.body(), problem.status, media_type="application/problem+json")
    return JSONResponse({"status": "ok", **states, **_refusing(states["broker"])})


def _refusing(broker_state: str) -> dict[str, Any]:
    """Why workers refuse work, if any do."""
    if broker_state == "ok":
        with suppress(*broker.AWAY):
            if notes := broker.refusals():
                return {"workers_refusing": notes}
    return {}


def _ask(question: Any, backends: Used) -> str:
    try:
        question(backends)
    except Exception:  # whatever it is, the answer is that this one is down
        return "down"
    return "ok"


def _database(backends: Used) -> None:
    with reading(backends.engine) as db:
        db.execute(text("SELECT 1"))


def _blobs(backends: Used) -> None:
    backends.blobs.reachable()


def _broker(_backends: Used) -> None:
    broker.waiting(broker.EVALUATIONS)
