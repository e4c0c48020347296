"""One version of a registered model, and what a place of such versions does: MLflow's registry, or a hub."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from service.registries.names import Named


class WentWrongError(Exception):
    """The place did not do as asked; the message is its own. Trying again may help."""


@dataclass(frozen=True)
class Version:
    """One version, with the run and the logged model that MLflow knows of it."""

    name: str
    version: str
    run: str | None = None
    model_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    scheme: Literal["models", "hf"] = "models"

    @property
    def uri(self) -> str:
        """As names.py reads it."""
        return f"models:/{self.name}/{self.version}" if self.scheme == "models" else f"hf://{self.name}@{self.version}"


class Place(Protocol):
    """Where versions come from, and where what was found of them goes. Raises `WentWrongError`."""

    def version(self, named: Named) -> Version:
        """The version of a name."""

    def fetch(self, version: Version, folder: Path) -> list[Path]:
        """The model's files below the folder, its own first. Raises `UnusableModelError`."""

    def record(self, version: Version, metrics: list[tuple[str, float, int]], files: Path) -> str:
        """Keep metrics (name, value, step) and a folder of artifacts; where."""

    def note(self, version: Version, tags: Mapping[str, str]) -> None:
        """Keep short texts with the version."""

    def promote(self, version: Version, alias: str, *, only_forward: bool = False) -> bool:
        """Point the alias at the version, if there are aliases; did it move?"""
