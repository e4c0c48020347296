"""`python -m benchmarks.chaos`: classes of faults, and what became of the service. Exits with 1 if a promise broke."""

import argparse
import secrets
import sys
import traceback
from itertools import groupby
from pathlib import Path

from benchmarks.chaos import arena, report
from benchmarks.chaos.arena import Arena, Fault, Options
from benchmarks.chaos.disks import CannotMountError
from benchmarks.chaos.faults import ALL


def main() -> int:
    """Run what was asked for; 0 if every promise was kept."""
    asked = _arguments()
    wanted = [fault for fault in ALL if not asked.classes or fault.name in asked.classes]
    options = Options(asked.seed, asked.database, asked.lease, asked.seconds, asked.folder, asked.under_way)
    print(f"seed {asked.seed}, database {asked.database}, lease {asked.lease:g} s", flush=True)
    print(report.HEAD, flush=True)
    broken = 0
    for disk, faults in groupby((fault for fault in wanted if asked.database in fault.databases), lambda f: f.disk):
        try:
            with arena.opened(options, disk) as place:
                broken += sum(_played(place, fault, asked) for fault in faults)
        except CannotMountError as error:
            print(f"full-{disk}: skipped, {error}", flush=True)
        except Exception:  # one service that does not start must not hide what the others show
            traceback.print_exc()
            broken += 1
    return 1 if broken else 0


def _played(place: Arena, fault: Fault, asked: argparse.Namespace) -> int:
    count = fault.long if asked.long else fault.short
    outcome = arena.play(place, fault, count if asked.kills is None else asked.kills)
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
    about = "; ".join(f"{fault.name}: {fault.about}" for fault in ALL)
    parser.add_argument("--class", dest="classes", nargs="+", metavar="NAME", choices=names, help=about)
    parser.add_argument("--kills", type=int, metavar="N", help="faults of each class (default: its short form)")
    parser.add_argument("--long", action="store_true", help="the long form: 1,000 kills of each kill class")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of every random choice")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds; the service's own default is 30")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which a class adds no more faults")
    parser.add_argument(
        "--under-way", type=int, default=2, metavar="N", help="evaluations at a time while workers are hurt"
    )
    parser.add_argument("--folder", type=Path, help="where the service keeps its files (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=Path("chaos.jsonl"), help="file that JSON lines are appended to")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
