"""What a version is called: `models:/NAME/VERSION` or `models:/NAME@ALIAS` in MLflow, `hf://REPO@COMMIT` on a hub."""

import re
from dataclasses import dataclass
from typing import Literal

LONGEST = 500  # characters; MLflow's own names end at 256
_NAME = re.compile(r"models:/(?P<name>[^/@:\x00-\x1f\x7f]+)(/(?P<version>[1-9][0-9]{0,9})|@(?P<alias>[A-Za-z0-9_-]+))")

# A commit of a repository on Hugging Face's hub.
HUB = re.compile(
    r"hf://(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95})@(?P<commit>[0-9a-f]{40})"
)


class NotAVersionError(ValueError):
    """The text names no version of a registered model; the message says what would."""


@dataclass(frozen=True)
class Named:
    """A version, by its number or by an alias."""

    name: str
    version: str | None = None
    alias: str | None = None
    scheme: Literal["models", "hf"] = "models"

    def __str__(self) -> str:
        if self.scheme == "hf":
            return f"hf://{self.name}@{self.version}"
        return f"models:/{self.name}@{self.alias}" if self.version is None else f"models:/{self.name}/{self.version}"


def read(text: str) -> Named:
    """Take a name apart; raises `NotAVersionError`."""
    if len(text) <= LONGEST and (commit := HUB.fullmatch(text)):
        return Named(commit["repo"], commit["commit"], scheme="hf")
    found = _NAME.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise NotAVersionError(f"{text[:100]!r} is not models:/NAME/VERSION or models:/NAME@ALIAS.")
    return Named(found["name"], found["version"], found["alias"])
