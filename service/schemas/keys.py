"""Keys as callers see them: whose, what they allow, until when; and the secret itself, once."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field

from service.schemas.words import Strict

Scope = Literal[
    "models:write",
    "datasets:write",
    "evaluations:write",
    "evaluations:read",
    "webhooks:write",
    "policies:write",
    "metrics:read",
    "admin",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
DAY = 86_400.0
LONGEST_OVERLAP = 30 * DAY
Scopes = Annotated[
    list[Scope],
    Field(
        min_length=1,
        max_length=len(SCOPES),
        description="`evaluations:read` reads everything of the tenant; `policies:write` changes what its gates "
        "ask for; `admin` manages its keys; `metrics:read` reads the figures of the whole service.",
    ),
]


class NewKey(Strict):
    """A key that is wanted."""

    name: str = Field(min_length=1, max_length=100, description="What it is for, such as the pipeline that holds it.")
    scopes: Scopes
    expires_in: float | None = Field(
        None, gt=0, le=10 * 366 * DAY, description="Seconds until it expires; null: it does not."
    )


class Rotation(Strict):
    """How a key is replaced."""

    overlap: float = Field(DAY, ge=0, le=LONGEST_OVERLAP, description="Seconds for which the old key still works.")


class Key(BaseModel):
    """A key, without its secret."""

    id: str = Field(description="Part of the secret, so that a key can be told by it.")
    name: str
    scopes: list[Scope]
    state: Literal["live", "expired", "revoked"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None = Field(description="Exact to a minute.")
    replaced_by: str | None = Field(description="The id of the key that a rotation made.")


class MadeKey(Key):
    """A key that was made just now."""

    secret: str = Field(description="Shown this once. Send it as `Authorization: Bearer SECRET`.")


class Keys(BaseModel):
    """A page of keys, newest first."""

    data: list[Key]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")
