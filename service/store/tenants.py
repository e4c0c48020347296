"""Tenants: who owns what. One exists always, and owns everything where no caller needs a key."""

from typing import Literal, get_args

DEFAULT = "default"  # made by a migration, and the owner of all that was there before tenants were
Scope = Literal["models:write", "datasets:write", "evaluations:write", "evaluations:read", "webhooks:write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a key may allow; `evaluations:read` allows to read everything, `admin` to manage the tenant's keys."""
