"""A tenant's keys, for callers who may manage them: made, listed, rotated, revoked."""

from collections.abc import Collection
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select

from service import problems, schemas
from service.api import answers, body, document
from service.api.deps import Caller, Cursor, Db, ReadDb, Used, documented, may
from service.store import keys
from service.store.session import clock, transaction

router = APIRouter(prefix="/v1/keys", tags=["keys"])
Admin = Annotated[Caller, may("admin")]
READ = (problems.BadRequest, problems.RequestTimeout, problems.ContentTooLarge, problems.Invalid)
UNCACHED = {"Cache-Control": "no-store"}  # the answer holds a secret


@router.post(
    "",
    status_code=201,
    response_model=schemas.MadeKey,
    openapi_extra={"requestBody": document.body(schemas.NewKey)},
    responses=documented(*READ),
)
async def create(request: Request, caller: Admin, backends: Used) -> JSONResponse:
    """Make a key of this tenant. Its secret is in the answer, and never shown again."""
    asked = body.parsed(schemas.NewKey, await body.small(request))
    _gives_away(caller, asked.scopes)

    def enter() -> keys.Made:
        with transaction(backends.engine) as db:
            return keys.create(db, caller.tenant, asked.name, asked.scopes, asked.expires_in)

    return _made(await to_thread.run_sync(enter))


@router.get("", responses=documented(problems.Invalid))
def list_(
    caller: Admin,
    db: ReadDb,
    limit: Annotated[int, Query(ge=1, le=100, description="Most keys of one page.")] = 20,
    cursor: Cursor = None,
) -> schemas.Keys:
    """List this tenant's keys, newest first."""
    before = None if cursor is None else answers.read_moment(cursor)
    rows = keys.page(db, caller.tenant, limit + 1, before)
    last = rows[limit - 1] if len(rows) > limit else None
    more = None if last is None else answers.write_cursor(last.created_at, last.id)
    now = _now(db)
    return schemas.Keys(data=[answers.key(row, now) for row in rows[:limit]], next_cursor=more)


@router.get("/{id}", responses=documented(problems.NotFound))
def show(caller: Admin, db: ReadDb, id: str) -> schemas.Key:
    """Show one key, without its secret."""
    return answers.key(keys.get(db, caller.tenant, id), _now(db))


@router.delete("/{id}", responses=documented(problems.NotFound))
def revoke(caller: Admin, db: Db, id: str) -> schemas.Key:
    """Revoke a key: within two seconds it opens nothing any more, in whichever process."""
    return answers.key(keys.revoke(db, caller.tenant, id), _now(db))


@router.post(
    "/{id}/rotation",
    status_code=201,
    response_model=schemas.MadeKey,
    openapi_extra={"requestBody": document.body(schemas.Rotation, required=False)},
    responses=documented(*READ, problems.NotFound, problems.Conflict),
)
async def rotate(request: Request, caller: Admin, backends: Used, id: str) -> JSONResponse:
    """Replace a key. Both work until the overlap is over; the new secret is in the answer, and never shown again."""
    asked = body.parsed(schemas.Rotation, await body.small(request) or b"{}")

    def enter() -> keys.Made:
        with transaction(backends.engine) as db:
            _gives_away(caller, keys.scopes(keys.get(db, caller.tenant, id)))
            return keys.rotate(db, caller.tenant, id, asked.overlap)

    return _made(await to_thread.run_sync(enter))


def _gives_away(caller: Caller, scopes: Collection[schemas.Scope]) -> None:
    """Raise `Forbidden` for what the caller has not itself."""
    caller.needs(*sorted(scopes))


def _made(made: keys.Made) -> JSONResponse:
    shown = answers.made(made).model_dump(mode="json")
    return JSONResponse(shown, 201, UNCACHED | {"Location": f"/v1/keys/{made.row.id}"})


def _now(db: ReadDb) -> Any:
    return db.scalar(select(clock()))
