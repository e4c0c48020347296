"""The table of units as CSV: one line each, numbers as they are, and empty where there is none."""

import csv
import io
import json
from typing import Any

PLAIN = ("site", "unit", "mean", "std", "fires", "dead", "selectivity", "driver", "information", "informative")
OF_IMPORTANCE = ("rank", "examples")
ESTIMATES = ("accuracy_lost", "cross_entropy_added")
PARTS = (("", "value"), ("_low", "low"), ("_high", "high"))
HIT = ("hit_class", "hit_class_accuracy_lost")  # the class that loses most accuracy with the unit
COLUMNS = (*PLAIN, *OF_IMPORTANCE, *(name + end for name in ESTIMATES for end, _ in PARTS), *HIT)


def head() -> str:
    """The names of the columns."""
    return _written([list(COLUMNS)])


def rows(lines: str) -> str:
    """Lines of JSON, as they are stored, as CSV."""
    return _written([_row(json.loads(line)) for line in lines.splitlines()])


def _row(unit: dict[str, Any]) -> list[Any]:
    importance = unit["importance"] or {}
    row = [unit[name] for name in PLAIN] + [importance.get(name) for name in OF_IMPORTANCE]
    row += [importance[name][part] if importance else None for name in ESTIMATES for _, part in PARTS]
    losses = [(each["accuracy_lost"]["value"], -each["label"]) for each in importance.get("classes", [])]
    value, label = max(losses, default=(0.0, 0))
    return row + ([-label, value] if value > 0 else [None, None])


def _written(table: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()
