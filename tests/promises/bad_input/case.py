"""One case of the table: what is sent, and how it must be refused."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service import problems

Artifact = Literal["model", "dataset"]


@dataclass(frozen=True)
class Case:
    """A file that is refused. make: its bytes. kind: the problem's type. says: a word that the detail must have.

    reading: how a model wants a dataset; None only looks. Where it is given, the upload itself may be accepted.
    memory: MiB that reading it may take beyond what the child has before.
    """

    name: str
    make: Callable[[], bytes]
    kind: str
    says: str
    reading: Mapping[str, Any] | None = None
    memory: int = 64

    @property
    def status(self) -> int:
        """Of the answer, over HTTP."""
        return problems.BY_TYPE[self.kind].status


@dataclass(frozen=True)
class Class:
    """Cases of one kind. least: how many there must be, so that the table cannot shrink unseen."""

    artifact: Artifact
    least: int
    cases: tuple[Case, ...]


def from_zoo(refused: Iterable[tuple[Any, str, str]], *kinds: str, **more: Any) -> tuple[Case, ...]:
    """The zoo's misdeeds that are refused as one of these kinds; of all kinds, if none is named."""
    return tuple(
        Case(make.__name__.replace("_", " "), make, kind, says, **more)
        for make, kind, says in refused
        if not kinds or kind in kinds
    )


def altered(data: bytes, at: int, new: bytes) -> bytes:
    """The bytes with others from a place on."""
    return data[:at] + new + data[at + len(new) :]
