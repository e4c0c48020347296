"""Everyone on every question, in turns. What was timed goes to times.jsonl line by line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed.questions import FORMS, SIZES, WORKLOADS, Workload

RIVALS = ("hooks", "runtime", "captum", "nnsight")
LONGEST = 40.0  # seconds of a grid's chunks; what is left of more is taken evenly
SPREAD = 8  # orderings that the spread of one's auc is told from


def run(folder: Path, rivals: str, only: list[str], rounds: int, seconds: float) -> None:
    """Time what is not timed yet."""
    times = folder / "times.jsonl"
    done = {_key(each) for each in told(times) if "failed" not in each}
    for name in only or WORKLOADS:
        work = WORKLOADS[name]
        _units(folder, rivals, name)
        for number in range(rounds):
            for question in _questions(work):
                asked = {**question, "workload": name, "round": number}
                if _key(asked) in done or (number and question.get("once")):
                    continue
                found = _ask(folder, rivals, asked, seconds)
                with times.open("a") as file:
                    file.write(json.dumps({**asked, **found}) + "\n")


def told(times: Path) -> list[dict[str, Any]]:
    """All that was timed."""
    return [json.loads(line) for line in times.read_text().splitlines()] if times.exists() else []


def _key(asked: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(asked.get(name) for name in ("workload", "round", "who", "form", "examples"))


def _questions(work: Workload) -> Iterator[dict[str, Any]]:
    yield {"who": "unmasked", "form": "network"}
    for form in FORMS:
        for who in RIVALS:
            if (who, form) != ("captum", "network"):  # it asks about one layer at a time
                yield {"who": who, "form": form}
        yield {"who": "grid", "form": form, "examples": work.whole[form]}
    for form in FORMS[: 1 if work.slow else 2]:
        for examples in SIZES:
            if work.fits(examples):
                once = {"once": True} if examples > SIZES[1] or work.slow else {}
                yield {"who": "adaptive", "form": form, "examples": examples, **once}
    yield {"who": "spread", "form": "network", "examples": work.part, "once": True}
    if not work.slow:
        yield {"who": "spread", "form": "layer", "examples": max(work.part // 8, 8), "once": True}


def _ask(folder: Path, rivals: str, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    who, form, name = asked["who"], asked["form"], asked["workload"]
    if who in (*RIVALS, "unmasked"):
        return _answer(
            [rivals, "-P", "-m", "benchmarks.speed.rivals", str(folder), who, name, form, "--seconds", str(seconds)]
        )
    estimator = "adaptive" if who == "adaptive" else "grid"
    command = [sys.executable, "-P", "-m", "benchmarks.speed.lesion", str(folder), estimator, name, form]
    command += ["--examples", str(asked["examples"]), "--seed", str(asked["round"])]
    if who == "spread":
        command += ["--orderings", str(SPREAD), "--seconds", "0"]
    elif who == "grid":
        command += ["--orderings", "2", "--seconds", str(LONGEST)]  # fewer are no grid
    return _answer(command)


def _answer(command: list[str]) -> dict[str, Any]:
    print(" ".join(command[3:]), flush=True)
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=_here())
    if ran.returncode:
        return {"failed": (ran.stderr.strip().splitlines() or ["without a word"])[-1][:300]}
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def _here() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "2"}


def _units(folder: Path, rivals: str, name: str) -> None:
    """How many units each site has; asked of the loop, whose places they are."""
    path = folder / "units.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if name not in known:
        found = _answer(
            [rivals, "-P", "-m", "benchmarks.speed.rivals", str(folder), "hooks", name, "network", "--seconds", "0"]
        )
        path.write_text(json.dumps({**known, name: found["units"]}))
