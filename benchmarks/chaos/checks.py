"""The promises, asked once a class is over: nothing lost, doubled, stale or left behind."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.chaos.servers import NotInTimeError, until
from benchmarks.chaos.stack import Stack
from benchmarks.chaos.watch import Watch
from benchmarks.chaos.work import Accepted, Caller, Expected
from service.schemas import ENDED

END_SECONDS = 300.0  # for all that is still under way once the last fault is over
TIDY_SECONDS = 60.0  # for what is left behind to be swept away


@dataclass
class Verdict:
    """What a class of faults did to the service."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """Every promise that was broken, in a sentence each."""
        named = {"lost": self.lost, "doubled": self.doubled, "stale": self.stale, "orphan": self.orphans}
        found = [f"{name}: {each}" for name, all_ in named.items() for each in all_]
        return found + [f"fault: {each}" for each in self.faults]


def verdict(stack: Stack, watch: Watch, caller: Caller, expected: Mapping[str, Expected]) -> Verdict:
    """Wait for the end of all that was accepted, and hold it against what was promised."""
    found = Verdict()
    accepted = caller.ledger.accepted
    try:
        until(lambda: watch.unended() == 0, "all evaluations end", END_SECONDS, 0.2)
    except NotInTimeError as error:
        found.lost.append(f"{error}: {_unended(watch)}")
    rows = {row.id: row for row in watch.rows("SELECT id, state, result, problem, epoch FROM evaluations")}
    for each in accepted.values():
        row = rows.get(each.id)
        if row is None or row.state not in ENDED:
            found.lost.append(f"{each.id} ({each.case}) is {'gone' if row is None else row.state}")
        else:
            _outcome(each, row.state, row.result, row.problem, expected[each.case], found)
            if row.state == "succeeded" and not (found.lost or found.stale):
                _chunks(each, row.epoch, watch, expected[each.case], found)
    _doubled(watch, accepted, found)
    _left_behind(stack, watch, found)
    found.faults += caller.ledger.faults
    return found


def _unended(watch: Watch) -> str:
    rows = watch.rows("SELECT id, state, epoch FROM evaluations WHERE state IN ('queued', 'running')")
    return ", ".join(f"{row.id} {row.state} epoch {row.epoch}" for row in rows[:5])


def _outcome(
    each: Accepted, state: str, result: str | None, problem: str | None, expected: Expected, found: Verdict
) -> None:
    """Did it end as it must, with the bytes of an undisturbed run?"""
    if state == "cancelled":
        if not each.cancelled:
            found.lost.append(f"{each.id} was cancelled by nobody")
    elif state == "failed":
        kind = json.loads(problem or "{}").get("type", "")
        if each.may_fail_as is None or not kind.endswith(each.may_fail_as):
            found.lost.append(f"{each.id} ({each.case}) failed: {problem}")
    elif each.cancelled:
        found.doubled.append(f"{each.id} was cancelled, and {state} all the same")
    elif each.may_fail_as is None and result != expected.with_trials(each.trials):
        found.stale.append(f"{each.id} ({each.case}) has other bytes than an undisturbed run: {result}")


def _chunks(each: Accepted, epoch: int, watch: Watch, expected: Expected, found: Verdict) -> None:
    """Exactly the chunks of an undisturbed run, each with its bytes, none from a claim that never was."""
    rows = watch.rows("SELECT idx, epoch, payload FROM chunks WHERE evaluation = :id ORDER BY idx", id=each.id)
    if [row.idx for row in rows] != list(range(len(expected.chunks))):
        found.stale.append(f"{each.id} ({each.case}) has the chunks {[row.idx for row in rows]}")
    elif [row.payload for row in rows] != expected.chunks:
        found.stale.append(f"{each.id} ({each.case}) has a chunk with other bytes")
    if any(not 1 <= row.epoch <= epoch for row in rows):
        found.stale.append(f"{each.id} ({each.case}) has a chunk of an epoch that never was")


def _doubled(watch: Watch, accepted: Mapping[str, Accepted], found: Verdict) -> None:
    """One row for each request, however often it was repeated; none that nobody asked for."""
    ids = [row.id for row in watch.rows("SELECT id FROM evaluations")]
    found.doubled += [f"{each} was asked for by nobody" for each in set(ids) - set(accepted)]
    prints = Counter(
        row.fingerprint for row in watch.rows("SELECT fingerprint FROM evaluations WHERE state = 'succeeded'")
    )
    found.doubled += [f"{name} was computed {count} times" for name, count in prints.items() if count > 1]


def _left_behind(stack: Stack, watch: Watch, found: Verdict) -> None:
    """Whatever is there at the end must be of use to somebody; sweeping may take a moment."""
    deadline = time.monotonic() + TIDY_SECONDS
    while (left := _left(stack, watch)) and time.monotonic() < deadline:
        time.sleep(0.5)
    found.orphans += left


def _left(stack: Stack, watch: Watch) -> list[str]:
    scratch = stack.settings.scratch
    # A killed Celery leaves an empty folder pymp-…; what is ours leaves nothing.
    temporary = [path for path in (stack.folder / "tmp").iterdir() if not path.name.startswith("pymp-")]
    files = [*scratch.glob("uploads/*"), *scratch.glob("work-*"), *temporary]
    left = [f"file {path.relative_to(stack.folder)}" for path in files]
    left += watch.orphans()
    left += [f"claim {row.evaluation}/{row.epoch}" for row in watch.rows("SELECT evaluation, epoch FROM claims")]
    held = watch.rows(
        "SELECT c.evaluation, c.idx, e.state FROM chunks c JOIN evaluations e ON e.id = c.evaluation "
        "WHERE c.payload IS NULL AND e.state NOT IN ('queued', 'running')"
    )
    left += [f"chunk {row.idx} of {row.evaluation}, held though it has {row.state}" for row in held]
    return left + _blobs(stack, watch)


def _blobs(stack: Stack, watch: Watch) -> list[str]:
    """A blob for each row, a row for each blob."""
    blobs = stack.folder / "blobs"
    there = {f"{path.relative_to(blobs).parts[0]}:{path.name}" for path in blobs.rglob("*") if path.is_file()}
    rows = watch.rows("SELECT kind, digest FROM artifacts WHERE state <> 'refused'")
    wanted = {f"{row.kind}s:{row.digest.removeprefix('sha256:')}" for row in rows}
    return [f"blob without row {each}" for each in there - wanted] + [f"row without blob {e}" for e in wanted - there]
