"""docs/models.md and docs/models.csv, from pairs and what Lesion made of them; and where the two disagree."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.gallery.pairs import Pair

DOCS = Path(__file__).parents[2] / "docs"
APART = 2  # right answers by which Lesion's count may differ: of rounding, where two classes are nearly equal
HEAD = ["model", "exporter", "opset", "sites", "units", "intact", "outside", "score", "passes", "seconds"]
ABOUT = """# Models that were tried

Real models, in the forms that people save them in, on real data: what Lesion finds in each, and how it scores. Made by
`python -m benchmarks.gallery` (its docstring says how to make it again) on {cores} cores without a GPU; every pair went
up over HTTP as the files that it consists of. The same figures stand in [models.csv](models.csv).

- **sites, units**: as found. All equal what was counted by hand, where a count is given below the table.{wrong}
- **intact**: accuracy A(0) by Lesion. **outside**: the accuracy measured without Lesion, on all examples.
- **score**: with its 95 % interval, of scope `network`, clamp `zero`, seed 0. Below 0, the network is right less often
  than always giving the most frequent answer would be. **seconds**: from upload to score.
"""
Outcomes = Mapping[str, Mapping[str, Any]]


def write(pairs: Sequence[Pair], outcomes: Outcomes, docs: Path = DOCS) -> list[str]:
    """Write both files; returns a sentence for each disagreement."""
    done = [pair for pair in pairs if pair.name in outcomes]
    wrong = [sentence for pair in done for sentence in disagreements(pair, outcomes[pair.name])]
    told = f" Where not, it is said: {len(wrong)}." if wrong else ""
    text = ABOUT.format(cores=os.cpu_count(), wrong=told)
    for family, members in groupby(done, key=lambda pair: pair.family):
        text += _section(family, list(members), outcomes)
    (docs / "models.md").write_text(text + "".join(f"\n{each}\n" for each in wrong))
    with (docs / "models.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["family", "dataset", "examples", "outside_by", *HEAD, "low", "high"])
        rows.writerows(_numbers(pair, outcomes[pair.name]) for pair in done)
    return wrong


def line(pair: Pair, outcome: Mapping[str, Any]) -> str:
    """A pair's row, for the terminal."""
    return "  ".join(_row(pair, outcome)) + "".join(f"\n    {each}" for each in _said(outcome))


def disagreements(pair: Pair, outcome: Mapping[str, Any]) -> list[str]:
    """Where Lesion and what is known apart from it differ, a sentence each."""
    found, result = outcome["found"], _result(outcome)
    wrong = []
    sites = None if found is None else (len(found["sites"]), sum(site["units"] for site in found["sites"]))
    if pair.sites is not None and sites != (pair.sites, pair.units):
        wrong.append(f"{pair.name}: {sites} sites and units were found, {(pair.sites, pair.units)} counted by hand.")
    if result is None:
        wrong.append(f"{pair.name}: no result. {' '.join(_said(outcome))}")
    elif pair.outside is not None:
        apart = abs(result["intact"]["value"] - pair.outside) * outcome["examples"]
        if apart > APART + 0.5:
            wrong.append(f"{pair.name}: {apart:.0f} right answers more or less than outside Lesion.")
        if result["score"] is None:
            wrong.append(f"{pair.name}: no score. {result['score_refused']}")
    return wrong


def _section(family: str, members: list[Pair], outcomes: Outcomes) -> str:
    rows = [_row(pair, outcomes[pair.name]) for pair in members]
    text = f"\n## {family}\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n"
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    told = [_dataset(pair, outcomes[pair.name]) for pair in members]
    told += [f"Counted by hand: {each}." for each in dict.fromkeys(pair.counted for pair in members if pair.counted)]
    told += _told_once([(f"{pair.note}.", pair.form) for pair in members if pair.note])
    told += _equal(members, outcomes)
    told += _told_once([(each, pair.form) for pair in members for each in _said(outcomes[pair.name])])
    return text + "\n" + "".join(f"- {each}\n" for each in dict.fromkeys(told))


def _told_once(sentences: list[tuple[str, str]]) -> list[str]:
    """Each sentence once, behind the forms that it is about."""
    forms: dict[str, list[str]] = {}
    for sentence, form in sentences:
        forms.setdefault(sentence, []).append(form)
    return [f"{'; '.join(about)}: {sentence}" for sentence, about in forms.items()]


def _dataset(pair: Pair, outcome: Mapping[str, Any]) -> str:
    config = f", config `{json.dumps(pair.config)}`" if pair.config else ""
    examples = f"{outcome['examples']:,} examples" if outcome.get("examples") else "refused"
    outside = "" if pair.outside is None else f"; outside: {pair.by}"
    return f"`{pair.dataset}`: {examples}{config}{outside}."


def _equal(members: list[Pair], outcomes: Outcomes) -> list[str]:
    """Whether scores are equal where the arithmetic is."""
    told = []
    for alike in dict.fromkeys(pair.alike for pair in members if pair.alike):
        results = [_result(outcomes[pair.name]) for pair in members if pair.alike == alike]
        scored = [result for result in results if result and result["score"]]
        if len(scored) > 1:
            scores = [result["score"]["value"] for result in scored]
            same = all((each["curve"], each["score"]) == (scored[0]["curve"], scored[0]["score"]) for each in scored)
            spread = f"scores that differ by {max(scores) - min(scores):.2g} at most"
            how = "the same curve and the same score, to the last digit" if same else spread
            told.append(f"The {len(scored)} forms whose arithmetic is the same have {how}.")
    return told


def _row(pair: Pair, outcome: Mapping[str, Any]) -> list[str]:
    found, result = outcome["found"] or {}, _result(outcome) or {}
    sites = found.get("sites", [])
    score, cost = result.get("score"), result.get("cost", {})
    return [
        pair.form,
        found.get("producer") or "unnamed",
        str(found.get("opset", "")),
        str(len(sites)),
        f"{sum(site['units'] for site in sites):,}",
        f"{result['intact']['value']:.4f}" if result else "none",
        "none" if pair.outside is None else f"{pair.outside:.4f}",
        "refused" if score is None else f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]",
        f"{cost.get('passes', 0):,}",
        f"{outcome['seconds']:.1f}",
    ]


def _numbers(pair: Pair, outcome: Mapping[str, Any]) -> list[Any]:
    """A pair's row in the CSV file; what there is not is empty."""
    found, result = outcome["found"] or {}, _result(outcome) or {}
    score = result.get("score") or {}
    return [
        *(pair.family, pair.dataset, outcome.get("examples"), pair.by),
        *(pair.form, found.get("producer"), found.get("opset")),
        *(len(found["sites"]) if found else None, sum(site["units"] for site in found.get("sites", [])) or None),
        *(result.get("intact", {}).get("value"), pair.outside),
        *(score.get("value"), result.get("cost", {}).get("passes"), round(outcome["seconds"], 1)),
        *(score.get("low"), score.get("high")),
    ]


def _said(outcome: Mapping[str, Any]) -> list[str]:
    """What Lesion says to a pair besides its figures."""
    result, problem = _result(outcome), outcome.get("problem") or (outcome.get("evaluation") or {}).get("problem")
    said = [] if result is None else [result["score_refused"], *result["warnings"]]
    if problem:
        said.append(f"{problem.get('title')}: {problem.get('detail')}")
    return [" ".join(each.split()) for each in said if each]


def _result(outcome: Mapping[str, Any]) -> dict[str, Any] | None:
    result: dict[str, Any] | None = (outcome.get("evaluation") or {}).get("result")
    return result
