"""docs/speed.md, docs/speed.csv and docs/images/speed.svg, from what was timed."""

import csv
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.speed import rounds
from benchmarks.speed.floors import floors
from benchmarks.speed.questions import FORMS, MET, SIZES, WORKLOADS, Form, orderings, passes

NAMES = {
    "hooks": "PyTorch, forward hooks",
    "runtime": "onnxruntime, masks",
    "captum": "Captum",
    "nnsight": "nnsight",
    "grid": "Lesion, grid",
    "adaptive": "Lesion, adaptive",
    "unmasked": "onnxruntime, nothing lost",
}
START, END = "<!-- figures: written by `python -m benchmarks.speed tell` -->", "<!-- end of figures -->"
LOOPS = ("question", "who", "passes/s (lowest, highest)", "measured", "against the hook loop", "peak MiB")
PRECISE = (
    "to ±0.01 at 95 %",
    "examples",
    "Lesion, adaptive: s (intact pass, trials)",
    "its passes",
    "hook loop: s",
    "orderings, passes",
    "ratio",
    "child MiB",
)
Line = dict[str, Any]


def tell(folder: Path, docs: Path) -> None:
    """Write them; in docs/speed.md what stands between the two marks."""
    lines = rounds.told(folder / "times.jsonl")
    units = json.loads((folder / "units.json").read_text())
    text, rows = "", []
    for name in WORKLOADS:
        own = [line for line in lines if line["workload"] == name and "failed" not in line]
        if own:
            figures = Figures(own, units[name], floors(name, folder))
            text += figures.section(name)
            rows += figures.rows(name)
    page = docs / "speed.md"
    before, _, rest = page.read_text().partition(START)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{START}\n\n{_machine()}\n{text}\n{END}{after}")
    with (docs / "speed.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["workload", "form", "who", "passes_a_second", "lowest", "highest", "measured", "batch", "peak_mib"]
        )
        writer.writerows(rows)
    _draw(rows, docs / "images" / "speed.svg")


class Figures:
    """One workload's figures."""

    def __init__(self, lines: Sequence[Line], units: list[int], floor: dict[str, Any]) -> None:
        self._lines, self._units, self._floor = lines, units, floor

    def _of(self, who: str, form: str, examples: int | None = None) -> list[Line]:
        return [
            each
            for each in self._lines
            if each["who"] == who and each["form"] == form and (examples is None or each.get("examples") == examples)
        ]

    def _rates(self, who: str, form: str) -> list[float]:
        return [each["passes"] / each["seconds"] for each in self._of(who, form) if each["seconds"] and each["passes"]]

    def _rate(self, who: str, form: str) -> float | None:
        found = self._rates(who, form)
        return median(found) if found else None

    def _ratio(self, who: str, other: str, form: str) -> float | None:
        """Of two in the same round, the median."""
        mine = {each["round"]: each["passes"] / each["seconds"] for each in self._of(who, form)}
        theirs = {each["round"]: each["passes"] / each["seconds"] for each in self._of(other, form) if each["passes"]}
        found = [mine[number] / theirs[number] for number in mine.keys() & theirs.keys()]
        return median(found) if found else None

    def drawn(self, form: str) -> int:
        """Orderings that a loop needs for +-0.01."""
        found = self._of("spread", form)
        return orderings(float(np.std(found[0]["aucs"], ddof=1))) if found and found[0].get("aucs") else 2

    def section(self, name: str) -> str:
        """A workload's tables."""
        floor = self._floor
        text = f"\n### {WORKLOADS[name].title}\n\n{floor['sites']} sites, {floor['units']:,} units, "
        text += f"{floor['million']:,.1f} million multiply-adds a pass"
        plain = self._rate("unmasked", "network")
        if plain:
            work = _told(plain * floor["million"] / 1e3)
            text += f"; nothing lost, onnxruntime makes {_told(plain)} passes/s ({work} G multiply-adds/s)"
        text += ".\n\n" + _head(LOOPS, left=2)
        for form in FORMS:
            for who in (*rounds.RIVALS, "grid"):
                text += self._row(form, who)
        return text + self._shares(plain) + self._adaptive()

    def _row(self, form: Form, who: str) -> str:
        found = self._of(who, form)
        if not found:
            return f"| {form} | {NAMES[who]} | cannot ask this | | | |\n" if who == "captum" else ""
        rates = self._rates(who, form)
        ratio = self._ratio(who, "hooks", form)
        needed = passes(form, self._units, SIZES[1], self.drawn(form))
        measured = sum(each["passes"] for each in found)
        peak = max(each["peak_mib"] for each in found)
        return (
            f"| {form} | {NAMES[who]} | {_told(median(rates))} ({_told(min(rates))}, {_told(max(rates))}) | "
            f"{measured:,} of {needed:,} | {_told(ratio)} | {peak:,.0f} |\n"
        )

    def _shares(self, plain: float | None) -> str:
        if plain is None:
            return ""
        told: list[str] = []
        for form in FORMS:
            rate = self._rate("grid", form)
            if rate and form in self._floor:
                best = _told(plain / self._floor[form])
                told.append(
                    f"{form} {self._floor[form]:.2f}, so {best} passes/s at the unmasked rate, {_told(rate)} made"
                )
        against = self._ratio("grid", "captum", "importance")
        more = f" Importance against Captum: {_told(against)} times." if against else ""
        return f"\nShare of a pass that is left by arithmetic: {'; '.join(told)}.{more}\n"

    def _adaptive(self) -> str:
        text = "\n" + _head(PRECISE, left=1)
        for form in FORMS[:2]:
            rate = self._rate("hooks", form)
            for examples in SIZES:
                found = self._of("adaptive", form, examples)
                if found and rate:
                    text += self._to_precision(form, examples, found, rate)
        return text

    def _to_precision(self, form: Form, examples: int, found: list[Line], rate: float) -> str:
        own = [each["open_seconds"] + each["intact_seconds"] + each["seconds"] for each in found]
        needed = passes(form, self._units, examples, self.drawn(form))
        parts = [median(each[name] for each in found) for name in ("intact_seconds", "seconds")]
        made, peak = median(each["passes"] for each in found), max(each["child_mib"] for each in found)
        return (
            f"| {form} | {examples:,} | {median(own):.1f} ({parts[0]:.1f}, {parts[1]:.1f}) | {made:,.0f} | "
            f"{needed / rate:,.0f} (extrapolated) | {self.drawn(form)}, {needed:,} | "
            f"{_told(needed / rate / median(own))} | {peak:,.0f} |\n"
        )

    def rows(self, name: str) -> list[list[Any]]:
        """The same figures, for programs."""
        found = []
        for form in FORMS:
            for who in (*rounds.RIVALS, "grid"):
                rates, lines = self._rates(who, form), self._of(who, form)
                if rates:
                    peak = max(each["peak_mib"] for each in lines)
                    measured = sum(each["passes"] for each in lines)
                    ends = [round(each, 2) for each in (median(rates), min(rates), max(rates))]
                    found.append([name, form, who, *ends, measured, lines[0].get("batch"), round(peak)])
        return found


def _head(columns: Sequence[str], left: int) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(columns)} |\n|{'---|' * left}{'---:|' * (len(columns) - left)}\n"


def _told(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return (
        f"On {os.cpu_count()} cores of {model}. A pass is one example through the network once. Importance: every unit "
        f"on {MET} examples. What is needed is said for 10,000 examples.\n"
    )


def _draw(rows: list[list[Any]], path: Path) -> None:
    """Passes a second against the hook loop's, a bar each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2 * len(FORMS) / 1.5), layout="constrained")
    axes = figure.subplots(len(FORMS), 1, sharex=True, squeeze=False)[:, 0]
    names = list(dict.fromkeys(row[0] for row in rows))
    whos = (*rounds.RIVALS, "grid")
    for axis, form in zip(axes, FORMS, strict=True):
        base = {row[0]: row[3] for row in rows if row[1] == form and row[2] == "hooks"}
        for place, who in enumerate(whos):
            own = {row[0]: row[3] for row in rows if row[1] == form and row[2] == who}
            heights = [own.get(name, 0) / base[name] if name in base else 0 for name in names]
            axis.bar(np.arange(len(names)) + (place - 2) * 0.16, heights, 0.15, label=NAMES[who])
        axis.axhline(1, color="black", linewidth=0.6)
        axis.set_title(f"{form}: passes a second, hook loop = 1", loc="left", fontsize=9)
        axis.set_xticks(np.arange(len(names)), names)
    axes[0].legend(fontsize=7, ncols=5)
    figure.savefig(path, metadata={"Date": None})
