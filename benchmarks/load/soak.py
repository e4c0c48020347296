"""Thousands of small evaluations through real workers: does anything grow that should not?"""

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import psutil

from benchmarks.load.rows import evaluated
from benchmarks.load.site import MIB, Reading, Site

COUNT = 10_000
WORKERS = 3  # small evaluations wait for processes to start, more than they compute: two leave a core free
AHEAD = 20  # evaluations queued at any time
LOOK = 2.0  # seconds between samples
STEADY = 0.05  # growth per 10,000 evaluations that counts as none
FEW = 10  # samples of the second half that tell a slope


def soak(place: Site, seconds: float, count: int = COUNT, workers: int = WORKERS) -> dict[str, Any]:
    """Up to `count` evaluations, or as many as end in `seconds`; then how each process grew."""
    one = evaluated(place)
    processes = {"api": place.api, "broker": place.broker}
    processes |= {f"worker{number}": place.worker(number) for number in range(1, workers + 1)}
    samples: list[tuple[int, dict[str, Reading]]] = []
    begun, submitted, ended, failed = time.monotonic(), 0, 0, 0
    waiting: list[str] = []
    with place.client() as client:
        looked = 0.0
        while ended < count and time.monotonic() - begun < seconds:
            while submitted < count and len(waiting) < AHEAD:
                config = {"precision": 0.5, "seed": 1_000_000 + submitted}
                asked = {"model": one["model"], "dataset": one["dataset"], "config": config}
                answer = client.post("/v1/evaluations", json=asked)
                assert answer.status_code == 202, answer.text
                waiting.append(answer.json()["id"])
                submitted += 1
            told = client.get(f"/v1/evaluations/{waiting[0]}?wait=10").json()
            if told["state"] in ("queued", "running"):
                continue
            ended, failed = ended + 1, failed + (told["state"] != "succeeded")
            waiting.pop(0)
            if time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                samples.append((ended, {name: _alone(process) for name, process in processes.items()}))
    lasted = time.monotonic() - begun
    assert samples, f"no evaluation ended within {seconds:.0f} s"
    grown = {name: growth(samples, name) for name in processes}
    return {
        "ended": ended,
        "failed": failed,
        "seconds_each": round(lasted / max(ended, 1), 3),
        "along": {str(ended): _shown(readings) for ended, readings in _tenths(samples)},
        "growth_per_10k": grown,
        "flat": all(each < STEADY for both in grown.values() for each in both.values()),
    }


def _alone(process: psutil.Process) -> Reading:
    """A process and the ones it keeps; not those that live for one evaluation."""
    kept = [each for each in (process, *process.children(recursive=True)) if "worker.sandbox" not in _command(each)]
    found = [reading for each in kept if (reading := _one(each)) is not None]
    return Reading(
        sum(each.rss for each in found), sum(each.descriptors for each in found), sum(each.cpu for each in found)
    )


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "worker.sandbox"


def _one(process: psutil.Process) -> Reading | None:
    try:
        times = process.cpu_times()
        return Reading(process.memory_info().rss, process.num_fds(), times.user + times.system)
    except psutil.Error:
        return None


def growth(samples: list[tuple[int, dict[str, Reading]]], name: str) -> dict[str, float]:
    """Share by which a process grows per 10,000 evaluations, by a line through the second half of the samples."""
    half = samples[len(samples) // 2 :]
    grown = {}
    for what in ("rss", "descriptors"):
        values = np.array([asdict(each[name])[what] for _, each in half], float)
        counts = np.array([count for count, _ in half], float)
        slope = np.polyfit(counts, values, 1)[0] if len(half) >= FEW and counts[-1] > counts[0] else 0.0
        grown[what] = round(float(slope * 10_000 / values.mean()), 4)
    return grown


def _tenths(samples: list[tuple[int, dict[str, Reading]]]) -> list[tuple[int, dict[str, Reading]]]:
    """The first sample, the last, and nine between."""
    places = np.linspace(0, len(samples) - 1, 11).round().astype(int)
    return [samples[place] for place in np.unique(places)]


def _shown(readings: dict[str, Reading]) -> dict[str, float]:
    shown: dict[str, float] = {f"{name}_mib": round(each.rss / MIB, 1) for name, each in readings.items()}
    return shown | {f"{name}_fds": each.descriptors for name, each in readings.items()}
