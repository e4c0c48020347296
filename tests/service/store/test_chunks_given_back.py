"""A worker that is told to stop gives its chunk back: that is no loss, however often it happens."""

from sqlalchemy import Engine

from service.store import chunks, evaluations
from service.store.session import transaction
from tests.service.store.test_evaluations import claimed, new


def test_chunks_given_back_are_not_counted_as_lost(engine: Engine) -> None:
    """More restarts of workers than an evaluation may lose workers: the next one still computes it."""
    evaluation = new(engine)
    for _ in range(chunks.LOSSES + 1):
        claim = claimed(engine, evaluation)
        with transaction(engine) as db:
            held = chunks.hold(db, claim, 0, None, 1)
            assert held is not None
            assert (held.index, held.losses) == (0, 0)
            evaluations.release(db, claim)
