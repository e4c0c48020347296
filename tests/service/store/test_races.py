"""Two at the same row in the same moment: one ending, one winner, nothing written after it. On both databases."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import problems, schemas
from service.store import artifacts, chunks, evaluations, submissions
from service.store.evaluations import Claim, ClaimLostError
from service.store.session import reading, transaction
from service.store.tables import ChunkRow, ClaimRow
from service.store.tenants import DEFAULT
from tests.conftest import wait_until

MODEL, DATASET = "sha256:" + "a" * 64, "sha256:" + "b" * 64
LOST = (ClaimLostError, problems.Conflict)


def claims(engine: Engine, workers: int) -> list[Claim]:
    """A new evaluation with so many live claims."""
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, "model", MODEL, 1)
        artifacts.receive(db, DEFAULT, "dataset", DATASET, 1)
        asked = evaluations.Asked(MODEL, DATASET, schemas.Config().model_dump_json(), workers, "f")
        row, _ = submissions.create(db, DEFAULT, asked, None)
        found = [evaluations.claim(db, row.id, f"worker {number}", 300) for number in range(workers)]
    return [claim for claim in found if claim is not None]


def overtaken(engine: Engine, first: Callable[[Session], object], second: Callable[[Session], object]) -> bool:
    """Do `first`, and `second` while `first` is not committed yet; was `second` refused?

    On SQLite the second waits at the write lock before its first statement, on PostgreSQL at a row, in the middle.
    """
    refused: list[bool] = []

    def late() -> None:
        try:
            with transaction(engine) as db:
                second(db)
            refused.append(False)
        except LOST:
            refused.append(True)

    thread = threading.Thread(target=late)
    with transaction(engine) as db:
        first(db)
        thread.start()
        if engine.dialect.name == "postgresql":
            wait_until(lambda: waits(engine) or not thread.is_alive(), "the second waits, or has written")
    thread.join()
    return refused == [True]


def waits(engine: Engine) -> bool:
    """Does a connection of this PostgreSQL wait for a lock?"""
    with engine.connect() as connection:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(connection.exec_driver_sql(waiting).scalar())


ENDINGS: dict[str, Callable[[Session, Claim], object]] = {
    "finish": lambda db, claim: evaluations.finish(db, claim, f'{{"by":{claim.epoch}}}', 0),
    "fail": lambda db, claim: evaluations.fail(db, claim, problems.Internal(f"by {claim.epoch}")),
    "cancel": lambda db, claim: evaluations.cancel(db, DEFAULT, claim.evaluation),
}


@pytest.mark.parametrize("second", ["finish", "fail"])
@pytest.mark.parametrize("first", ENDINGS)
def test_one_ending_wins(engine: Engine, first: str, second: str) -> None:
    """Whoever ends an evaluation while another's ending is being written is told so, and changes nothing."""
    one, two = claims(engine, 2)
    assert overtaken(engine, lambda db: ENDINGS[first](db, one), lambda db: ENDINGS[second](db, two))
    with reading(engine) as db:
        row = evaluations.get(db, DEFAULT, one.evaluation)
    assert row.state == {"finish": "succeeded", "fail": "failed", "cancel": "cancelled"}[first]
    assert row.result == ('{"by":1}' if first == "finish" else None)
    assert (row.problem is None) is (first != "fail")


WRITES: dict[str, Callable[[Session, Claim], object]] = {
    "add": lambda db, claim: chunks.add_chunk(db, claim, 0, {"late": True}),
    "crash": lambda db, claim: chunks.crashed(db, claim, 0),
    "hold": lambda db, claim: chunks.hold(db, claim, 1, None, 2),
    "beat": lambda db, claim: evaluations.beat(db, claim, 300),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_written_after_the_end(engine: Engine, ending: str, write: str) -> None:
    """A worker that stores, holds, beats or counts a crash while the ending is written leaves no trace."""
    one, two = claims(engine, 2)
    with transaction(engine) as db:
        assert chunks.hold(db, two, 0, None, 2) == chunks.Held(0, 0, 0)
    assert overtaken(engine, lambda db: ENDINGS[ending](db, one), lambda db: WRITES[write](db, two))
    with reading(engine) as db:
        assert db.query(ChunkRow).count() == 0
        assert db.query(ClaimRow).count() == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_progress_is_not_shown_after_the_end(engine: Engine, ending: str) -> None:
    """What was last heard of an ended evaluation stays as it was."""
    one, two = claims(engine, 2)
    late = schemas.Progress(trials=99)

    def second(db: Session) -> None:
        evaluations.show_progress(db, two, late)

    assert overtaken(engine, lambda db: ENDINGS[ending](db, one), second)
    with reading(engine) as db:
        assert evaluations.get(db, DEFAULT, one.evaluation).progress is None
