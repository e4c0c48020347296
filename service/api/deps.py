"""What handlers are given: the backends, who calls, and a database session that commits before the answer leaves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import problems
from service.api import open_mode
from service.api.admission import READING
from service.api.headers import ANSWER_HEADERS
from service.api.keyring import Keyring, refused
from service.api.limiting import Limits
from service.api.looking import Looks
from service.api.shown import Showing
from service.api.submitting import Submitting
from service.problems import Problem
from service.schemas import SCOPES, Scope
from service.settings import Settings
from service.signing import Signer
from service.store.blobs import Blobs
from service.store.session import reading, transaction
from service.store.tenants import DEFAULT
from service.targets import Names


@dataclass(frozen=True)
class Backends:
    """What one API process works with, for as long as it lives."""

    settings: Settings
    engine: Engine
    blobs: Blobs
    signer: Signer
    showing: Showing
    looks: Looks
    submitting: Submitting
    names: Names
    keyring: Keyring
    limits: Limits


async def _backends(request: Request) -> Backends:
    backends: Backends = request.app.state.backends
    return backends


Used = Annotated[Backends, Depends(_backends)]


@dataclass(frozen=True)
class Caller:
    """Whose things a request is about, and what it may do with them."""

    tenant: str
    scopes: frozenset[Scope]

    def needs(self, *scopes: Scope) -> None:
        """Raise `Forbidden` unless all of these are allowed."""
        for scope in scopes:
            if scope not in self.scopes:
                raise problems.Forbidden(
                    f"The key lacks the scope {scope}; `lesion keys create NAME --scope {scope}` makes one with it.",
                    headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
                    missing=scope,
                )


ANYONE = Caller(DEFAULT, frozenset(SCOPES))


bearer = HTTPBearer(
    scheme_name="key",
    description="A key of `lesion keys create`. None is needed where the service listens on loopback alone.",
    auto_error=False,
)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def caller(request: Request, needed: SecurityScopes, backends: Used, bearer: Bearer) -> Caller:
    """Who calls, once that is known to be allowed. A coroutine: it runs for every request, and must enter no thread."""
    if bearer is None:
        if not backends.settings.open or "authorization" in request.headers:
            raise refused(
                "Send a key as `Authorization: Bearer lsn_…`; whoever runs the service makes one with `lesion keys "
                "create`.",
                error=None,
            )
        open_mode.guard(request)
        return ANYONE
    known = await backends.keyring.holder(bearer.credentials)
    budget = await backends.limits.spend(known.id, writes=request.method not in READING)
    if budget is not None:
        request.scope[ANSWER_HEADERS] = budget.headers()
    who = Caller(known.tenant, known.scopes)
    who.needs(*cast("list[Scope]", needed.scopes))
    return who


def may(scope: Scope) -> Any:
    """What a route declares: `caller: Annotated[Caller, may("models:write")]`. Every route has one, or is `PUBLIC`."""
    return Security(caller, scopes=[scope])


PUBLIC: dict[str, Any] = {"security": []}
"""The `openapi_extra` of a route that anyone may call."""


def _writing(backends: Used) -> Iterator[Session]:
    with transaction(backends.engine) as session:
        yield session


def _reading(backends: Used) -> Iterator[Session]:
    with reading(backends.engine) as session:
        yield session


# scope="function": by default FastAPI would commit after the caller has its answer, and a failed commit stay unseen.
Db = Annotated[Session, Depends(_writing, scope="function")]
ReadDb = Annotated[Session, Depends(_reading, scope="function")]


Cursor = Annotated[
    str | None, Query(description="`next_cursor` of the page before.", pattern=r"^[A-Za-z0-9_-]+$", max_length=500)
]
Responses = dict[int | str, dict[str, Any]]  # as FastAPI takes them


def documented(*kinds: type[Problem]) -> Responses:
    """The `responses` of a route that may raise these problems, with an example of each."""
    responses: Responses = {}
    for kind in kinds:
        content = {"schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": {}}
        entry = responses.setdefault(kind.status, {"description": "", "content": {"application/problem+json": content}})
        entry["description"] = "; ".join(filter(None, [entry["description"], kind.title]))
        example = {"summary": kind.title, "value": kind(" ".join((kind.__doc__ or "").split())).body()}
        entry["content"]["application/problem+json"]["examples"][kind.type] = example
    return responses
