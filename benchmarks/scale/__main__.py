"""`make scale`, or `python -m benchmarks.scale [--database postgresql] [--workers 1 2 4 8] [--chunk 0.5]`.

Records a real evaluation, then replays its chunks with more and more workers: two cores cannot compute for eight, but
can keep their books. What it shows: speed-up, what a chunk costs beside its computing, and whether small evaluations
wait for a large one.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.scale import fleet
from benchmarks.scale.tape import Tape, record

LARGE = {"limits": {"workers": 64}}
SMALL = {"precision": 0.1}
COUNT = 8  # small evaluations beside a large one


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument(
        "--precision", type=float, default=0.004, help="of the large evaluation: how many chunks it has"
    )
    parser.add_argument("--chunk", type=float, default=0.5, help="seconds that a chunk is made to take")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    tape = record(asked.precision)
    pace = asked.chunk / statistics.fmean(tape.seconds)
    print(
        f"recorded: {len(tape.seconds)} chunks of {statistics.fmean(tape.seconds):.3f} s, pace {pace:.1f}", flush=True
    )
    found: dict[str, Any] = {"chunk_seconds": asked.chunk, "database": asked.database}
    found["speedup"] = speedups(tape, pace, asked.workers, asked.database, asked.precision)
    found["fairness"] = fairness(tape, pace, 4, asked.database, asked.precision)
    found["small"] = throughput(tape, asked.database)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


def speedups(tape: Tape, pace: float, workers: list[int], database: str, precision: float) -> list[dict[str, Any]]:
    """One evaluation, shared by more and more workers."""
    rows: list[dict[str, Any]] = []
    for count in workers:
        with fleet.running(tape, count, pace, database) as place:
            [seconds] = place.ended([place.submit({"precision": precision, **LARGE})]).values()
            spent = place.stop()
        chunks, working = sum(each["chunks"] for each in spent), sum(each["working"] for each in spent)
        rest = working - sum(each["computing"] for each in spent)
        row = {
            "workers": count,
            "seconds": round(seconds, 2),
            "chunks": chunks,
            "ms_a_chunk": round(1000 * rest / chunks, 1),
        }
        row["speedup"] = round((rows[0]["seconds"] if rows else seconds) / seconds, 2)
        rows.append(row)
        print(row, flush=True)
    return rows


def fairness(tape: Tape, pace: float, workers: int, database: str, precision: float) -> dict[str, Any]:
    """Small evaluations that come while a large one has all workers, against the same ones alone."""
    with fleet.running(tape, workers, pace, database) as place:
        alone = place.ended([place.submit(SMALL | {"seed": 0}) for _ in range(COUNT)])
        large_alone = place.ended([place.submit({"precision": precision, **LARGE})])
        large = place.submit({"precision": precision, **LARGE})
        time.sleep(4 * pace * statistics.fmean(tape.seconds))
        beside = place.ended([place.submit(SMALL | {"seed": 0}) for _ in range(COUNT)])
        after = place.ended([large])
    told = {
        "workers": workers,
        "small_alone": spread(alone),
        "small_beside_large": spread(beside),
        "large_alone": round(max(large_alone.values()), 2),
        "large_beside_small": round(max(after.values()), 2),
    }
    print(told, flush=True)
    return told


def throughput(tape: Tape, database: str, count: int = 400, workers: int = 2) -> dict[str, Any]:
    """Small evaluations that take no time, and open no model: what the books themselves bear."""
    with fleet.running(replace(tape, opening=0.0), workers, 0.0, database) as place:
        ids = [place.submit(SMALL | {"seed": 0}) for _ in range(count)]
        began = time.monotonic()
        place.ended(ids)
        seconds = time.monotonic() - began
    told = {"workers": workers, "evaluations": count, "a_second": round(count / seconds, 1)}
    print(told, flush=True)
    return told


def spread(seconds: dict[str, float]) -> dict[str, float]:
    """Median and maximum."""
    return {"median": round(statistics.median(seconds.values()), 2), "max": round(max(seconds.values()), 2)}


if __name__ == "__main__":
    main()
