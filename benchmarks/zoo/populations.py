"""Writes service/populations.json: the zoo's scores, for others to be held against."""

import json
from pathlib import Path

from benchmarks.zoo import rows as table
from benchmarks.zoo.examples import CLASSES
from benchmarks.zoo.factors import FAMILIES, grid
from benchmarks.zoo.rows import Row
from benchmarks.zoo.score import SCORE
from benchmarks.zoo.training import LEAST

INPUTS = {"mlp": [196], "conv": [1, 28, 28]}
ABOUT = {
    "mlp": "small MLPs, scored on the thousand handwritten digits (14×14 pixels) that they were trained on; for about "
    "half of them, a fifth of the labels had been drawn anew",
    "conv": "small conv nets, scored on the thousand handwritten digits (28×28 pixels) that they were trained on; for "
    "half of them, a fifth of the labels had been drawn anew",
}


def write(path: Path, zoo: list[Row]) -> None:
    """One population for each family: those above 95 % training accuracy that have a score."""
    found = []
    for family in FAMILIES:
        rows = [row for row in table.half(zoo, family, None) if row["score"] is not None]
        units = [_units(recipe.width, recipe.depth, family) for recipe in grid(family)]
        found.append(
            {
                "about": ABOUT[family],
                "inputs": INPUTS[family],
                "classes": CLASSES,
                "convolutional": family == "conv",
                "units": [min(units), max(units)],
                "intact": LEAST,
                "split": SCORE["split"],
                "scores": sorted(round(float(row["score"]), 4) for row in rows),
            }
        )
    path.write_text("[" + ",\n".join(json.dumps(each) for each in found) + "]\n")


def _units(width: int, depth: int, family: str) -> int:
    return 5 * width if family == "conv" else depth * width
