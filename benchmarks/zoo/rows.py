"""Every network of the zoo as a row: how it was made, how it did, its score, its rivals. docs/evidence/zoo.csv."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo import score
from benchmarks.zoo.factors import GRID, Recipe
from benchmarks.zoo.training import LEAST

Floats = NDArray[np.float64]
Row = dict[str, Any]
AXES = ("corruption", "width", "depth", "norm", "dropout", "decay", "rate", "batch", "seed")
# Readings of the service's answer: name of the column, and where in `result` it is.
READINGS = ("score", "auc", "half-life", "mean clamp", "noise area")
RIVALS = (
    "training loss",
    "training accuracy",
    "parameters",
    "margin",
    "normalised margin",
    "spectral norm",
    "path norm",
    "distance",
    "sharpness",
    "prunability",
    "random",
)
TARGETS = ("gap", "test accuracy")


def assemble(folder: Path, recipes: list[Recipe]) -> list[Row]:
    """A row for each grid network that was trained, in the order of the grid; what is not known is None."""
    outcomes = {outcome["key"]: outcome["result"] for outcome in score.read(folder)}
    grid = [recipe for recipe in recipes if recipe.group == GRID]
    chance = np.random.default_rng(0).permutation(len(grid))
    return [_row(folder, recipe, outcomes, float(rank)) for recipe, rank in zip(grid, chance, strict=True)]


def _row(folder: Path, recipe: Recipe, outcomes: Mapping[str, Any], random: float) -> Row:
    told = json.loads((folder / "nets" / f"{recipe.name}.json").read_text())
    rivals = told.get("rivals") or {}
    training, test = told["training"], told["test"]
    result = outcomes.get(recipe.name) or {}
    mean = outcomes.get(f"{recipe.name} mean") or {}
    noise = ((result.get("analyses") or {}).get("noise") or {}).get("area")
    scored = result.get("score") or {}
    row = {"name": recipe.name, "family": recipe.family, **recipe.levels(), "epochs": told["epochs"]}
    row |= {"training loss": training["loss"], "training accuracy": training["accuracy"]}
    row |= {"validation accuracy": told["validation"]["accuracy"], "test accuracy": test["accuracy"]}
    row |= {"gap": training["accuracy"] - test["accuracy"], "fits": int(training["accuracy"] >= LEAST)}
    row |= {"score": scored.get("value"), "score low": scored.get("low"), "score high": scored.get("high")}
    row |= {"auc": _value(result.get("auc")), "half-life": _value(result.get("half_life"))}
    row |= {"intact": _value(result.get("intact")), "noise area": _value(noise)}
    row |= {"mean clamp": _value(mean.get("score"))}
    row |= {name: rivals.get(name) for name in RIVALS if name not in row}
    return {name: _rounded(value) for name, value in row.items()} | {"random": random}


def _value(estimate: Mapping[str, float] | None) -> float | None:
    return None if estimate is None else estimate["value"]


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write(path: Path, rows: list[Row]) -> None:
    """As CSV; what there is not is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def read(path: Path) -> list[Row]:
    """What `write` wrote, with numbers as numbers."""
    with path.open(newline="") as file:
        return [{name: _parsed(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _parsed(text: str) -> Any:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def column(rows: list[Row], name: str) -> Floats:
    """float64[n]; NaN where there is nothing."""
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)


def axes(rows: list[Row]) -> dict[str, Floats]:
    """The axes that vary among these rows, without their half: float64[n] each."""
    found = {name: column(rows, name) for name in AXES}
    return {name: values for name, values in found.items() if len(np.unique(values)) > 1}


def half(rows: list[Row], family: str, seed: int | None, corrupted: bool | None = None) -> list[Row]:
    """The networks of one family that fit their training set: of one half, or both; of one kind of labels, or both."""
    return [
        row
        for row in rows
        if row["family"] == family
        and row["fits"]
        and (seed is None or row["seed"] == seed)
        and (corrupted is None or (row["corruption"] > 0) == corrupted)
    ]
