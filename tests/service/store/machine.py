"""The store as a state machine: whatever callers, workers, brokers and sweepers do, beside a model of what must be so.

Hints get lost and doubled, workers pause and come back with a stale claim, children crash, leases run out. No step
waits: a lease runs out because the machine moves its clock. After each step the database must say what the model says.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine, delete, select, update

from service import problems, schemas
from service.store import artifacts, chunks, evaluations, retention, submissions
from service.store.chunks import LOOKAHEAD
from service.store.evaluations import Asked, Claim, ClaimLostError
from service.store.session import clock, transaction
from service.store.tables import KEPT, ArtifactRow, ChunkRow, ClaimRow, EvaluationRow, IdempotencyRow
from service.store.tenants import DEFAULT

LEASE = 100_000.0  # seconds; none runs out unless the machine lets it
PATIENCE = 10_000.0
MODELS = ["sha256:" + sign * 64 for sign in "ab"]
DATASET = "sha256:" + "d" * 64
KEYS = [None, "one", "two"]
FATES = ["upload", "accept", "refuse", "withdraw", "delete", "replace"]
MOST = 4  # chunks that an evaluation of the machine computes
EMPTIED = (IdempotencyRow, ChunkRow, ClaimRow, EvaluationRow, ArtifactRow)

READS = (
    select(
        *(EvaluationRow.id, EvaluationRow.state, EvaluationRow.epoch, EvaluationRow.workers, EvaluationRow.progress),
        *(EvaluationRow.result, EvaluationRow.problem, EvaluationRow.ended_at),
    ),
    select(ClaimRow.evaluation, ClaimRow.epoch, ClaimRow.lease_until > clock()),
    select(
        *(ChunkRow.evaluation, ChunkRow.index, ChunkRow.epoch, ChunkRow.payload, ChunkRow.crashes, ChunkRow.losses),
    ),
    select(ArtifactRow.kind, ArtifactRow.digest, ArtifactRow.state, ArtifactRow.attempts),
    select(IdempotencyRow.key, IdempotencyRow.request, IdempotencyRow.evaluation),
)


@dataclass
class Chunk:
    """What the model knows of a chunk."""

    epoch: int
    payload: str | None = None
    crashes: int = 0
    losses: int = 0


@dataclass
class Known:
    """What the model knows of an evaluation."""

    model: str
    question: str
    workers: int
    state: str = "queued"
    epoch: int = 0
    due: bool = False  # its hint is old
    live: set[int] = field(default_factory=set)  # epochs
    chunks: dict[int, Chunk] = field(default_factory=dict)
    result: str | None = None
    problem: str | None = None
    trials: int | None = None

    @property
    def unended(self) -> bool:
        return self.state in ("queued", "running")

    def end(self, state: str, chunks: int = 0) -> None:
        self.state = state
        self.live.clear()
        self.chunks = {index: chunk for index, chunk in self.chunks.items() if index < chunks}

    def prefix(self) -> int:
        """How many chunks are stored without a gap."""
        index = 0
        while index in self.chunks and self.chunks[index].payload is not None:
            index += 1
        return index


def pick(draw: st.DataObject, things: list[Any]) -> Any:
    return draw.draw(st.sampled_from(things))


class StoreMachine(RuleBasedStateMachine):
    """One database, its model, and every claim that was ever made on it."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[tuple[str, str], tuple[str, int]] = {}  # its state, and how often it was inspected
        self.known: dict[str, Known] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        self.claims: list[Claim] = []
        self.hints: list[str] = []
        self.forgotten: dict[str, Known] = {}
        self.endings: dict[str, tuple[Any, ...]] = {}
        self.stored: dict[tuple[str, int], str] = {}

    @initialize()
    def empty(self) -> None:
        with transaction(self.engine) as db:
            for table in EMPTIED:
                db.execute(delete(table))
            artifacts.receive(db, DEFAULT, "model", MODELS[0], 1)
            artifacts.receive(db, DEFAULT, "dataset", DATASET, 1)
        self.artifacts = {("model", MODELS[0]): ("received", 0), ("dataset", DATASET): ("received", 0)}

    # Callers

    @rule(index=st.sampled_from([0, 1]), fate=st.sampled_from(FATES))
    def artifact(self, index: int, fate: str) -> None:
        place = ("model", MODELS[index])
        state, tries = self.artifacts.get(place, ("", 0))
        match fate:
            case "upload":
                self.upload(place, state)
            case "withdraw":
                self.withdraw(place)
            case "delete":
                self.delete(place, state)
                self.submit_as(index, 2, 1, None)
            case "replace":
                self.delete(place, state)
                self.upload(place, self.artifacts.get(place, ("", 0))[0])
            case _:
                self.inspect(place, state, tries, fate)

    def upload(self, place: tuple[str, str], state: str) -> None:
        new = state not in KEPT
        with transaction(self.engine) as db:
            assert artifacts.receive(db, DEFAULT, "model", place[1], 1) is new
        if new:
            self.artifacts[place] = ("received", 0)

    def inspect(self, place: tuple[str, str], state: str, tries: int, fate: str) -> None:
        with transaction(self.engine) as db:
            attempt = artifacts.begin_inspection(db, DEFAULT, "model", place[1])
            assert attempt == (tries + 1 if state == "received" else None)
            if fate == "accept":
                artifacts.accept(db, DEFAULT, "model", place[1], {"sound": True})
            else:
                refused = artifacts.refuse(db, DEFAULT, "model", place[1], {"type": "no"})
                assert refused is (state == "received")
        if attempt is not None:
            self.artifacts[place] = ("ready" if fate == "accept" else "refused", attempt)

    def users(self, place: tuple[str, str]) -> list[Known]:
        return [known for known in self.known.values() if known.model == place[1]]

    def withdraw(self, place: tuple[str, str]) -> None:
        """What a refused request brought: gone only if nobody uses it, or ever did."""
        with transaction(self.engine) as db:
            gone = artifacts.remove(db, DEFAULT, "model", place[1])
        assert gone is (place in self.artifacts and not self.users(place))
        if gone:
            del self.artifacts[place]

    def delete(self, place: tuple[str, str], state: str) -> None:
        try:
            with transaction(self.engine) as db:
                artifacts.dismiss(db, DEFAULT, "model", place[1])
            with transaction(self.engine) as db:
                assert artifacts.bury(db, DEFAULT, "model", place[1])
        except problems.Conflict:
            assert any(known.unended for known in self.users(place))
        except problems.NotFound:
            assert state in ("", "deleted")
        else:
            assert state in ("received", "ready", "refused")
            assert not any(known.unended for known in self.users(place))
            if self.users(place):
                self.artifacts[place] = ("deleted", self.artifacts[place][1])
            else:
                del self.artifacts[place]

    @precondition(lambda self: sum(known.unended for known in self.known.values()) < 3)
    @rule(
        index=st.sampled_from([0, 0, 1]),
        seed=st.sampled_from([0, 0, 1]),
        workers=st.integers(1, 3),
        key=st.sampled_from(KEYS),
    )
    def submit(self, index: int, seed: int, workers: int, key: str | None) -> None:
        self.submit_as(index, seed, workers, key)

    def submit_as(self, index: int, seed: int, workers: int, key: str | None) -> None:
        question = f"{index}:{seed}"
        asked = Asked(MODELS[index], DATASET, schemas.Config().model_dump_json(), workers, question)
        before = self.keys.get(key or "")
        success = sorted(i for i, one in self.known.items() if one.question == question and one.state == "succeeded")
        try:
            with transaction(self.engine) as db:
                row, new = submissions.create(db, DEFAULT, asked, key)
        except problems.IdempotencyReused:
            assert before is not None
            assert before[0] != question
            return
        except problems.NotFound:
            assert before is None
            assert self.artifacts.get(("model", MODELS[index]), ("", 0))[0] not in KEPT
            return
        if before is not None:
            assert (question, row.id, new) == (*before, False)
        elif success:
            assert (row.id, new) == (success[0], False)
        else:
            assert new
            assert row.id not in self.known
            assert self.artifacts["model", MODELS[index]][0] in KEPT
            self.known[row.id] = Known(MODELS[index], question, workers)
            self.hints += [row.id] * (workers + 1)  # one of them doubled on the way
        if key is not None:
            self.keys[key] = (question, row.id)

    @precondition(lambda self: self.known)
    @rule(draw=st.data())
    def cancel(self, draw: st.DataObject) -> None:
        evaluation = pick(draw, list(self.known))
        known = self.known[evaluation]
        try:
            with transaction(self.engine) as db:
                evaluations.cancel(db, DEFAULT, evaluation)
        except problems.Conflict:
            assert known.state in ("succeeded", "failed")
        else:
            assert known.unended or known.state == "cancelled"
            if known.unended:
                known.end("cancelled")

    @precondition(lambda self: self.known)
    @rule(draw=st.data())
    def forget(self, draw: st.DataObject) -> None:
        """Delete an evaluation for good; workers that still know of it can do nothing."""
        evaluation = pick(draw, list(self.known))
        known = self.known[evaluation]
        try:
            with transaction(self.engine) as db:
                retention.forget(db, DEFAULT, evaluation)
        except problems.Conflict:
            assert known.unended
            return
        assert not known.unended
        self.forgotten[evaluation] = self.known.pop(evaluation)
        self.keys = {key: made for key, made in self.keys.items() if made[1] != evaluation}

    # The broker, which is expendable

    @precondition(lambda self: self.hints)
    @rule(draw=st.data(), count=st.integers(1, 4))
    def deliver(self, draw: st.DataObject, count: int) -> None:
        """Some hints reach workers, in any order."""
        for _ in range(min(count, len(self.hints))):
            evaluation = pick(draw, self.hints)
            self.hints.remove(evaluation)
            self.claim(evaluation)

    @precondition(lambda self: self.hints)
    @rule(draw=st.data())
    def lose(self, draw: st.DataObject) -> None:
        self.hints.remove(pick(draw, self.hints))

    def claim(self, evaluation: str) -> None:
        known = self.known.get(evaluation) or self.forgotten[evaluation]
        with transaction(self.engine) as db:
            claim = evaluations.claim(db, evaluation, f"worker {len(self.claims)}", LEASE)
        assert (claim is not None) is (known.unended and len(known.live) < known.workers)
        if claim is not None:
            known.epoch += 1
            assert claim.epoch == known.epoch
            known.state = "running"
            known.live.add(claim.epoch)
            self.claims.append(claim)

    # Workers, awake or long since lost

    def is_live(self, claim: Claim) -> bool:
        return claim.evaluation in self.known and claim.epoch in self.known[claim.evaluation].live

    def write(self, claim: Claim, allowed: bool, work: Any) -> Any:
        """Do a worker's write: it is refused exactly when it must be. Returns None if it was."""
        try:
            with transaction(self.engine) as db:
                done = work(db)
        except ClaimLostError:
            assert not allowed
            return None
        assert allowed
        return done

    def actor(self, draw: st.DataObject) -> tuple[Claim, Known]:
        """Mostly a claim made lately, sometimes any."""
        claim = pick(draw, self.claims[-3:] if draw.draw(st.booleans()) else self.claims)
        return claim, self.known.get(claim.evaluation) or self.forgotten[claim.evaluation]

    @precondition(lambda self: self.claims)
    @rule(draw=st.data(), first=st.integers(0, 1), end=st.sampled_from([None, 1, MOST]))
    def hold(self, draw: st.DataObject, first: int, end: int | None) -> None:
        claim, known = self.actor(draw)
        self.hold_as(claim, known, first, end)

    def hold_next(self, claim: Claim, known: Known) -> None:
        self.hold_as(claim, known, known.prefix(), None)

    def hold_as(self, claim: Claim, known: Known, first: int, end: int | None) -> int | None:
        live = self.is_live(claim)
        held = self.write(claim, live, lambda db: (chunks.hold(db, claim, first, end, known.workers),))
        if held is None:
            return None
        reach = first + LOOKAHEAD * known.workers
        expected: chunks.Held | None = None
        for index in range(first, reach if end is None else min(reach, end)):
            chunk = known.chunks.get(index)
            if chunk is None:
                known.chunks[index] = Chunk(claim.epoch)
            elif chunk.payload is not None or (chunk.epoch != claim.epoch and chunk.epoch in known.live):
                continue
            else:
                chunk.losses += chunk.epoch not in (claim.epoch, evaluations.NOBODY)
                chunk.epoch = claim.epoch
            expected = chunks.Held(index, known.chunks[index].crashes, known.chunks[index].losses)
            break
        assert held == (expected,)
        return None if expected is None else expected.index

    @precondition(lambda self: self.claims)
    @rule(draw=st.data())
    def compute(self, draw: st.DataObject) -> None:
        """As a worker does: hold the next chunk, then store it."""
        claim, known = self.actor(draw)
        index = self.hold_as(claim, known, known.prefix(), None)
        if index is None:
            return
        others = [other for other in self.claims if other.evaluation == claim.evaluation and other != claim]
        for other in others[-1:]:
            self.hold_next(other, known)
        for writer in (*others[-2:], claim, claim):  # who does not hold it, who does, and who has stored it already
            self.add_as(writer, known, index)

    @precondition(lambda self: self.claims)
    @rule(draw=st.data(), index=st.integers(0, MOST))
    def add(self, draw: st.DataObject, index: int) -> None:
        """Store a chunk that this claim may or may not hold."""
        claim, known = self.actor(draw)
        self.add_as(claim, known, index)

    def add_as(self, claim: Claim, known: Known, index: int) -> None:
        payload = {"index": index, "by": claim.epoch}
        holds = self.holds(claim, known, index)
        self.write(claim, holds, lambda db: chunks.add_chunk(db, claim, index, payload))
        if holds:
            known.chunks[index].payload = schemas.canonical(payload)

    def holds(self, claim: Claim, known: Known, index: int) -> bool:
        chunk = known.chunks.get(index)
        return self.is_live(claim) and chunk is not None and chunk.epoch == claim.epoch and chunk.payload is None

    @precondition(lambda self: self.claims)
    @rule(draw=st.data(), index=st.integers(0, MOST))
    def crash(self, draw: st.DataObject, index: int) -> None:
        """The child died at a chunk."""
        claim, known = self.actor(draw)
        holds = self.holds(claim, known, index)
        crashes = self.write(claim, holds, lambda db: chunks.crashed(db, claim, index))
        if holds:
            known.chunks[index].crashes += 1
            assert crashes == known.chunks[index].crashes

    @precondition(lambda self: self.claims)
    @rule(draw=st.data(), beats=st.booleans())
    def tell(self, draw: st.DataObject, beats: bool) -> None:
        """A beat, or progress."""
        write = self.beat_as if beats else self.progress_as
        write(*self.actor(draw))

    def beat_as(self, claim: Claim, _known: Known) -> None:
        self.write(claim, self.is_live(claim), lambda db: evaluations.beat(db, claim, LEASE))

    def progress_as(self, claim: Claim, known: Known) -> None:
        live = self.is_live(claim)
        trials = claim.epoch + 100 * len(known.chunks)
        told = schemas.Progress(trials=trials)
        self.write(claim, live, lambda db: evaluations.show_progress(db, claim, told))
        if live:
            known.trials = trials

    @precondition(lambda self: self.claims)
    @rule(draw=st.data(), more=st.sampled_from([0, 0, -1, 1]))
    def finish(self, draw: st.DataObject, more: int) -> None:
        """End with the chunks there are, with one less, or with one more than are stored: a database from a backup."""
        self.finish_as(*self.actor(draw), more)

    def finish_as(self, claim: Claim, known: Known, more: int = 0) -> None:
        count = max(0, known.prefix() + more)
        result = json.dumps({"chunks": count, "by": claim.epoch})
        allowed = self.is_live(claim) and count <= known.prefix()
        self.write(claim, allowed, lambda db: evaluations.finish(db, claim, result, count))
        if allowed:
            known.end("succeeded", count)
            known.result = result

    @precondition(lambda self: self.claims)
    @rule(draw=st.data())
    def fail(self, draw: st.DataObject) -> None:
        self.fail_as(*self.actor(draw))

    def fail_as(self, claim: Claim, known: Known) -> None:
        problem = problems.ModelCrashed(f"by {claim.epoch}")
        live = self.is_live(claim)
        self.write(claim, live, lambda db: evaluations.fail(db, claim, problem))
        if live:
            known.end("failed")
            known.problem = schemas.canonical(problem.body())

    @precondition(lambda self: self.claims)
    @rule(draw=st.data())
    def release(self, draw: st.DataObject) -> None:
        claim, known = self.actor(draw)
        with transaction(self.engine) as db:
            evaluations.release(db, claim)
        for chunk in known.chunks.values():
            if chunk.epoch == claim.epoch and chunk.payload is None:
                chunk.epoch = evaluations.NOBODY
        known.live.discard(claim.epoch)
        known.due = True

    @precondition(lambda self: self.claims)
    @rule(draw=st.data())
    def expire(self, draw: st.DataObject) -> None:
        """A worker was killed, or paused beyond its lease; a paused one comes back in any later step."""
        self.lapse(*self.actor(draw))

    def lapse(self, claim: Claim, known: Known) -> None:
        row = (ClaimRow.evaluation == claim.evaluation) & (ClaimRow.epoch == claim.epoch)
        with transaction(self.engine) as db:
            db.execute(update(ClaimRow).where(row).values(lease_until=clock() - 1))
        known.live.discard(claim.epoch)

    @precondition(lambda self: self.claims)
    @rule(draw=st.data())
    def take_over(self, draw: st.DataObject) -> None:
        """A worker is paused until another one has its work, and comes back: its next write is a stale one."""
        claim, known = self.actor(draw)
        self.lapse(claim, known)
        self.claim(claim.evaluation)
        write = pick(draw, [self.beat_as, self.progress_as, self.fail_as, self.hold_next, self.finish_as])
        write(claim, known)

    @rule(what=st.sampled_from(["broker", "stack"]))
    def restart(self, what: str) -> None:
        """The broker comes back empty, or an embedded stack starts again over the same folder."""
        self.hints.clear()
        if what == "broker":
            return
        with transaction(self.engine) as db:
            evaluations.release_all(db)
        for known in self.known.values():
            known.live.clear()
            known.due = known.due or known.unended
        self.look()

    # Time, and who looks after what waits

    @rule()
    def age(self) -> None:
        with transaction(self.engine) as db:
            db.execute(update(EvaluationRow).values(hinted_at=clock() - 2 * PATIENCE))
        for known in self.known.values():
            known.due = True

    @rule()
    def sweep(self) -> None:
        self.look()

    def look(self) -> None:
        waiting = {
            evaluation: known.workers - len(known.live)
            for evaluation, known in self.known.items()
            if known.unended and known.due and len(known.live) < known.workers
        }
        with transaction(self.engine) as db:
            found = evaluations.neglected(db, PATIENCE, 1000)
        assert dict(found) == waiting
        for evaluation, missing in waiting.items():  # in our order: the database's own is any, on a tie
            self.known[evaluation].due = False
            self.hints += [evaluation] * missing

    # What always holds

    @invariant()
    def agrees(self) -> None:
        """The database says of everything what the model says, and keeps what it once said of an ending or a chunk."""
        with self.engine.connect().execution_options(reading=True) as connection:
            found = [connection.execute(read).all() for read in READS]
        evaluation_rows, claims, chunk_rows, artifact_rows, keys = found
        assert {(kind, digest): (state, tries) for kind, digest, state, tries in artifact_rows} == self.artifacts
        assert {key: (request, evaluation) for key, request, evaluation in keys} == self.keys
        of_evaluation: dict[str, dict[int, Chunk]] = {evaluation: {} for evaluation in self.known}
        for evaluation, index, *told in chunk_rows:
            of_evaluation[evaluation][index] = Chunk(*told)
        assert {row.id for row in evaluation_rows} == self.known.keys()
        for row in evaluation_rows:
            known = self.known[row.id]
            trials = None if row.progress is None else json.loads(row.progress)["trials"]
            said = (row.state, row.epoch, row.result, row.problem, trials)
            assert said == (known.state, known.epoch, known.result, known.problem, known.trials)
            assert {epoch for of, epoch, live in claims if of == row.id and live} == known.live
            assert len(known.live) <= row.workers
            assert of_evaluation[row.id] == known.chunks
            if row.state in schemas.ENDED:
                self.keeps_its_ending(row, of_evaluation[row.id], any(of == row.id for of, *_ in claims))
            for index, chunk in of_evaluation[row.id].items():
                if chunk.payload is not None:
                    assert self.stored.setdefault((row.id, index), chunk.payload) == chunk.payload

    def keeps_its_ending(self, row: Any, stored: dict[int, Chunk], is_claimed: bool) -> None:
        """Whatever the model says: an ending is whole, leaves nothing held, and stays."""
        said = tuple(row)
        assert self.endings.setdefault(row.id, said) == said
        assert row.ended_at is not None
        assert (row.result is not None, row.problem is not None) == (row.state == "succeeded", row.state == "failed")
        assert not is_claimed
        assert all(chunk.payload is not None for chunk in stored.values())
        if row.result is not None:
            assert sorted(stored) == list(range(json.loads(row.result)["chunks"]))

    def teardown(self) -> None:
        """From wherever it is: leases run out, the sweeper hints, and every evaluation can be brought to its end."""
        with transaction(self.engine) as db:
            db.execute(update(ClaimRow).values(lease_until=clock() - 1))
            db.execute(update(EvaluationRow).values(hinted_at=clock() - 2 * PATIENCE))
            waiting = {evaluation for evaluation, _ in evaluations.neglected(db, PATIENCE, 1000)}
            assert waiting == {evaluation for evaluation, known in self.known.items() if known.unended}
            for evaluation in waiting:
                claim = evaluations.claim(db, evaluation, "the last worker", LEASE)
                assert claim is not None
                count = self.known[evaluation].prefix()
                while (held := chunks.hold(db, claim, count, MOST, 1)) is not None:
                    chunks.add_chunk(db, claim, held.index, {"index": held.index})
                count = len(chunks.stored(db, claim.evaluation))
                evaluations.finish(db, claim, json.dumps({"chunks": count}), count)
