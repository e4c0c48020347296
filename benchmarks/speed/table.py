"""docs/speed.md, docs/speed.csv and docs/images/speed.svg, from what was timed."""

import csv
import json
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import chi2

from benchmarks.speed import drawing, rounds
from benchmarks.speed.drawing import NAMES
from benchmarks.speed.floors import floors
from benchmarks.speed.questions import FORMS, LEAST, MET, NORMAL, SIZES, WORKLOADS, Form, orderings, passes

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
    "child MiB: own, mapped",
)
RIGHT = (
    "form",
    "examples",
    "orderings",
    "area, and what trapezoids may miss",
    "Lesion, adaptive",
    "off by, beyond that in deviations",
)
Line = dict[str, Any]


def tell(folder: Path, docs: Path) -> None:
    """Write them; in docs/speed.md what stands between the two marks."""
    lines = rounds.told(folder / "times.jsonl")
    units = json.loads((folder / "units.json").read_text())
    text, rows, curves = _submitted(lines), [], {}
    for name in WORKLOADS:
        own = [line for line in lines if line["workload"] == name and "failed" not in line]
        if own:
            figures = Figures(own, units[name], floors(name, folder))
            text += figures.section(name)
            rows += figures.rows(name)
            curves[name] = figures.curves()
    page = docs / "speed.md"
    before, _, rest = page.read_text().partition(START)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{START}\n\n{_machine()}\n{text}\n{END}{after}")
    with (docs / "speed.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            [
                *("workload", "form", "who", "passes_a_second", "lowest", "highest"),
                *("measured", "batch", "peak_mib", "against_hooks"),
            ]
        )
        writer.writerows(rows)
    drawing.draw(rows, curves, docs / "images" / "speed.svg")


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

    def _spread(self, form: str, examples: int) -> tuple[float, int] | None:
        """How far apart the areas of orderings lie on so many examples, and how many orderings tell it."""
        found = self._of("reference", form)
        if not found:
            return None
        return float(np.sqrt(found[0]["between"] + found[0]["rest"] / examples)), found[0]["orderings"]

    def drawn(self, form: str, examples: int = SIZES[1]) -> int | None:
        """Orderings that a loop needs for +-0.01, from how far apart they lie; None if that was not measured."""
        spread = self._spread(form, examples)
        return None if spread is None else orderings(spread[0])

    def _drawn_told(self, form: str, examples: int) -> str:
        """With an interval of 95 %: of a variance from few orderings, by chi-square."""
        spread = self._spread(form, examples)
        assert spread is not None
        free = spread[1] - 1
        ends = [orderings(spread[0] * float(np.sqrt(free / chi2.ppf(p, free)))) for p in (0.975, 0.025)]
        return f"{orderings(spread[0])} ({ends[0]} to {ends[1]})"

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
        return text + self._shares(plain) + self._adaptive() + self._right()

    def _row(self, form: Form, who: str) -> str:
        found = self._of(who, form)
        if not found:
            return f"| {form} | {NAMES[who]} | cannot ask this | | | |\n" if who == "captum" else ""
        rates = self._rates(who, form)
        ratio = self._ratio(who, "hooks", form)
        drawn = LEAST if form == "importance" else self.drawn(form)
        needed = "" if drawn is None else f" of {passes(form, self._units, SIZES[1], drawn):,}"
        measured = sum(each["passes"] for each in found)
        peak = max(each["peak_mib"] for each in found)
        return (
            f"| {form} | {NAMES[who]} | {_told(median(rates))} ({_told(min(rates))}, {_told(max(rates))}) | "
            f"{measured:,}{needed} | {_told(ratio)} | {peak:,.0f} |\n"
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

    def _precise(self) -> Iterator[tuple[Form, int, list[Line], float]]:
        """`adaptive` to +-0.01 where a loop was timed and orderings were measured, and the loop's passes a second."""
        for form in FORMS[:2]:
            rate = self._rate("hooks", form)
            for examples in SIZES:
                found = [each for each in self._of("adaptive", form, examples) if "precision" not in each]
                if found and rate and self.drawn(form) is not None:
                    yield form, examples, found, rate

    def _adaptive(self) -> str:
        text = "\n" + _head(PRECISE, left=1)
        for form, examples, found, rate in self._precise():
            text += self._to_precision(form, examples, found, rate)
        return text

    def _to_precision(self, form: Form, examples: int, found: list[Line], rate: float) -> str:
        own, loop = self._seconds(form, examples, found, rate)
        needed = passes(form, self._units, examples, self.drawn(form, examples) or LEAST)
        parts = [median(each[name] for each in found) for name in ("intact_seconds", "seconds")]
        made = median(each["passes"] for each in found)
        memory = [max(each[name] for each in found) for name in ("anonymous_mib", "mapped_mib")]
        return (
            f"| {form} | {examples:,} | {own:.1f} ({parts[0]:.1f}, {parts[1]:.1f}) | {made:,.0f} | "
            f"{loop:,.0f} (extrapolated) | {self._drawn_told(form, examples)}, {needed:,} | "
            f"{_told(loop / own)} | {memory[0]:,.0f}, {memory[1]:,.0f} |\n"
        )

    def _seconds(self, form: Form, examples: int, found: list[Line], rate: float) -> tuple[float, float]:
        """Of `adaptive`, from opening the model to the score, and of the loop of hooks."""
        own = median(each["open_seconds"] + each["intact_seconds"] + each["seconds"] for each in found)
        needed = passes(form, self._units, examples, self.drawn(form, examples) or LEAST)
        return own, needed / rate

    def curves(self, form: Form = "network") -> list[tuple[int, float, float]]:
        """Examples, seconds of `adaptive`, seconds of the loop."""
        each = [line for line in self._precise() if line[0] == form]
        return [(line[1], *self._seconds(*line)) for line in each]

    def _right(self) -> str:
        """The areas that `adaptive` gave against those of every ordering, fraction and example of the reference."""
        text = ""
        for form in FORMS[:2]:
            for reference in self._of("reference", form):
                for each in self._of("adaptive", form, reference["examples"]):
                    text += _against(form, reference, each)
        return f"\n{_head(RIGHT, left=1)}{text}" if text else ""

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
                    beside = self._ratio(who, "hooks", form)
                    ratio = None if beside is None else round(beside, 2)
                    found.append([name, form, who, *ends, measured, lines[0].get("batch"), round(peak), ratio])
        return found


def _against(form: str, reference: Line, adaptive: Line) -> str:
    area, (value, low, high) = reference["auc"], adaptive["auc"]
    deviation = float(np.hypot(reference["deviation"], (high - low) / 2 / NORMAL))
    beyond = max(abs(value - area) - reference["missed"], 0.0) / deviation
    return (
        f"| {form} | {reference['examples']:,} | {reference['orderings']} | "
        f"{area:.3f} ± {NORMAL * reference['deviation']:.3f}, {reference['missed']:.3f} | "
        f"{value:.3f} [{low:.3f}, {high:.3f}] | {value - area:+.3f}, {beyond:.1f} |\n"
    )


def _submitted(lines: Sequence[Line]) -> str:
    """From submit to score, as a caller sees it."""
    found = [line for line in lines if line["who"] == "submitted" and "failed" not in line]
    if not found:
        return ""
    each = sorted(seconds for line in found for seconds in line["each"])
    return (
        "\n### From submit to score\n\nThe MNIST CNN of docs/models.md on 10,000 digits to ±0.01, over HTTP, through a "
        f"running service that has both files: {median(each):.2f} s from POST to the score ({each[0]:.2f} to "
        f"{each[-1]:.2f}, {len(each)} evaluations, the first one not counted), "
        f"{median(line['passes'] for line in found):,.0f} trials.\n"
    )


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
