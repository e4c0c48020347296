"""Times Lesion on one question, in a process of its own with its own children: `python -m benchmarks.speed.lesion ...`.

It goes the way of a worker: the model and the dataset out of a store, both read in sandboxed children, chunk after
chunk computed in one, counted here, until the stop rule is content. Only the database's row is left out.
"""

import argparse
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import memory
from benchmarks.speed.questions import FRACTIONS, MET, WORKLOADS
from service import schemas
from service.schemas import Config
from service.settings import Settings
from service.store.blobs import Blobs, open_blobs
from service.store.evaluations import Claim
from service.store.tenants import DEFAULT
from worker.ablation import trials
from worker.computing import Computing
from worker.course import FIRST, Course

GOLDEN = 0.6180339887498949
DAY = 86_400.0
# In a process of its own, so that what is measured has not had the examples in its memory.
SAVE = """import sys; from pathlib import Path; from benchmarks.speed import data
folder, name, many, place = sys.argv[1:]
data.save(Path(place) / "data.npz", name, Path(folder), int(many))"""


def main() -> None:
    """Measure and tell."""
    importlib.import_module("scipy.optimize")  # and not at the first interval, as in a worker that has had one
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("estimator", choices=["grid", "adaptive"])
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("form", choices=["network", "layer", "importance"])
    parser.add_argument("--seconds", type=float, default=10.0, help="of chunks; 0 is all of them")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--orderings", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", type=float, default=0.01, help="of `adaptive`")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(
            [sys.executable, "-P", "-c", SAVE, str(asked.folder), asked.workload, str(asked.examples), place],
            check=True,
        )
        print(json.dumps(measured(asked, Path(place))))


def config(asked: Any, units: int = 0) -> dict[str, Any]:
    """What is asked of Lesion."""
    wanted: dict[str, Any] = {
        "seed": asked.seed,
        "scope": "layer" if asked.form == "layer" else "network",
        "limits": {"seconds": DAY},
    }
    if asked.form == "importance":
        return {**wanted, "precision": 0.1, "analyses": ["importance"], "passes": units * MET}
    if asked.estimator == "grid":
        return {**wanted, "estimator": "grid", "orderings": asked.orderings, "fractions": FRACTIONS}
    return {**wanted, "precision": asked.precision}


def measured(asked: Any, place: Path) -> dict[str, Any]:
    """Passes and seconds: to open, of the intact pass, and of the chunks that there was time for."""
    units = json.loads((asked.folder / "units.json").read_text()).get(asked.workload, [0])
    wanted = config(asked, sum(units))
    with _computing(asked.folder / f"{asked.workload}.onnx", place / "data.npz", wanted, place) as computing:
        began = time.perf_counter()
        course = Course(computing.open())
        computing.load(course)
        opened = time.perf_counter()
        with memory.watched(computing.pid or 0) as most:
            course.take({0: schemas.canonical(dict(computing.compute(course, 0)))})
            intact = time.perf_counter()
            told = {"open_seconds": opened - began, "intact_seconds": intact - opened}
            if asked.form == "importance":
                told |= _jobs(computing, course, asked.seconds)
            elif asked.estimator == "grid":
                told |= _grid(computing, course, asked.seconds)
            else:
                told |= _adaptive(computing, course)
        peaks = {"worker_mib": memory.peak(os.getpid()), "child_mib": memory.peak(computing.pid or 0)}
        parts = {"anonymous_mib": most.anonymous, "mapped_mib": most.mapped}
        return {**told, **peaks, **parts, "peak_mib": sum(peaks.values())}


def _adaptive(computing: Computing, course: Course) -> dict[str, Any]:
    began = time.perf_counter()
    while not course.decided:
        course.take({course.next: schemas.canonical(dict(computing.compute(course, course.next)))})
    result = course.result()
    assert result.auc is not None
    return {
        "passes": result.cost.passes,
        "seconds": time.perf_counter() - began,
        "auc": [result.auc.value, result.auc.low, result.auc.high],
        "score": None if result.score is None else [result.score.value, result.score.low, result.score.high],
    }


def _grid(computing: Computing, course: Course, seconds: float) -> dict[str, Any]:
    """Whole orderings in order if there is time for all; else chunks evenly from all of them."""
    many = trials.chunks(course.design) or 0
    total = course.design.groups * course.design.orderings * course.design.fractions * course.design.examples
    order = range(many) if seconds == 0 else np.argsort((np.arange(many) + 1) * GOLDEN % 1).tolist()
    passes, spent = 0, 0.0
    for index in order:
        began = time.perf_counter()
        payload = computing.compute(course, FIRST + index)
        spent += time.perf_counter() - began
        passes += int(np.sum(payload["trials"]))
        if seconds and spent > seconds:
            break
    return {"passes": passes, "needed": total, "seconds": spent}


def _jobs(computing: Computing, course: Course, seconds: float) -> dict[str, Any]:
    """Chunks of `importance`, evenly from all of them. passes: pairs of a unit and an example that were answered."""
    assert course.survey is not None
    jobs = course.survey.jobs
    order = np.argsort((np.arange(len(jobs)) + 1) * GOLDEN % 1).tolist()
    pairs, ran, spent = 0, 0, 0.0
    for place in order:
        began = time.perf_counter()
        payload = computing.compute(course, FIRST + place)
        spent += time.perf_counter() - began
        pairs += len(jobs[place].units) * (jobs[place].stop - jobs[place].start)
        ran += payload["passes"]
        if seconds and spent > seconds:
            break
    needed = sum(len(job.units) * (job.stop - job.start) for job in jobs)
    return {"passes": pairs, "ran": ran, "needed": needed, "seconds": spent}


@contextmanager
def _computing(model: Path, dataset: Path, asked: dict[str, Any], place: Path) -> Iterator[Computing]:
    blobs = open_blobs(f"file://{place}/blobs")
    digests = _kept(blobs, place, "model", model), _kept(blobs, place, "dataset", dataset)
    dataset.unlink()
    wanted = Config.model_validate(asked)
    claim = Claim("ev_1", DEFAULT, 1, "worker", *digests, wanted.model_dump_json(), 0.0)
    folder = place / "scratch"
    folder.mkdir()
    computing = Computing(Settings(child_seconds=3600), blobs, claim, wanted, folder)
    try:
        yield computing
    finally:
        computing.close()


def _kept(blobs: Blobs, place: Path, kind: Any, path: Path) -> str:
    """Store an upload; its digest."""
    with path.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    copy = place / "upload"
    shutil.copyfile(path, copy)
    blobs.put(DEFAULT, kind, digest, copy)
    return digest


if __name__ == "__main__":
    main()
