"""What the paper's figures are drawn from, as small CSV files: mean curves, training runs, single units."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo import rows as table
from benchmarks.zoo.factors import GRID, Recipe
from benchmarks.zoo.rows import Row

Outcomes = Mapping[str, Mapping[str, Any]]
FIVE = 5


@dataclass(frozen=True)
class Line:
    """Networks whose mean curve is drawn under one label."""

    figure: str
    label: str
    recipes: list[Recipe]


def write(out: Path, folder: Path, recipes: list[Recipe], outcomes: Outcomes) -> None:
    """series.csv, curves.csv, epochs.csv and units.csv; what was not scored yet is left out."""
    trained = [r for r in recipes if (folder / "nets" / f"{r.name}.json").exists()]
    told = {r.name: json.loads((folder / "nets" / f"{r.name}.json").read_text()) for r in trained}
    scored = [r for r in trained if outcomes.get(r.name, {}).get("result")]
    _save(out / "series.csv", [_single(r, told[r.name], outcomes) for r in scored if r.group != GRID])
    lines = _lines(scored, told)
    _save(out / "curves.csv", [row for line in lines for row in _mean(line, outcomes)])
    _save(out / "epochs.csv", [row for r in trained if r.checkpoints for row in _epochs(r, told[r.name], outcomes)])
    _save(out / "units.csv", [row for r in trained for row in _units(r, outcomes)])
    _save(out / "relations.csv", [row for r in trained for row in _relations(r, outcomes)])


def _save(path: Path, rows: list[Row]) -> None:
    if rows:
        table.write(path, rows)


def _single(recipe: Recipe, told: Mapping[str, Any], outcomes: Outcomes) -> Row:
    result = outcomes[recipe.name]["result"]
    scored = result["score"] or {"value": None, "low": None, "high": None}
    row: Row = {"name": recipe.name, "group": recipe.group, "family": recipe.family}
    row |= {"corruption": recipe.corruption, "dropout": recipe.dropout, "seed": recipe.seed}
    row |= {"training accuracy": told["training"]["accuracy"], "test accuracy": told["test"]["accuracy"]}
    row |= {"score": scored["value"], "score low": scored["low"], "score high": scored["high"]}
    return row | {"auc": result["auc"]["value"], "half-life": (result["half_life"] or {}).get("value")}


def _lines(scored: list[Recipe], told: Mapping[str, Any]) -> Iterable[Line]:
    def those(group: str, family: str) -> list[Recipe]:
        return [recipe for recipe in scored if (recipe.group, recipe.family) == (group, family)]

    for family in ("mlp", "conv"):
        ladder = those("ladder", family)
        for corruption in sorted({recipe.corruption for recipe in ladder}):
            same = [recipe for recipe in ladder if recipe.corruption == corruption]
            yield Line(f"corruption {family}", f"{corruption:.0%}", same)
    dropout = those("dropout", "mlp")
    for corruption in sorted({recipe.corruption for recipe in dropout}):
        for share in sorted({recipe.dropout for recipe in dropout}):
            same = [r for r in dropout if (r.corruption, r.dropout) == (corruption, share)]
            yield Line(f"dropout {corruption:g}", f"{share:g}", same)
    for family in ("mlp", "conv"):
        plain = [r for r in those(GRID, family) if r.corruption == 0 and told[r.name]["training"]["accuracy"] >= 0.95]
        for norm in (False, True):
            same = [recipe for recipe in plain if recipe.norm == norm]
            yield Line(f"norm {family}", "batch norm" if norm else "none", same)
        ranked = sorted(plain, key=lambda recipe: told[recipe.name]["test"]["accuracy"])
        if len(ranked) >= 2 * FIVE:
            yield Line(f"five {family}", "best five", ranked[-FIVE:])
            yield Line(f"five {family}", "worst five", ranked[:FIVE])


def _mean(line: Line, outcomes: Outcomes) -> list[Row]:
    """The mean curve of a line's networks, in steps that all of them have."""
    if not line.recipes:
        return []
    grid = np.linspace(0, 1, 33)
    curves = []
    for recipe in line.recipes:
        points = outcomes[recipe.name]["result"]["curve"]
        curves.append(np.interp(grid, [p["fraction"] for p in points], [p["value"] for p in points]))
    mean, error = np.mean(curves, axis=0), np.std(curves, axis=0, ddof=min(1, len(curves) - 1)) / np.sqrt(len(curves))
    about = {"figure": line.figure, "label": line.label, "networks": len(curves)}
    return [
        about | {"fraction": round(float(f), 5), "value": round(float(v), 4), "error": round(float(e), 4)}
        for f, v, e in zip(grid, mean, error, strict=True)
    ]


def _epochs(recipe: Recipe, told: Mapping[str, Any], outcomes: Outcomes) -> Iterable[Row]:
    for epoch, seen in enumerate(told["history"], 1):
        outcome = outcomes.get(f"{recipe.name} {epoch:03}")
        if outcome is None or outcome["result"] is None:
            continue
        result = outcome["result"]
        row: Row = {"name": recipe.name, "corruption": recipe.corruption, "rate": recipe.rate, "seed": recipe.seed}
        row |= {"epoch": epoch, "training accuracy": round(seen["training"]["accuracy"], 4)}
        row |= {"validation loss": round(seen["validation"]["loss"], 5)}
        row |= {"validation accuracy": round(seen["validation"]["accuracy"], 5)}
        row |= {"test accuracy": seen["test"]["accuracy"], "auc": result["auc"]["value"]}
        yield row | {"score": result["score"]["value"] if result["score"] else None}


def _units(recipe: Recipe, outcomes: Outcomes) -> Iterable[Row]:
    for unit in outcomes.get(f"{recipe.name} relation", {}).get("units", ()):
        rounded = {name: round(v, 5) if isinstance(v, float) else v for name, v in unit.items()}
        yield {"name": recipe.name, "family": recipe.family, **rounded}


def _relations(recipe: Recipe, outcomes: Outcomes) -> Iterable[Row]:
    outcome = outcomes.get(f"{recipe.name} relation")
    if outcome is None or not outcome["result"]:
        return
    for each in outcome["result"]["analyses"]["relation"]["overall"]:
        row: Row = {"name": recipe.name, "family": recipe.family, "property": each["property"], "units": each["units"]}
        for coefficient in ("spearman", "kendall"):
            estimate = each[coefficient] or {"value": None, "low": None, "high": None}
            row |= {f"{coefficient} {part}": estimate[part] for part in ("value", "low", "high")}
        yield row


def read(path: Path) -> list[Row]:
    """The rows of a CSV file that may not be there yet."""
    return table.read(path) if path.exists() and path.stat().st_size else []


def plain(path: Path) -> list[dict[str, str]]:
    """The same with every cell as text, where numbers are names."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
