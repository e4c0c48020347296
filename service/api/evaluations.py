"""POST, GET, list, events, curve and DELETE of evaluations."""

import json
from collections.abc import AsyncIterator
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service import __version__, pairing, plots, problems, schemas
from service.api import answers, body, gating, intake, uploads, waiting
from service.api.artifacts import DATASET_REFUSALS, MODEL_REFUSALS
from service.api.deps import Backends, Caller, Cursor, Db, ReadDb, Responses, Used, documented, may
from service.api.document import CREATE_BODY
from service.api.intake import Received
from service.api.media import MEDIA, described
from service.api.shown import Shown
from service.store import artifacts, evaluations, listing, retention
from service.store.session import reading
from service.store.submissions import Submission

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])

Wait = Annotated[float | None, Query(description="Seconds to wait for the end, as `Prefer: wait=` does.", ge=0)]
Prefer = Annotated[str | None, Header(description="`wait=60` waits up to so many seconds for the end.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Repeating a request with the same key gives the evaluation that the first one made.",
    ),
]
RETRY_AFTER = "1"
Reader = Annotated[Caller, may("evaluations:read")]
Submitter = Annotated[Caller, may("evaluations:write")]
SHOWN: Responses = {
    200: {"model": schemas.Evaluation, "description": "It has ended."},
    202: {"model": schemas.Evaluation, "description": "It is queued or running; ask again after Retry-After."},
}


@router.post(
    "",
    status_code=202,
    response_model=schemas.Evaluation,
    openapi_extra={"requestBody": CREATE_BODY},
    responses=SHOWN
    | documented(
        problems.BadRequest,
        problems.DigestMismatch,
        problems.NotFound,
        problems.NotReady,
        problems.RequestTimeout,
        problems.ContentTooLarge,
        problems.UnsupportedMediaType,
        problems.UnsupportedFormat,
        problems.Invalid,
        problems.ResourceExhausted,
        problems.DeadlineExceeded,
        *MODEL_REFUSALS,
        *DATASET_REFUSALS,
        problems.NotComparable,
        problems.IdempotencyReused,
        problems.QuotaExceeded,
        problems.QueueFull,
        problems.InsufficientStorage,
    ),
)
async def create(
    request: Request, backends: Used, caller: Submitter, wait: Wait = None, prefer: Prefer = None, key: Key = None
) -> Response:
    """Score a model on a dataset.

    Send both files and a config as `multipart/form-data`, or JSON that names uploaded artifacts by digest. A model
    whose weights lie in other files comes as several parts `model`, each with its file name. The same model, dataset
    and config again are answered from what is known. A form needs `models:write` and `datasets:write` as well.
    """
    seconds = waiting.asked(request, wait, backends.settings.max_wait)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        shown = await _from_form(request, backends, caller, key)
    elif kind == "application/json":
        shown = await _from_json(request, backends, caller, key)
    else:
        raise problems.UnsupportedMediaType(
            "Send multipart/form-data (curl -F model=@… -F dataset=@…), or application/json (curl --json …)."
        )
    if seconds:
        shown = await waiting.ended(backends.looks, caller.tenant, shown.id, seconds)
    return answer(shown, request)


async def _from_json(request: Request, backends: Backends, caller: Caller, key: str | None) -> Shown:
    asked = body.parsed(schemas.NewEvaluation, await body.small(request))
    wanted = await _asked(backends, caller, asked)
    suits = partial(_check, asked.config)
    return await backends.submitting.enter(Submission(caller.tenant, wanted, key, suits, named=True))


async def _from_form(request: Request, backends: Backends, caller: Caller, key: str | None) -> Shown:
    caller.needs("models:write", "datasets:write")
    limits = {"model": backends.settings.max_model_bytes, "dataset": backends.settings.max_dataset_bytes}
    folder = backends.settings.scratch / "uploads"
    async with uploads.received(request, folder, limits, several=frozenset({"model"})) as form:
        config = body.parsed(schemas.Config, form.fields.get("config", "{}").encode(), "config")
        missing = [name for name in limits if name not in form.files]
        if missing:
            raise problems.Invalid(f"The form lacks {' and '.join(missing)}: send -F {missing[0]}=@FILE.")
        brought: list[Received] = []
        try:
            for kind in artifacts.KINDS:
                received = await to_thread.run_sync(intake.keep, backends, caller.tenant, kind, form.files[kind])
                brought.append(received)
            return await _enter(backends, caller, brought, config, key)
        except problems.Problem:
            for received in brought:  # a refused request leaves nothing behind
                await to_thread.run_sync(intake.withdraw, backends, received)
            raise


async def _enter(
    backends: Backends, caller: Caller, brought: list[Received], config: schemas.Config, key: str | None
) -> Shown:
    model, dataset = await intake.admitted(backends, *brought)
    asked = schemas.NewEvaluation(model=model.digest, dataset=dataset.digest, config=config)
    wanted = await _asked(backends, caller, asked)
    return await backends.submitting.enter(Submission(caller.tenant, wanted, key, partial(_check, config)))


def _check(config: schemas.Config, model: str | None, dataset: str | None) -> None:
    """Refuse what cannot go together, as far as both have been inspected; the worker checks it again."""
    if model is not None and dataset is not None:
        pairing.check(_found(model), _found(dataset), config)


@lru_cache(256)
def _found(text: str) -> pairing.Found:
    """What was found in an upload; many ask about the same one. Only to be read."""
    found: pairing.Found = json.loads(text)
    return found


async def _asked(backends: Backends, caller: Caller, asked: schemas.NewEvaluation) -> evaluations.Asked:
    """What is stored of a request; what its config refers to is looked up, and written into it."""
    config = asked.config
    if gating.refers(config):
        config = await to_thread.run_sync(gating.looked_up, backends, caller.tenant, asked)
    settled = asked.model_copy(update={"config": config})
    stored, workers = config.model_dump_json(), config.limits.workers
    return evaluations.Asked(
        asked.model, asked.dataset, stored, workers, _fingerprint(settled), request=_fingerprint(asked)
    )


def _fingerprint(asked: schemas.NewEvaluation) -> str:
    identity = {"model": asked.model, "dataset": asked.dataset, "config": asked.config.identity()}
    return schemas.digest(schemas.canonical(identity | {"version": __version__}))


def answer(shown: Shown, request: Request) -> Response:
    """What callers get of an evaluation."""
    headers = {"Location": f"/v1/evaluations/{shown.id}", "Vary": "Prefer"}
    if not shown.over:
        headers["Retry-After"] = RETRY_AFTER
    if "wait" in request.headers.get("prefer", ""):
        headers["Preference-Applied"] = "wait"
    return Response(shown.body, 200 if shown.over else 202, headers, media_type="application/json")


@router.get("", response_model=schemas.Evaluations, responses=documented(problems.Invalid))
async def list_(
    caller: Reader,
    backends: Used,
    limit: Annotated[int, Query(ge=1, le=100, description="Most evaluations of one page.")] = 20,
    cursor: Cursor = None,
    state: Annotated[schemas.State | None, Query(description="Only those in this state.")] = None,
) -> Response:
    """List evaluations, newest first."""
    before = None if cursor is None else answers.read_cursor(cursor, str)[0]

    def read() -> list[Shown]:
        with reading(backends.engine) as db:
            rows = listing.page(db, caller.tenant, limit + 1, before, state)
        return [backends.showing.show(row) for row in rows]

    shown = await to_thread.run_sync(read)
    more = answers.write_cursor(shown[limit - 1].id) if len(shown) > limit else None
    data = b",".join(each.body for each in shown[:limit])
    return Response(
        b'{"data":[%s],"next_cursor":%s}' % (data, json.dumps(more).encode()), media_type="application/json"
    )


@router.get("/{id}", response_model=schemas.Evaluation, responses=SHOWN | documented(problems.NotFound))
async def show(
    request: Request, backends: Used, caller: Reader, id: str, wait: Wait = None, prefer: Prefer = None
) -> Response:
    """Show one evaluation: 200 once it has ended, 202 before. `?wait=` or `Prefer: wait=` wait for the end."""
    seconds = waiting.asked(request, wait, backends.settings.max_wait)
    return answer(await waiting.ended(backends.looks, caller.tenant, id, seconds), request)


async def _known(backends: Used, caller: Reader, id: str) -> str:
    """An id that exists: asked before the stream starts, while the answer can still be 404."""
    await backends.looks.look(caller.tenant, id)
    return id


@router.get("/{id}/events", response_class=EventSourceResponse, responses=documented(problems.NotFound))
async def events(backends: Used, caller: Reader, id: Annotated[str, Depends(_known)]) -> AsyncIterator[ServerSentEvent]:
    """Follow one evaluation: `progress` whenever something changed, `ended` once; data is the evaluation."""
    async for event in waiting.events(backends.looks, caller.tenant, id):
        yield event


DRAWN = described("The curve.", "json", "csv", "svg", "png")


@router.get(
    "/{id}/curve.{kind}",
    response_class=Response,
    responses=DRAWN | documented(problems.NotFound, problems.NotReady, problems.Conflict),
)
def curve(caller: Reader, db: ReadDb, id: str, kind: Literal["json", "csv", "svg", "png"]) -> Response:
    """Give the curve as numbers or as a picture."""
    row = evaluations.get(db, caller.tenant, id)
    result = answers.needed(row, "it has no curve")
    title = f"{row.model[7:15]} on {row.dataset[7:15]}"
    match kind:
        case "json":
            points = [point.model_dump() for point in result.curve]
            drawn: Any = json.dumps({"curve": points, "chance": result.chance}).encode()
        case "csv":
            drawn = plots.csv(result)
        case "svg":
            drawn = plots.svg(result, title)
        case "png":
            drawn = plots.png(result, title)
    return Response(drawn, media_type=MEDIA[kind])


Forget = Annotated[bool, Query(description="Delete it for good, with its result; it must have ended.")]


FORGOTTEN: Responses = {204: {"description": "It is forgotten."}}


@router.delete(
    "/{id}",
    response_model=schemas.Evaluation,
    responses=FORGOTTEN | documented(problems.NotFound, problems.Conflict),
)
def cancel(caller: Submitter, db: Db, backends: Used, id: str, forget: Forget = False) -> Any:
    """Cancel an evaluation; its worker stops within seconds. With `?forget=true` delete one that has ended."""
    if forget:
        retention.forget(db, caller.tenant, id)
        return Response(status_code=204)
    return answers.evaluation(evaluations.cancel(db, caller.tenant, id), backends.signer)
