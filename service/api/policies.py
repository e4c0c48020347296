"""Policies: gates' rules kept under a name, in versions. Made, listed, shown, retired."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service import problems, schemas
from service.api import answers
from service.api.deps import Caller, Cursor, Db, ReadDb, Responses, documented, may
from service.api.small_bodies import PROBLEMS, SmallBodies
from service.store import policies
from service.store.tables import PolicyRow

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=SmallBodies)
Reader = Annotated[Caller, may("evaluations:read")]
Writer = Annotated[Caller, may("policies:write")]
MADE: Responses = {200: {"model": schemas.Policy, "description": "It has these rules already."}}


@router.post("", status_code=201, responses=MADE | documented(*PROBLEMS, problems.Conflict))
def create(caller: Writer, db: Db, asked: schemas.NewPolicy, response: Response) -> schemas.Policy:
    """Make a policy, or a new version of one. A policy that has these rules already stays as it is.

    Evaluations name it in `gate.policy` and keep the version they were judged by; those under way are not touched.
    """
    rules = schemas.canonical(asked.rules.model_dump(mode="json", exclude_none=True))
    row, new = policies.put(db, caller.tenant, asked.name, rules, asked.note)
    shown = _shown(row)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/policies/{shown.id}"
    return shown


@router.get("", responses=documented(problems.Invalid))
def list_(
    caller: Reader,
    db: ReadDb,
    limit: Annotated[int, Query(ge=1, le=100, description="Most policies of one page.")] = 20,
    cursor: Cursor = None,
) -> schemas.Policies:
    """List policies by name, each in its newest version."""
    after = None if cursor is None else str(answers.read_cursor(cursor, str)[0])
    rows = policies.page(db, caller.tenant, limit + 1, after)
    more = answers.write_cursor(rows[limit - 1].name) if len(rows) > limit else None
    return schemas.Policies(data=[_shown(row) for row in rows[:limit]], next_cursor=more)


@router.get("/{id}", responses=documented(problems.NotFound))
def show(caller: Reader, db: ReadDb, id: str) -> schemas.Policy:
    """Show a policy: NAME in its newest version, or NAME@VERSION."""
    return _shown(policies.get(db, caller.tenant, id))


@router.delete("/{id}", status_code=204, responses=documented(problems.NotFound, problems.Conflict))
def retire(caller: Writer, db: Db, id: str) -> None:
    """Retire a policy: no new evaluation can name it. NAME@VERSION retires it only if there is no newer version."""
    policies.retire(db, caller.tenant, id)


def _shown(row: PolicyRow) -> schemas.Policy:
    assert row.rules is not None
    return schemas.Policy(
        id=f"{row.name}@{row.version}",
        name=row.name,
        version=row.version,
        rules=schemas.Rules.model_validate_json(row.rules),
        digest=schemas.digest(row.rules),
        note=row.note,
        created_at=schemas.instant(row.created_at),
    )
