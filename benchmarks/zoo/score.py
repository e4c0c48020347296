"""Scores the zoo over HTTP, on the whole service as `lesion serve` starts it; a run that was stopped goes on."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from benchmarks.mnist import serve
from benchmarks.zoo import examples
from benchmarks.zoo.factors import GRID, Recipe

EVERY = 3  # epochs from one scored checkpoint to the next
AT_ONCE = 3  # evaluations under way, so that no worker waits for us
SEED = 0
# The estimator and its seed are those of every score; `passes` bounds what noise may take.
SCORE: dict[str, Any] = {"estimator": "adaptive", "precision": 0.01, "seed": SEED, "split": "train"}
NOISE = {"analyses": ["noise"], "passes": 20_000}


@dataclass(frozen=True)
class Asked:
    """One evaluation: a network's file, on its own training set, with a config."""

    key: str
    recipe: Recipe
    stage: str
    config: dict[str, Any]


def asked(recipes: list[Recipe]) -> Iterator[Asked]:
    """Everything that is to be scored; what statistics need comes first."""
    for recipe in recipes:
        if recipe.checkpoints == 0:
            yield Asked(recipe.name, recipe, "", SCORE | (NOISE if recipe.group == GRID else {}))
    for recipe in recipes:
        if recipe.group == "ladder" and recipe.corruption == 0:
            yield Asked(f"{recipe.name} relation", recipe, "", SCORE | {"analyses": ["relation"]})
    for recipe in recipes:
        for epoch in range(1, recipe.checkpoints + 1, EVERY):
            yield Asked(f"{recipe.name} {epoch:03}", recipe, f".{epoch:03}", SCORE)
    for recipe in recipes:  # a choice is made with these, on some of the first half alone
        if recipe.group == GRID and recipe.family == "mlp" and recipe.seed == 0 and recipe.decay == 0:
            yield Asked(f"{recipe.name} mean", recipe, "", SCORE | {"clamp": "mean"})


def score(folder: Path, recipes: list[Recipe], seconds: float) -> int:
    """Score what has no score yet, for so long at most. Each is a line of scores.jsonl. Returns what is left."""
    last = time.monotonic() + seconds
    path = folder / "scores.jsonl"
    known = {outcome["key"] for outcome in read(folder)}
    todo = [each for each in asked(recipes) if each.key not in known and _model(folder, each).exists()]
    if not todo:
        return 0
    if path.exists() and not path.read_bytes().endswith(b"\n"):  # a line that was cut short must not hide the next one
        with path.open("a") as file:
            file.write("\n")
    lock, done = threading.Lock(), 0

    def one(each: Asked) -> None:
        nonlocal done
        if time.monotonic() > last:
            return
        outcome = {"key": each.key, **_scored(http, folder, each)}
        with lock, path.open("a") as file:
            file.write(json.dumps(outcome) + "\n")
            done += 1
            told = outcome.get("result") or {}
            print(f"{done}/{len(todo)} {each.key}: {(told.get('score') or {}).get('value')}", flush=True)

    with ExitStack() as stack:
        base_url = stack.enter_context(serve(str(folder / "service")))
        http = stack.enter_context(httpx2.Client(base_url=base_url, timeout=300, trust_env=False))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        for _ in pool.map(one, todo):
            pass
    return len(todo) - done


def read(folder: Path) -> list[dict[str, Any]]:
    """Every outcome so far. A line that was cut short is left out, so that it is scored again."""
    path = folder / "scores.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _model(folder: Path, each: Asked) -> Path:
    return folder / "nets" / f"{each.recipe.name}{each.stage}.onnx"


def _dataset(folder: Path, recipe: Recipe) -> Path:
    """The training set of a network, with the labels that it was trained on."""
    path = folder / f"{recipe.family}-s{recipe.seed}-c{recipe.corruption:g}.npz"
    if not path.exists():
        own = examples.training(folder, recipe.family, recipe.seed, recipe.corruption)
        whole = path.with_suffix(f".{threading.get_ident()}.npz")
        np.savez(whole, x=own.x, y=own.y)
        whole.rename(path)
    return path


def _scored(http: httpx2.Client, folder: Path, each: Asked) -> dict[str, Any]:
    """`seconds` from upload to score and the `result`, or the `problem`; a service that is full is asked again."""
    start = time.perf_counter()
    while True:
        with _model(folder, each).open("rb") as model, _dataset(folder, each.recipe).open("rb") as dataset:
            files = {"model": model, "dataset": dataset}
            form = {"config": json.dumps(each.config)}
            answer = http.post("/v1/evaluations", params={"wait": 60}, files=files, data=form)
        if answer.status_code not in (429, 503):
            break
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    answer.raise_for_status()
    evaluation = answer.json()
    while evaluation["ended_at"] is None:
        evaluation = http.get(evaluation["links"]["self"], params={"wait": 60}).json()
    told = {"seconds": round(time.perf_counter() - start, 2), "problem": evaluation["problem"]}
    if "relation" in each.config.get("analyses", ()):
        told["units"] = _units(http, evaluation["links"]["self"])
    return told | {"result": evaluation["result"]}


def _units(http: httpx2.Client, path: str) -> list[dict[str, Any]]:
    """What the figure of selectivity and importance needs of each unit."""
    units = [json.loads(line) for line in http.get(f"{path}/units.jsonl").text.splitlines()]
    return [
        {
            "site": unit["site"],
            "selectivity": unit["selectivity"],
            "information": unit["information"],
            "added": unit["importance"]["cross_entropy_added"]["value"],
        }
        for unit in units
    ]
