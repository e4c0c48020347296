"""A database that was restored from an older backup under running workers: what they still write is refused."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, delete, update
from sqlalchemy.orm import Session

from service import problems
from service.store import chunks, evaluations
from service.store.evaluations import Claim, ClaimLostError
from service.store.session import reading, transaction
from service.store.tables import ChunkRow, ClaimRow, EvaluationRow
from service.store.tenants import DEFAULT
from tests.service.store.test_evaluations import claimed, hold, new


def restore(engine: Engine, chunks_known: int, epoch: int) -> None:
    """Put the tables back to where so many chunks were stored and so many claims made; none of those is live."""
    with transaction(engine) as db:
        db.execute(delete(ChunkRow).where(ChunkRow.index >= chunks_known))
        db.execute(delete(ClaimRow).where(ClaimRow.epoch > epoch))
        db.execute(update(ClaimRow).values(lease_until=0.0))
        db.execute(update(EvaluationRow).values(epoch=epoch, state="running" if epoch else "queued"))


def compute(engine: Engine, by: Claim, indices: range) -> None:
    for index in indices:
        assert hold(engine, by, index) == chunks.Held(index, 0, 0)
        with transaction(engine) as db:
            chunks.add_chunk(db, by, index, {"index": index})


def test_a_success_has_all_its_chunks(engine: Engine) -> None:
    """A worker whose earlier chunks the database has forgotten cannot finish; what it computed is computed again."""
    evaluation = new(engine)
    owner = claimed(engine, evaluation)
    compute(engine, owner, range(3))
    with transaction(engine) as db:
        db.execute(delete(ChunkRow).where(ChunkRow.index == 1))
    with pytest.raises(ClaimLostError), transaction(engine) as db:
        evaluations.finish(db, owner, "{}", 3)
    compute(engine, owner, range(1, 2))
    with transaction(engine) as db:
        evaluations.finish(db, owner, "{}", 3)
    with reading(engine) as db:
        assert evaluations.get(db, DEFAULT, evaluation).state == "succeeded"
        assert [row.index for row in db.query(ChunkRow).order_by(ChunkRow.index)] == [0, 1, 2]


WRITES: dict[str, Callable[[Session, Claim], object]] = {
    "beat": lambda db, claim: evaluations.beat(db, claim, 30),
    "hold": lambda db, claim: chunks.hold(db, claim, 0, None, 1),
    "add": lambda db, claim: chunks.add_chunk(db, claim, 0, {}),
    "finish": lambda db, claim: evaluations.finish(db, claim, "{}", 0),
    "fail": lambda db, claim: evaluations.fail(db, claim, problems.Internal("no")),
    "crash": lambda db, claim: chunks.crashed(db, claim, 0),
}


@pytest.mark.parametrize("write", WRITES)
def test_an_epoch_given_twice_fences_all_the_same(engine: Engine, write: str) -> None:
    """Counters go back with a backup: the new claim has the old one's epoch, and the old one still writes nothing."""
    evaluation = new(engine)
    old = claimed(engine, evaluation)
    restore(engine, 0, 0)
    with transaction(engine) as db:
        fresh = evaluations.claim(db, evaluation, "another worker", 30)
    assert fresh is not None
    assert fresh.epoch == old.epoch
    assert hold(engine, fresh) == chunks.Held(0, 0, 0)
    with pytest.raises(ClaimLostError), transaction(engine) as db:
        WRITES[write](db, old)
    compute(engine, fresh, range(1, 2))
