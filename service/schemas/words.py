"""What all schemas are made of: strictness, digests, canonical JSON, and a number with its interval."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", examples=["sha256:" + "9f" * 32])]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Strict(BaseModel):
    """What callers send: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(BaseModel):
    """A number and its confidence interval."""

    value: float
    low: float
    high: float


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """sha256 of a text, as artifacts are named."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def instant(seconds: float) -> str:
    """A time of the database as RFC 3339, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
