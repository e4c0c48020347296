"""A pair of the gallery: a model on a dataset, and what is known of them apart from Lesion. Kept in pairs.json."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LIST = "pairs.json"


@dataclass(frozen=True)
class Pair:
    """A model, the dataset it is scored on, and what to expect.

    name: unique; model: its file, or its several files, uploaded together; dataset: its file. Files are named as they
    lie in the gallery's folder. form: how the model was saved, by what. outside: the accuracy on all examples, measured
    without Lesion, or None; by: what measured it. sites, units: counted by hand from the architecture; None where
    nobody counted. counted: how. config: sent along. alike: pairs of one such name have the same arithmetic, so the
    same score. note: what a reader should know.
    """

    name: str
    family: str
    form: str
    model: tuple[str, ...]
    dataset: str
    outside: float | None
    by: str
    sites: int | None = None
    units: int | None = None
    counted: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    alike: str | None = None
    note: str = ""


def write(pairs: Iterable[Pair], folder: Path) -> None:
    """Keep the pairs in the gallery's folder, families together, in the place of those of the same family."""
    old, new = read(folder), list(pairs)
    families = list(dict.fromkeys(pair.family for pair in [*old, *new]))
    fresh = {pair.family for pair in new}
    kept = sorted(
        [*(pair for pair in old if pair.family not in fresh), *new], key=lambda pair: families.index(pair.family)
    )
    (folder / LIST).write_text(json.dumps([asdict(pair) for pair in kept], indent=1) + "\n")


def read(folder: Path) -> list[Pair]:
    """The pairs in a gallery's folder; none where nothing was made yet."""
    path = folder / LIST
    if not path.exists():
        return []
    return [Pair(**(each | {"model": tuple(each["model"])})) for each in json.loads(path.read_text())]
