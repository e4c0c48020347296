"""`python -m benchmarks.chaos`: classes of faults, each on a service of its own. Exits with 1 if a promise broke."""

import argparse
import secrets
import sys
import traceback
from pathlib import Path

from benchmarks.chaos import report
from benchmarks.chaos.arena import Fault, Options, play
from benchmarks.chaos.faults import ALL


def main() -> int:
    """Run what was asked for; 0 if every promise was kept."""
    asked = _arguments()
    wanted = [fault for fault in ALL if not asked.classes or fault.name in asked.classes]
    print(f"seed {asked.seed}, database {asked.database}, lease {asked.lease:g} s", flush=True)
    print(report.HEAD, flush=True)
    options = Options(asked.kills, asked.seed, asked.database, asked.lease, asked.folder)
    broken = 0
    for fault in wanted:
        if asked.database in fault.databases:
            broken += _played(fault, options, asked)
    return 1 if broken else 0


def _played(fault: Fault, options: Options, asked: argparse.Namespace) -> int:
    count = fault.long if asked.long else fault.short
    if asked.kills is not None:
        count = asked.kills
    try:
        outcome = play(fault, options, count)
    except Exception:  # one class that cannot be played must not hide the others
        traceback.print_exc()
        print(f"{fault.name}: could not be played (seed {options.seed})", flush=True)
        return 1
    print(report.line(outcome), flush=True)
    for said in outcome.said:
        print(f"    {said}", flush=True)
    for each in outcome.verdict.broken:
        print(f"    BROKEN {each}", flush=True)
    report.written(outcome, asked.out)
    return len(outcome.verdict.broken)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    names = [fault.name for fault in ALL]
    parser.add_argument("--class", dest="classes", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--kills", type=int, help="faults of each class (default: as many as its short form has)")
    parser.add_argument("--long", action="store_true", help="the long form: 1,000 kills of each kill class")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of every random choice")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds; the service's own default is 30")
    parser.add_argument("--folder", type=Path, help="where the service keeps its files (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=Path("chaos.jsonl"), help="file that JSON lines are appended to")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
