"""The figures of all tenants, on both databases."""

from sqlalchemy import Engine

from service.store import evaluations, figures, submissions
from service.store.session import transaction
from service.store.tenants import DEFAULT
from tests.service import ending


def test_what_there_is_is_counted(engine: Engine) -> None:
    """Nothing at first; then states, claims, the age of the queue, and uploads with their bytes."""
    with transaction(engine) as db:
        assert figures.now(db) == figures.Figures({}, 0.0, 0, {}, {})
    claim = ending.running(engine, "one")
    with transaction(engine) as db:
        asked = evaluations.Asked(ending.MODEL, ending.DATASET, "{}", 1, "two")
        submissions.create(db, DEFAULT, asked, None)
    with transaction(engine) as db:
        found = figures.now(db)
    assert found.evaluations == {"queued": 1, "running": 1}
    assert 0 <= found.oldest_queued < 60
    assert found.working == 1
    assert found.uploads == {("model", "received"): (1, 1), ("dataset", "received"): (1, 1)}
    with transaction(engine) as db:
        ending.ENDS["failed"](db, claim)
    with transaction(engine) as db:
        found = figures.now(db)
    assert found.evaluations == {"queued": 1, "failed": 1}
    assert found.working == 0
