"""The tables of docs/evidence.md, in Markdown."""

from collections.abc import Iterable, Mapping

from benchmarks.zoo.comparing import CHOOSING, KINDS, REPORTING
from benchmarks.zoo.granulated import Granulated
from benchmarks.zoo.judging import Judged
from benchmarks.zoo.rows import AXES, Row
from service.scoring.interval import Estimate

NONE = ""
OWN = ("score", "auc", "half-life", "noise area")  # what the service itself says; set apart in tables


def markdown(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table."""
    named = list(heads)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (named, ["---"] * len(named), *lines))


def zoo(rows: list[Row]) -> str:
    """What there is: by family and labels."""
    lines = []
    for kin in KINDS:
        if kin.corrupted is None:
            continue
        mine = [row for row in rows if row["family"] == kin.family and (row["corruption"] > 0) == kin.corrupted]
        fit = [row for row in mine if row["fits"]]
        lines.append(
            [
                kin.name,
                str(len(mine)),
                str(len(fit)),
                *(_spread(fit, name) for name in ("training accuracy", "test accuracy", "gap", "score")),
            ]
        )
    heads = ("networks", "made", "above 95 %", "training accuracy", "test accuracy", "gap", "score")
    return markdown(heads, lines)


def _spread(rows: list[Row], name: str) -> str:
    values = [row[name] for row in rows if row[name] is not None]
    return f"{min(values):.3f} to {max(values):.3f}" if values else NONE


def judged(found: Mapping[tuple[str, int], list[Judged]]) -> dict[str, str]:
    """A table for each kind against the gap and against test accuracy, of the reporting half; and psi axis by axis."""
    made = {}
    for kin in KINDS:
        mine = found[kin.name, REPORTING]
        name = kin.name.replace(",", "")
        made[f"gap {name}"] = _against_gap([each for each in mine if each.target == "gap"])
        made[f"accuracy {name}"] = _against_accuracy([each for each in mine if each.target == "test accuracy"])
        made[f"axes {name}"] = _axes([each for each in mine if each.target == "gap"])
    made["halves"] = _halves(found)
    return made


def _against_gap(several: list[Judged]) -> str:
    lines = []
    for each in _ordered(several):
        known = each.information
        lines.append(
            [
                _named(each.measure),
                interval(each.kendall),
                interval(each.spearman),
                interval(each.given),
                psi(each.psi),
                NONE if known is None else f"{known.score:.2f} ({known.null:.2f})",
                NONE if known is None else f"{known.p:.3f}",
            ]
        )
    heads = ("measure", "Kendall's tau", "Spearman's", "Spearman's, given", "mean psi", "PGDL (null)", "p")
    return _counted(several) + markdown(heads, lines)


def _against_accuracy(several: list[Judged]) -> str:
    lines = [
        [_named(e.measure), interval(e.kendall), interval(e.spearman), interval(e.given), psi(e.psi)]
        for e in _ordered(several)
    ]
    return _counted(several) + markdown(
        ("measure", "Kendall's tau", "Spearman's", "Spearman's, given", "mean psi"), lines
    )


def _axes(several: list[Judged]) -> str:
    names = [axis for axis in AXES if any(axis in each.axes for each in several)]
    lines = [
        [_named(each.measure), *(psi(each.axes[axis]) if axis in each.axes else NONE for axis in names)]
        for each in _ordered(several)
    ]
    return markdown(("measure", *names), lines)


def _halves(found: Mapping[tuple[str, int], list[Judged]]) -> str:
    """The score alone, on both halves: were the choices flattered?"""
    lines = []
    for kin in KINDS:
        both = [
            next((e for e in found[kin.name, seed] if (e.measure, e.target) == ("score", "gap")), None)
            for seed in (CHOOSING, REPORTING)
        ]
        cells = [NONE if each is None else interval(each.kendall) for each in both]
        lines.append([kin.name, *cells, *(NONE if each is None else psi(each.psi) for each in both)])
    return markdown(("networks", "tau, choosing half", "tau, reporting half", "psi, choosing", "psi, reporting"), lines)


def _ordered(several: list[Judged]) -> list[Judged]:
    return sorted(several, key=lambda each: (each.measure not in OWN, -abs(each.kendall.value)))


def _counted(several: list[Judged]) -> str:
    return f"{max((each.networks for each in several), default=0)} networks.\n\n"


def _named(measure: str) -> str:
    return f"**{measure}**" if measure in OWN else measure


def interval(estimate: Estimate | None) -> str:
    """+0.31 [+0.20, +0.41]"""
    return NONE if estimate is None else f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"


def psi(found: Granulated) -> str:
    """+0.31 ± 0.08, the latter a standard error."""
    return NONE if not found.groups else f"{found.psi:+.2f} ± {found.error:.2f}"
