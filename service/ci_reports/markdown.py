"""Markdown as the job summaries of CI show it: the verdict, each check, the figures, the curve as a Mermaid chart."""

import re

import numpy as np

from service.measures import metric, reach
from service.schemas import Evaluation, Result, Verdict
from service.terminal import number

MARKS: dict[Verdict, str] = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}
POINTS = 21  # of the curve: some viewers take charts of a few thousand characters at most
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@:-])")


def markdown(evaluation: Evaluation) -> str:
    """The report."""
    result = evaluation.result
    if result is None:
        problem = evaluation.problem
        why = f"it has {evaluation.state}" if problem is None else f"{problem.title}: {problem.detail}"
        return f"### {MARKS['inconclusive']} Lesion: not judged\n\n{plain(why)}\n\n{_foot(evaluation)}\n"
    parts = [_head(result), _checks(result), _figures(result), _chart(result), *map(_warning, result.warnings)]
    return "\n\n".join([part for part in parts if part] + [_foot(evaluation)]) + "\n"


def plain(text: str) -> str:
    """Text that came out of an upload, so that it is shown as it is: no markup, no tag, no mention, no second line."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        line = line.replace(sign, entity)
    return _SPECIAL.sub(r"\\\1", line)


def _head(result: Result) -> str:
    if result.gate is None:
        return f"### Lesion: score {number(result.score)}"
    by = "" if result.gate.policy is None else f" by {plain(result.gate.policy)}"
    return f"### {MARKS[result.gate.verdict]} Lesion: {result.gate.verdict}{by}"


def _checks(result: Result) -> str:
    if result.gate is None:
        return ""
    rows = ["| | rule | line | measured | |", "|---|---|--:|---|---|"]
    for check in result.gate.checks:
        name = plain(check.rule if check.site is None else f"{check.rule} {check.site}")
        cells = (MARKS[check.verdict], name, f"{check.line:g}", number(check.measured), plain(check.reason))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _figures(result: Result) -> str:
    told = {
        f"intact {metric(result)}": number(result.intact),
        "score": number(result.score),
        "half-life": number(result.half_life),
        "chance": f"{result.chance:.3f}",
    }
    for name, other in (("baseline", result.baseline), ("training", result.training)):
        if other is not None:
            told[f"{name}'s score"] = number(other.score)
            told[f"difference to the {name}"] = number(other.difference)
    return "\n".join(["| | |", "|---|---|", *(f"| {plain(name)} | {value} |" for name, value in told.items())])


def _chart(result: Result) -> str:
    """The curve, evenly spaced as Mermaid draws it, over the line of the best constant answer."""
    if not result.curve:
        return ""
    places = np.linspace(0, 1, POINTS)
    heights = np.interp(places, [point.fraction for point in result.curve], [point.value for point in result.curve])
    low, high = reach([result])
    name = re.sub(r"[^\w %-]", "", metric(result))
    lines = (
        "xychart-beta",
        '  x-axis "fraction of units ablated" 0 --> 1',
        f'  y-axis "{name}" {low:g} --> {high:g}',
        f"  line [{', '.join(f'{height:.3f}' for height in heights)}]",
        f"  line [{', '.join([f'{result.chance:.3f}'] * POINTS)}]",
    )
    return "```mermaid\n" + "\n".join(lines) + "\n```"


def _warning(text: str) -> str:
    return f"> {plain(text)}"


def _foot(evaluation: Evaluation) -> str:
    names = (("model", evaluation.model), ("dataset", evaluation.dataset))
    return f"<sub>{evaluation.id}, " + ", ".join(f"{name} `{digest[:19]}…`" for name, digest in names) + "</sub>"
