"""Upload, list and show models and datasets: one set of routes, made once for each kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from service import problems, schemas
from service.api import answers, document, intake, uploads
from service.api.deps import Caller, Cursor, ReadDb, Responses, Used, documented, may
from service.store import artifacts
from service.store.artifacts import Kind

COMMON = (
    problems.BadRequest,
    problems.DigestMismatch,
    problems.Invalid,
    problems.RequestTimeout,
    problems.ContentTooLarge,
    problems.UnsupportedMediaType,
    problems.UnsupportedFormat,
    problems.ResourceExhausted,
    problems.DeadlineExceeded,
    problems.QuotaExceeded,
    problems.InsufficientStorage,
)
MODEL_REFUSALS = (
    problems.ModelMalformed,
    problems.ModelUnsupported,
    problems.ModelTooLarge,
    problems.ModelCrashed,
    problems.OperatorNotAllowed,
    problems.ExternalDataForbidden,
)
DATASET_REFUSALS = (problems.DatasetMalformed, problems.DatasetTooLarge, problems.DatasetMismatch)


@dataclass(frozen=True)
class Noun:
    """What differs between models and datasets."""

    kind: Kind
    scope: schemas.Scope
    one: type[schemas.Artifact]
    page: type[schemas.Models] | type[schemas.Datasets]
    refusals: Sequence[type[problems.Problem]]
    body: dict[str, Any]
    about: str
    several: frozenset[str] = uploads.NO_SEVERAL


NOUNS = (
    Noun(
        "model",
        "models:write",
        schemas.Model,
        schemas.Models,
        MODEL_REFUSALS,
        document.MODEL_BODY,
        document.MODELS,
        frozenset({"file"}),
    ),
    Noun(
        "dataset",
        "datasets:write",
        schemas.Dataset,
        schemas.Datasets,
        DATASET_REFUSALS,
        document.DATASET_BODY,
        document.DATASETS,
    ),
)


def routes(noun: Noun) -> APIRouter:
    """The routes of one kind of artifact."""
    kind, writes, reads = noun.kind, may(noun.scope), may("evaluations:read")
    router = APIRouter(prefix=f"/v1/{kind}s", tags=[f"{kind}s"])

    async def upload(request: Request, backends: Used, caller: Annotated[Caller, writes]) -> JSONResponse:
        settings = backends.settings
        limit = settings.max_model_bytes if kind == "model" else settings.max_dataset_bytes
        folder = settings.scratch / "uploads"
        async with uploads.received(request, folder, {"file": limit}, noun.several) as form:
            if "file" not in form.files:
                raise problems.Invalid("The form lacks the field `file`: send -F file=@FILE, or the bytes as the body.")
            received = await to_thread.run_sync(intake.keep, backends, caller.tenant, kind, form.files["file"])
        [row] = await intake.admitted(backends, received)
        status = 202 if row.state == "received" else 201 if received.new else 200
        headers = {"Location": f"/v1/{kind}s/{row.digest}"} | ({"Retry-After": "2"} if status == 202 else {})
        return JSONResponse(answers.artifact(row).model_dump(mode="json"), status, headers)

    upload.__doc__ = noun.about

    def list_(
        caller: Annotated[Caller, reads],
        db: ReadDb,
        limit: Annotated[int, Query(ge=1, le=100, description="Most entries of one page.")] = 20,
        cursor: Cursor = None,
    ) -> Any:
        before = None if cursor is None else answers.read_moment(cursor)
        rows = artifacts.page(db, caller.tenant, kind, limit + 1, before)
        last = rows[limit - 1] if len(rows) > limit else None
        more = None if last is None else answers.write_cursor(last.created_at, last.digest)
        return {"data": [answers.artifact(row) for row in rows[:limit]], "next_cursor": more}

    list_.__doc__ = f"List {kind}s, newest first."

    def show(caller: Annotated[Caller, reads], db: ReadDb, digest: Annotated[schemas.Digest, Path()]) -> Any:
        row = artifacts.find(db, caller.tenant, kind, digest)
        if row is None:
            raise problems.NotFound(f"There is no {kind} {digest}; upload it with POST /v1/{kind}s.")
        return answers.artifact(row)

    show.__doc__ = f"Show one {kind} and what was found in it."

    def delete(backends: Used, caller: Annotated[Caller, writes], digest: Annotated[schemas.Digest, Path()]) -> None:
        intake.delete(backends, caller.tenant, kind, digest)

    delete.__doc__ = (
        f"Delete one {kind}, unless an evaluation that has not ended needs it. Those that have ended keep their "
        "result, and the same bytes may be uploaded again."
    )

    for method in ("POST", "PUT"):  # curl -T sends PUT
        router.add_api_route(
            "",
            upload,
            methods=[method],
            status_code=201,
            response_model=noun.one,
            openapi_extra={"requestBody": noun.body},
            responses=_uploaded(noun) | documented(*COMMON, *noun.refusals),
            operation_id=f"{method.lower()}_{kind}",
            name=f"upload_{kind}",
        )
    invalid, missing = documented(problems.Invalid), documented(problems.NotFound, problems.Invalid)
    router.add_api_route("", list_, methods=["GET"], response_model=noun.page, responses=invalid, name=f"list_{kind}s")
    router.add_api_route(
        "/{digest}", show, methods=["GET"], response_model=noun.one, responses=missing, name=f"show_{kind}"
    )
    router.add_api_route(
        "/{digest}",
        delete,
        methods=["DELETE"],
        status_code=204,
        responses=missing | documented(problems.Conflict),
        name=f"delete_{kind}",
    )
    return router


def _uploaded(noun: Noun) -> Responses:
    return {
        200: {"model": noun.one, "description": "These bytes were known already."},
        201: {"model": noun.one, "description": "Stored and inspected."},
        202: {"model": noun.one, "description": "Stored; no worker has inspected it yet: ask GET …/{digest} again."},
    }
