"""An analysis as CSV: a line for each point of its curves, or for each site or unit that it names.

Numbers read back exactly; a cell is empty where there is none. The table of all units is service.unit_tables.
"""

import csv
import io
from collections.abc import Iterable
from typing import Any

from service import unit_tables
from service.schemas import Analyses, Analysis, Classes, Correlation, Estimate, Noise, Relation, Targeted, Tuned

Row = tuple[Any, ...]


def written(name: Analysis, found: Analyses) -> str:
    """The CSV of an analysis that was asked for."""
    match name:
        case "selectivity":
            return _csv(tuple(Tuned.model_fields), (tuple(vars(site).values()) for site in found.selectivity or []))
        case "importance":
            units = found.importance.top if found.importance is not None else []
            return unit_tables.head() + unit_tables.rows("".join(f"{unit.model_dump_json()}\n" for unit in units))
        case "relation":
            return _csv(RELATION, _correlations(found.relation) if found.relation is not None else [])
        case "targeted":
            return _csv(TARGETED, _orders(found.targeted) if found.targeted is not None else [])
        case "classes":
            return _csv(CLASSES, _classes(found.classes) if found.classes is not None else [])
        case "noise":
            return _csv(NOISE, _points(found.noise) if found.noise is not None else [])


INTERVAL = ("", "_low", "_high")
RELATION = ("property", "site", "units", *(name + end for name in ("spearman", "kendall") for end in INTERVAL))
TARGETED = ("order", "fraction", "value", "low", "high", "trials")
CLASSES = ("label", "examples", "fraction", "value")
NOISE = ("deviations", "value", "low", "high")


def _correlations(relation: Relation) -> Iterable[Row]:
    each: Correlation
    for each in (*relation.overall, *relation.layers):
        yield (each.property, each.site, each.units, *_parts(each.spearman), *_parts(each.kendall))


def _orders(targeted: Targeted) -> Iterable[Row]:
    for each in targeted.orders:
        yield from ((each.order, p.fraction, p.value, p.low, p.high, p.trials) for p in each.curve)


def _classes(classes: Classes) -> Iterable[Row]:
    for each in classes.curves:
        points = zip(classes.fractions, each.values, strict=True)
        yield from ((each.label, each.examples, fraction, value) for fraction, value in points)


def _points(noise: Noise) -> Iterable[Row]:
    return ((p.deviations, p.value, p.low, p.high) for p in noise.curve)


def _parts(estimate: Estimate | None) -> Row:
    return (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)


def _csv(heads: tuple[str, ...], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(heads)
    lines.writerows(rows)
    return text.getvalue()
