"""The row is the truth: one lineage of claims, no stale write, on both databases."""

import threading

import pytest
from sqlalchemy import Engine, update

from service import problems, schemas
from service.store import artifacts, chunks, evaluations, listing, submissions
from service.store.evaluations import Asked, Claim, ClaimLostError
from service.store.session import clock, reading, transaction
from service.store.tables import ChunkRow, ClaimRow, EvaluationRow
from service.store.tenants import DEFAULT

MODEL, DATASET = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def asked(fingerprint: str = "f", workers: int = 1) -> Asked:
    return Asked(MODEL, DATASET, schemas.Config().model_dump_json(), workers, fingerprint)


@pytest.fixture
def evaluation(engine: Engine) -> str:
    return new(engine)


def new(engine: Engine, fingerprint: str = "f", workers: int = 1, key: str | None = None) -> str:
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, "model", MODEL, 1)
        artifacts.receive(db, DEFAULT, "dataset", DATASET, 1)
        row, _ = submissions.create(db, DEFAULT, asked(fingerprint, workers), key)
    return row.id


def claim(engine: Engine, evaluation: str, lease: float = 30) -> Claim | None:
    with transaction(engine) as db:
        return evaluations.claim(db, evaluation, "worker", lease)


def claimed(engine: Engine, evaluation: str) -> Claim:
    found = claim(engine, evaluation)
    assert found is not None
    return found


def lapse(engine: Engine) -> None:
    """Let every lease run out, without waiting for it."""
    with transaction(engine) as db:
        db.execute(update(ClaimRow).values(lease_until=clock() - 1))


def hold(engine: Engine, by: Claim, first: int = 0, end: int | None = None) -> chunks.Held | None:
    with transaction(engine) as db:
        return chunks.hold(db, by, first, end, workers=1)


def test_claim_is_exclusive_and_counts_epochs(engine: Engine, evaluation: str) -> None:
    """A second worker gets nothing while the first one's lease lives, and a higher epoch afterwards."""
    first = claimed(engine, evaluation)
    assert claim(engine, evaluation) is None
    lapse(engine)
    assert claimed(engine, evaluation).epoch == first.epoch + 1


def test_claims_are_limited_by_workers(engine: Engine) -> None:
    """As many workers share an evaluation as its config asks for, no more."""
    shared = new(engine, workers=3)
    assert [claim(engine, shared) is not None for _ in range(4)] == [True, True, True, False]


def test_racing_claims_have_one_winner(engine: Engine, evaluation: str) -> None:
    """Eight workers with the same hint at the same moment: one of them gets the work."""
    won: list[Claim | None] = []
    start = threading.Barrier(8)

    def race() -> None:
        start.wait()
        won.append(claim(engine, evaluation))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([one for one in won if one is not None]) == 1


def test_stale_worker_writes_nothing(engine: Engine, evaluation: str) -> None:
    """Whoever let the lease run out can neither beat, hold, add, crash, finish nor fail any more."""
    stale = claimed(engine, evaluation)
    assert hold(engine, stale) == chunks.Held(0, 0, 0)
    lapse(engine)
    fresh = claimed(engine, evaluation)
    assert hold(engine, fresh) == chunks.Held(0, 0, 1)
    problem = problems.Internal("no")
    for write in (
        lambda db: evaluations.beat(db, stale, 30),
        lambda db: chunks.hold(db, stale, 0, None, 1),
        lambda db: chunks.add_chunk(db, stale, 0, {"a": 1}),
        lambda db: chunks.crashed(db, stale, 0),
        lambda db: evaluations.finish(db, stale, "{}", 0),
        lambda db: evaluations.fail(db, stale, problem),
    ):
        with pytest.raises(ClaimLostError), transaction(engine) as db:
            write(db)
    with transaction(engine) as db:
        chunks.add_chunk(db, fresh, 0, {"a": 2})
        assert chunks.computed(db, fresh, 0) == {0: '{"a":2}'}


def test_lapsed_worker_is_stale_even_without_successor(engine: Engine, evaluation: str) -> None:
    """A lease that ran out is gone, whether or not another worker came."""
    stale = claimed(engine, evaluation)
    hold(engine, stale)
    lapse(engine)
    with pytest.raises(ClaimLostError), transaction(engine) as db:
        chunks.add_chunk(db, stale, 0, {})


def test_chunk_is_stored_once(engine: Engine, evaluation: str) -> None:
    """A stored chunk never changes, and is not handed out again."""
    owner = claimed(engine, evaluation)
    hold(engine, owner)
    with transaction(engine) as db:
        chunks.add_chunk(db, owner, 0, {"a": 1})
    with pytest.raises(ClaimLostError), transaction(engine) as db:
        chunks.add_chunk(db, owner, 0, {"a": 2})
    assert hold(engine, owner) == chunks.Held(1, 0, 0)


def test_workers_hold_different_chunks(engine: Engine) -> None:
    """Two workers on one evaluation never compute the same chunk, and neither runs far ahead of a gap."""
    shared = new(engine, workers=2)
    one, two = claimed(engine, shared), claimed(engine, shared)
    with transaction(engine) as db:
        held = [chunks.hold(db, by, 0, None, 2) for by in (one, two) * (chunks.LOOKAHEAD + 1)]
    indices = [None if one is None else one.index for one in held]
    # A worker that already holds a chunk gets the same one again: it lost it, or its child crashed.
    assert set(indices[0::2]) == {0}
    assert set(indices[1::2]) == {1}


def test_only_the_holder_stores_a_chunk(engine: Engine) -> None:
    """A live worker cannot store a chunk that another live worker holds."""
    shared = new(engine, workers=2)
    one, two = claimed(engine, shared), claimed(engine, shared)
    assert hold(engine, one) == chunks.Held(0, 0, 0)
    with pytest.raises(ClaimLostError), transaction(engine) as db:
        chunks.add_chunk(db, two, 0, {})
    with transaction(engine) as db:
        chunks.add_chunk(db, one, 0, {})


def test_hold_stops_at_the_end(engine: Engine, evaluation: str) -> None:
    """A grid has a last chunk; beyond it there is nothing to hold."""
    owner = claimed(engine, evaluation)
    for index in range(2):
        assert hold(engine, owner, 0, 2) == chunks.Held(index, 0, 0)
        with transaction(engine) as db:
            chunks.add_chunk(db, owner, index, {})
    assert hold(engine, owner, 0, 2) is None


def test_crashes_and_losses_are_counted(engine: Engine, evaluation: str) -> None:
    """Crashes of the child and losses of a worker are counted on the chunk where they happened."""
    first = claimed(engine, evaluation)
    hold(engine, first)
    with transaction(engine) as db:
        assert [chunks.crashed(db, first, 0) for _ in range(2)] == [1, 2]
    lapse(engine)
    assert hold(engine, claimed(engine, evaluation)) == chunks.Held(0, 2, 1)


def test_finish_has_one_winner_and_leaves_no_claim(engine: Engine) -> None:
    """Of two workers that both see the end, one stores the result; what was only held is removed."""
    shared = new(engine, workers=2)
    one, two = claimed(engine, shared), claimed(engine, shared)
    with transaction(engine) as db:
        chunks.hold(db, one, 0, None, 2)
        evaluations.finish(db, one, '{"the": "result"}', 0)
    with pytest.raises(ClaimLostError), transaction(engine) as db:
        evaluations.finish(db, two, '{"an": "other"}', 0)
    with reading(engine) as db:
        row = evaluations.get(db, DEFAULT, shared)
        assert (row.state, row.result) == ("succeeded", '{"the": "result"}')
        assert db.query(ClaimRow).count() == 0
        assert db.query(ChunkRow).count() == 0


def test_cancel_ends_at_once_and_only_once(engine: Engine, evaluation: str) -> None:
    """A cancelled evaluation takes no further write; cancelling it again is fine; a finished one cannot be."""
    owner = claimed(engine, evaluation)
    with transaction(engine) as db:
        assert evaluations.cancel(db, DEFAULT, evaluation).state == "cancelled"
    with pytest.raises(ClaimLostError), transaction(engine) as db:
        evaluations.finish(db, owner, "{}", 0)
    with transaction(engine) as db:
        assert evaluations.cancel(db, DEFAULT, evaluation).state == "cancelled"
    assert claim(engine, evaluation) is None
    done = new(engine, "other")
    with transaction(engine) as db:
        winner = evaluations.claim(db, done, "worker", 30)
        assert winner is not None
        evaluations.finish(db, winner, "{}", 0)
    with pytest.raises(problems.Conflict), transaction(engine) as db:
        evaluations.cancel(db, DEFAULT, done)


def test_same_question_is_answered_from_what_is_known(engine: Engine, evaluation: str) -> None:
    """Only a success answers a later request; a queued evaluation does not, since it may be cancelled."""
    assert new(engine) != evaluation
    owner = claimed(engine, evaluation)
    with transaction(engine) as db:
        evaluations.finish(db, owner, "{}", 0)
    assert new(engine) == evaluation
    assert new(engine, "another question") != evaluation


def test_idempotency_key(engine: Engine) -> None:
    """The same key gives the same evaluation, even at the same moment; with another request it is refused."""
    made: list[str] = []
    start = threading.Barrier(6)
    new(engine)  # so that the artifacts are there

    def post() -> None:
        start.wait()
        made.append(new(engine, "keyed", key="k"))

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(set(made)) == 1
    with pytest.raises(problems.IdempotencyReused):
        new(engine, "something else", key="k")


def test_unknown_artifact_is_not_found(engine: Engine) -> None:
    """An evaluation never refers to an artifact that is not there."""
    with pytest.raises(problems.NotFound), transaction(engine) as db:
        submissions.create(db, DEFAULT, asked())


def test_neglected_are_hinted_again_once(engine: Engine) -> None:
    """What waits for workers is found when its last hint is old, for as many workers as are missing, not sooner."""
    shared = new(engine, workers=2)

    def neglected(patience: float) -> list[tuple[str, int]]:
        with transaction(engine) as db:
            return evaluations.neglected(db, patience, 10)

    def age() -> None:
        with transaction(engine) as db:
            db.execute(update(EvaluationRow).values(hinted_at=clock() - 60))

    assert neglected(30) == []
    age()
    assert neglected(30) == [(shared, 2)]
    assert neglected(30) == []
    first = claimed(engine, shared)
    age()
    assert neglected(30) == [(shared, 1)]
    lapse(engine)
    age()
    assert neglected(30) == [(shared, 2)]
    fresh = claimed(engine, shared)
    assert fresh.epoch == first.epoch + 1
    with transaction(engine) as db:
        evaluations.finish(db, fresh, "{}", 0)
    age()
    assert neglected(30) == []


def test_release_hands_work_on_at_once(engine: Engine, evaluation: str) -> None:
    """A worker that stops in good order leaves no lease to wait for."""
    owner = claimed(engine, evaluation)
    with transaction(engine) as db:
        evaluations.release(db, owner)
        assert evaluations.neglected(db, 30, 10) == [(evaluation, 1)]
    assert claim(engine, evaluation) is not None


def test_pages_are_newest_first_and_complete(engine: Engine) -> None:
    """Walking the pages shows each evaluation once, newest first."""
    made = [new(engine, str(number)) for number in range(5)]
    seen: list[str] = []
    before = None
    with reading(engine) as db:
        while rows := listing.page(db, DEFAULT, 2, before, None):
            seen += [row.id for row in rows]
            before = seen[-1]
    assert sorted(seen, reverse=True) == seen
    assert set(seen) == set(made)
