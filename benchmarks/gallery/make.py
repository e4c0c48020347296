"""Makes the gallery's files: fetches, trains, exports, and measures each accuracy without Lesion."""

import importlib
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gallery import pairs

FAMILIES = (
    "mnist_cnn",
    "pictures",
    "text_lines",
    "tabular",
    "transformer",
    "sequences",
    "patches",
    "keras_cnn",
    "topologies",
)


def make(folder: Path, families: Sequence[str]) -> None:
    """Make these families, or all; each is kept as soon as it is made, so that the rest can follow another day."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in families or FAMILIES:
        start = time.perf_counter()
        made = list(importlib.import_module(f"benchmarks.gallery.{name}").make(folder))
        pairs.write(made, folder)
        print(f"{name}: {len(made)} pairs, {time.perf_counter() - start:.0f} s")
        for pair in made:
            told = "no accuracy" if pair.outside is None else f"{pair.outside:.4f} by {pair.by}"
            print(f"  {pair.name}: {told}")
