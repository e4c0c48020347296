"""Upload, list and show models and datasets: one set of routes, made once for each kind."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from service import problems, schemas
from service.api import answers, intake, uploads
from service.api.deps import Cursor, ReadDb, Responses, Used, documented
from service.api.document import UPLOAD_BODY
from service.store import artifacts
from service.store.artifacts import Kind

UPLOADED: Responses = {
    200: {"model": schemas.Artifact, "description": "These bytes were known already."},
    201: {"model": schemas.Artifact, "description": "Stored and inspected."},
    202: {"model": schemas.Artifact, "description": "Stored; no worker has inspected it yet."},
}
COMMON = (problems.BadRequest, problems.Invalid, problems.ContentTooLarge, problems.UnsupportedFormat)
REFUSALS: dict[Kind, tuple[type[problems.Problem], ...]] = {
    "model": (
        problems.ModelMalformed,
        problems.ModelUnsupported,
        problems.ModelTooLarge,
        problems.OperatorNotAllowed,
        problems.ExternalDataForbidden,
    ),
    "dataset": (problems.DatasetMalformed, problems.DatasetTooLarge),
}
WHAT = {"model": "an ONNX model", "dataset": "an .npz dataset with x and y"}


def routes(kind: Kind) -> APIRouter:
    """The routes of one kind of artifact."""
    router = APIRouter(prefix=f"/v1/{kind}s", tags=[f"{kind}s"])
    refusals = documented(*COMMON, *REFUSALS[kind], problems.InsufficientStorage)

    async def upload(request: Request, backends: Used) -> JSONResponse:
        settings = backends.settings
        limit = settings.max_model_bytes if kind == "model" else settings.max_dataset_bytes
        async with uploads.received(request, settings.scratch / "uploads", {"file": limit}) as form:
            if "file" not in form.files:
                raise problems.Invalid("The form lacks the field `file`: send -F file=@FILE, or the bytes as the body.")
            received = await to_thread.run_sync(intake.keep, backends, kind, form.files["file"])
        [row] = await intake.admitted(backends, received)
        status = 202 if row.state == "received" else 201 if received.new else 200
        headers = {"Location": f"/v1/{kind}s/{row.digest}"} | ({"Retry-After": "2"} if status == 202 else {})
        return JSONResponse(answers.artifact(row).model_dump(), status, headers)

    upload.__doc__ = f"""Upload {WHAT[kind]}: the bytes as the body (`curl -T`), or one form field `file`.

    The answer says what was found in it. Its id is the sha256 of its bytes; the same bytes again are not stored twice.
    """

    def list_(
        db: ReadDb,
        limit: Annotated[int, Query(ge=1, le=100, description="Most entries of one page.")] = 20,
        cursor: Cursor = None,
    ) -> schemas.Artifacts:
        before = None
        if cursor is not None:
            created_at, digest = answers.read_cursor(cursor, 2)
            before = (_number(created_at), str(digest))
        rows = artifacts.page(db, kind, limit + 1, before)
        last = rows[limit - 1] if len(rows) > limit else None
        more = None if last is None else answers.write_cursor(last.created_at, last.digest)
        return schemas.Artifacts(data=[answers.artifact(row) for row in rows[:limit]], next_cursor=more)

    list_.__doc__ = f"List {kind}s, newest first."

    def show(db: ReadDb, digest: Annotated[schemas.Digest, Path()]) -> schemas.Artifact:
        row = artifacts.find(db, kind, digest)
        if row is None:
            raise problems.NotFound(f"There is no {kind} {digest}; upload it with POST /v1/{kind}s.")
        return answers.artifact(row)

    show.__doc__ = f"Show one {kind} and what was found in it."

    for method in ("POST", "PUT"):  # curl -T sends PUT
        router.add_api_route(
            "",
            upload,
            methods=[method],
            status_code=201,
            response_model=schemas.Artifact,
            openapi_extra={"requestBody": UPLOAD_BODY},
            responses=UPLOADED | refusals,
            operation_id=f"{method.lower()}_{kind}",
            name=f"upload_{kind}",
        )
    router.add_api_route("", list_, methods=["GET"], responses=documented(problems.Invalid), name=f"list_{kind}s")
    found = documented(problems.NotFound, problems.Invalid)
    router.add_api_route("/{digest}", show, methods=["GET"], responses=found, name=f"show_{kind}")
    return router


def _number(value: str | float) -> float:
    if isinstance(value, str):
        raise problems.Invalid("`cursor` is none of ours: take `next_cursor` of the page before, unchanged.")
    return value
