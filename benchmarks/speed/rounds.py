"""Everyone on every question, in turns. What was timed goes to times.jsonl line by line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from benchmarks.speed.questions import FORMS, SIZES, WORKLOADS, Workload

RIVALS = ("hooks", "runtime", "captum", "nnsight")
CHUNKS, WHOLE = 20.0, 20.0  # seconds of a grid's chunks and of the reference, for each second of a loop
COARSE = 0.02  # what slow networks are held against the reference at: a fourth of the trials
SUBMITTED = {"workload": "mnist", "who": "submitted", "form": "network"}


@dataclass(frozen=True)
class Pace:
    """How long all of it may take. seconds: of a loop in a round. minutes: after which nothing more is begun."""

    rounds: int
    seconds: float
    minutes: float = inf
    sizes: Sequence[int] = SIZES


def run(folder: Path, rivals: str, only: list[str], pace: Pace) -> None:
    """Time what is not timed yet: all networks in the first round, then all in the second."""
    times, over = folder / "times.jsonl", time.monotonic() + 60 * pace.minutes
    done = {_key(each) for each in told(times) if "failed" not in each}
    for number in range(pace.rounds):
        asked = [] if only else [SUBMITTED]
        for name in only or WORKLOADS:
            _units(folder, rivals, name)
            asked += [{**each, "workload": name} for each in _questions(WORKLOADS[name], pace.sizes)]
        for question in asked:
            line = {**question, "round": number}
            if _key(line) in done or (number and question.get("once")):
                continue
            if time.monotonic() > over:
                print("the minutes are over; the same command goes on from here", flush=True)
                return
            began = time.monotonic()
            line |= _ask(folder, rivals, line, pace.seconds)
            print(f"    {time.monotonic() - began:.0f} s {line.get('failed', '')}", flush=True)
            with times.open("a") as file:
                file.write(json.dumps(line) + "\n")


def told(times: Path) -> list[dict[str, Any]]:
    """All that was timed."""
    return [json.loads(line) for line in times.read_text().splitlines()] if times.exists() else []


def _key(asked: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(asked.get(name) for name in ("workload", "round", "who", "form", "examples", "precision"))


def _questions(work: Workload, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """What is asked about a network, most wanted first; layers and single units come after all of `network`."""
    yield {"who": "unmasked", "form": "network"}
    for form in FORMS:
        for who in RIVALS:
            if (who, form) != ("captum", "network"):  # it asks about one layer at a time
                yield {"who": who, "form": form}
        yield {"who": "grid", "form": form, "examples": work.whole[form]}
        if form in work.reference:
            yield {"who": "reference", "form": form, "examples": work.reference[form], "once": True}
        if form == "importance" or (form == "layer" and work.slow):
            continue
        if form == "network" and work.reference[form] not in SIZES:
            yield {"who": "adaptive", "form": form, "examples": work.reference[form], "precision": COARSE, "once": True}
        for examples in sizes:
            if work.fits(examples):
                once = {"once": True} if examples > SIZES[1] or work.slow else {}
                yield {"who": "adaptive", "form": form, "examples": examples, **once}


def _ask(folder: Path, rivals: str, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    who, form, name = asked["who"], asked["form"], asked["workload"]
    if who in (*RIVALS, "unmasked"):
        return _answer(rivals, "rivals", folder, who, name, form, "--seconds", seconds)
    if who == "submitted":
        return _answer(sys.executable, "submitted", folder)
    told = [folder, name, form] if who == "reference" else [folder, who, name, form, "--seed", asked["round"]]
    told += ["--examples", asked["examples"]]
    if who == "reference":
        told += ["--seconds", WHOLE * seconds]
    elif who == "grid":
        told += ["--orderings", 2, "--seconds", CHUNKS * seconds]  # fewer are no grid
    elif "precision" in asked:
        told += ["--precision", asked["precision"]]
    return _answer(sys.executable, "reference" if who == "reference" else "lesion", *told)


def _answer(python: str, module: str, *asked: Any) -> dict[str, Any]:
    """What a module of this package tells on its last line."""
    command = [python, "-P", "-m", f"benchmarks.speed.{module}", *map(str, asked)]
    print(" ".join(command[3:]), flush=True)
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=_here())
    if ran.returncode:
        return {"failed": (ran.stderr.strip().splitlines() or ["without a word"])[-1][:300]}
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "2"}


def _units(folder: Path, rivals: str, name: str) -> None:
    """How many units each site has; asked of the loop, whose places they are."""
    path = folder / "units.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if name not in known:
        found = _answer(rivals, "rivals", folder, "hooks", name, "network", "--seconds", 0)
        path.write_text(json.dumps({**known, name: found["units"]}))
