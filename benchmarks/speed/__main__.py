"""Lesion beside what people write themselves: `python -m benchmarks.speed make FOLDER`, then `run`, then `tell`.

`make` trains the networks and exports them; `run` times everyone on every question, each in its own process, in turns,
so that a machine that gets slower does so for all; `tell` writes docs/speed.md, docs/speed.csv and the plot. `run`
goes on where it was cut off: what was timed is in FOLDER/times.jsonl. Those that Lesion is held against live in a venv
of their own (`--rivals`, a python with benchmarks/speed/requirements.txt).
"""

import argparse
from math import inf
from pathlib import Path


def main() -> None:
    """Make, run or tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["make", "run", "tell"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rivals", default=".venv-rivals/bin/python", help="the python of those it is held against")
    parser.add_argument("--only", nargs="*", default=[], help="these workloads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="that each is timed in each round")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="datasets of `adaptive`")
    parser.add_argument("--minutes", type=float, default=inf, help="after which nothing more is begun")
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[2] / "docs")
    asked = parser.parse_args()
    # Imported here: each step has libraries of its own.
    if asked.step == "make":
        from benchmarks.speed.make import make

        make(asked.folder, asked.only)
    elif asked.step == "run":
        from benchmarks.speed.rounds import Pace, run

        pace = Pace(asked.rounds, asked.seconds, asked.minutes, asked.sizes)
        run(asked.folder, asked.rivals, asked.only, pace)
    else:
        from benchmarks.speed.table import tell

        tell(asked.folder, asked.docs)


if __name__ == "__main__":
    main()
