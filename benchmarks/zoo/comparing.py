"""Every measure against both targets, on each set of networks: docs/evidence/judged.csv."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.zoo import judging
from benchmarks.zoo import rows as table
from benchmarks.zoo.judging import Judged
from benchmarks.zoo.rows import READINGS, RIVALS, TARGETS, Row

CHOOSING, REPORTING = 0, 1  # the seeds of the two halves


@dataclass(frozen=True)
class Kin:
    """A set of networks that claims are made within. `corrupted`: None for all."""

    name: str
    family: str
    corrupted: bool | None


KINDS = (
    Kin("mlp", "mlp", None),
    Kin("mlp, true labels", "mlp", False),
    Kin("mlp, a fifth of labels wrong", "mlp", True),
    Kin("conv", "conv", None),
    Kin("conv, true labels", "conv", False),
    Kin("conv, a fifth of labels wrong", "conv", True),
)


def judged(zoo: list[Row], signs: Mapping[str, float]) -> dict[tuple[str, int], list[Judged]]:
    """By kind and half. Measures are turned by their sign first, which was chosen on the first half."""
    turned = [row | {name: row[name] * sign for name, sign in signs.items() if row[name] is not None} for row in zoo]
    found = {}
    for kin in KINDS:
        for seed in (CHOOSING, REPORTING):
            chosen = table.half(turned, kin.family, seed, kin.corrupted)
            every = [
                judging.judge(chosen, measure, target)
                for target in TARGETS
                for measure in (*READINGS, *RIVALS)
                if sum(row[measure] is not None for row in chosen) >= judging.LEAST_NETWORKS
            ]
            found[kin.name, seed] = [each for each in every if each is not None]
    return found


def write(path: Path, found: Mapping[tuple[str, int], list[Judged]]) -> None:
    """A line for each kind, half, measure and target."""
    lines = [
        judging.flat(each, {"kind": kind, "half": "choosing" if seed == CHOOSING else "reporting"})
        for (kind, seed), several in found.items()
        for each in several
    ]
    if not lines:  # too few networks to judge by
        return
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        out.writeheader()
        out.writerows(lines)
