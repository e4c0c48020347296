"""A moment of the fleet: replayed chunks through real claims. Nothing is asserted about time."""

import pytest
from sqlalchemy import select

from benchmarks.scale import fleet, tape
from service.store.session import reading
from service.store.tables import EvaluationRow

PRECISION = 0.02


@pytest.fixture(scope="module")
def recorded() -> tape.Tape:
    return tape.record(PRECISION)


def test_one_worker_or_three_give_the_same_result(recorded: tape.Tape) -> None:
    """What was recorded is what is replayed; three share the chunks, and what they throw away is little."""
    results = []
    for workers in (1, 3):
        with fleet.running(recorded, workers, 4.0, "sqlite") as place:
            asked = place.submit({"precision": PRECISION, "limits": {"workers": 3}})
            place.ended([asked])
            with reading(place.engine) as db:
                results.append(db.scalar(select(EvaluationRow.result).where(EvaluationRow.id == asked)))
            spent = place.stop()
        assert len(spent) == workers
        assert all(each["chunks"] > 0 for each in spent)
    assert results[0] == results[1]
    assert recorded.opening > 0
    assert len(recorded.seconds) == len(recorded.payloads) > tape.BEYOND
