"""The long form: so many cases of each format, in threads, each over children of its own; what failed is kept."""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from benchmarks.fuzz import campaign, cases
from benchmarks.fuzz.campaign import Outcome, Tally
from benchmarks.fuzz.seeds import Seed

PROGRESS_SECONDS = 60.0


def main() -> None:
    """Run, tell, and end with 1 if anything failed."""
    ask = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    ask.add_argument("--format", nargs="+", choices=cases.FORMATS, default=cases.FORMATS)
    ask.add_argument("--mutations", type=int, default=20_000, help="cases of each format")
    ask.add_argument("--start", type=int, default=0, help="the first case's number, to go on where a run ended")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    ask.add_argument("--keep", type=Path, default=Path("fuzz-found"), help="folder for the files that failed")
    ask.add_argument("--reasons", type=int, default=0, help="show so many of the reasons for refusals")
    asked = ask.parse_args()
    failed = 0
    for form in asked.format:
        print(f"{form}: seed {asked.seed}, cases {asked.start} to {asked.start + asked.mutations - 1}", flush=True)
        started = time.monotonic()
        tallies = _spread(
            form, asked.seed, range(asked.start, asked.start + asked.mutations), asked.processes, asked.keep
        )
        failed += _told(form, tallies, time.monotonic() - started, asked.reasons)
    raise SystemExit(1 if failed else 0)


def _spread(form: str, seed: int, numbers: range, processes: int, keep: Path) -> list[Tally]:
    cases.corpus(form)

    def told(number: int, made: Seed, outcome: Outcome) -> None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{form}-{seed}-{number}").write_bytes(made.data)
        print(f"  FAILED {made.name}: {outcome.fault}", flush=True)

    count = 1 if form in ("json", "form") else processes
    shares: Sequence[range] = [numbers[place::count] for place in range(count)]
    tallies = [Tally(form) for _ in shares]
    with ThreadPoolExecutor(count) as pool:
        pairs = zip(tallies, shares, strict=True)
        runs = [pool.submit(campaign.run, tally, seed, share, told) for tally, share in pairs]
        while wait(runs, PROGRESS_SECONDS).not_done:
            done, failed = sum(each.total for each in tallies), sum(len(each.faults) for each in tallies)
            print(f"  {done:,} of {len(numbers):,}, {failed} failed", flush=True)
        for run in runs:
            run.result()
    return tallies


def _told(form: str, tallies: list[Tally], seconds: float, reasons: int) -> int:
    whole = Tally(form)
    for each in tallies:
        whole.words += each.words
        whole.reasons += each.reasons
        whole.shallow += each.shallow
        whole.slowest, whole.largest = max(whole.slowest, each.slowest), max(whole.largest, each.largest)
        whole.faults += each.faults
    deep = 100 * (1 - whole.shallow / max(whole.total, 1))
    print(
        f"  {whole.total:,} cases in {seconds:.0f} s, {len(whole.faults)} failed; {deep:.0f} % came past the outermost "
        f"parser, for {len(whole.reasons)} different reasons\n"
        f"  most processor time {whole.slowest[0]:.1f} s (case {whole.slowest[1]}), "
        f"most memory {whole.largest[0] / 1024**2:.0f} MiB (by case {whole.largest[1]})"
    )
    print("  " + ", ".join(f"{word} {count:,}" for word, count in whole.words.most_common()))
    for reason, count in whole.reasons.most_common(reasons):
        print(f"    {count:6,}  {reason}")
    return len(whole.faults)


if __name__ == "__main__":
    main()
