"""How well a measure predicts: every statistic of one measure against one target, on one set of networks."""

from dataclasses import dataclass

import numpy as np

from benchmarks.zoo import rows as table
from benchmarks.zoo.granulated import Granulated, granulated, overall
from benchmarks.zoo.information import Information, information
from benchmarks.zoo.partial import partial
from benchmarks.zoo.rows import Row
from service.scoring import relation
from service.scoring.interval import Estimate

GIVEN = ("training accuracy", "width", "depth")
PERMUTATIONS = 199
LEAST_NETWORKS = 8  # that are judged at all
SEED = 1


@dataclass(frozen=True)
class Judged:
    """One measure against one target. `given`: Spearman's, given training accuracy, width and depth."""

    measure: str
    target: str
    networks: int
    kendall: Estimate
    spearman: Estimate
    given: Estimate | None
    psi: Granulated
    axes: dict[str, Granulated]
    information: Information | None


def judge(chosen: list[Row], measure: str, target: str) -> Judged | None:
    """None where the measure is not known, or is the same for all. Ranks alone matter; `information` is of the gap."""
    known = [row for row in chosen if row[measure] is not None]
    values, goal, axes = table.column(known, measure), table.column(known, target), table.axes(known)
    if len(np.unique(values)) < 2:
        return None
    found = relation.related(values, goal, np.zeros(len(known), np.int64), seed=SEED, confidence=0.95)
    if found.kendall is None or found.spearman is None:
        return None
    told = None
    if target == "gap":
        told = information(values, goal, axes, permutations=PERMUTATIONS, seed=SEED)
    along = granulated(values, goal, axes)
    given = partial(values, goal, [table.column(known, name) for name in GIVEN if name != measure])
    return Judged(measure, target, len(known), found.kendall, found.spearman, given, overall(along), along, told)


def flat(judged: Judged, about: dict[str, object]) -> dict[str, object]:
    """As a row of a CSV file."""
    told = {**about, "measure": judged.measure, "target": judged.target, "networks": judged.networks}
    for name in ("kendall", "spearman", "given"):
        estimate: Estimate | None = getattr(judged, name)
        parts = ("value", "low", "high")
        told |= {f"{name} {part}": "" if estimate is None else round(getattr(estimate, part), 4) for part in parts}
    told |= {"psi": round(judged.psi.psi, 4), "psi error": round(judged.psi.error, 4)}
    told |= {f"psi {axis}": round(judged.axes[axis].psi, 4) if axis in judged.axes else "" for axis in table.AXES}
    known = judged.information
    told |= {"pgdl": "", "pgdl null": "", "pgdl p": "", "pgdl given": ""}
    if known is not None:
        told |= {"pgdl": round(known.score, 3), "pgdl null": round(known.null, 3), "pgdl p": round(known.p, 4)}
        told |= {"pgdl given": " and ".join(known.given)}
    return told
