"""Inspections: one at a time, counted at the start, so that a file that takes its workers along is found out."""

from sqlalchemy import Engine, update

from service.store import artifacts
from service.store.artifacts import Kind
from service.store.session import clock, reading, transaction
from service.store.tables import ArtifactRow
from service.store.tenants import DEFAULT
from tests.service.store.test_evaluations import MODEL

PLACE: tuple[str, Kind, str] = (DEFAULT, "model", MODEL)


def received(engine: Engine) -> None:
    with transaction(engine) as db:
        artifacts.receive(db, *PLACE, 1)


def begin(engine: Engine, held: int | None = None) -> int | None:
    with transaction(engine) as db:
        return artifacts.begin_inspection(db, *PLACE, 30, held)


def lapse(engine: Engine) -> None:
    with transaction(engine) as db:
        db.execute(update(ArtifactRow).values(lease_until=clock() - 1, hinted_at=clock() - 60))


def due(engine: Engine) -> int:
    with transaction(engine) as db:
        return len(artifacts.uninspected(db, 30, 10))


def test_one_inspects_until_its_lease_runs_out(engine: Engine) -> None:
    """A second hint finds nothing to do while the first one's inspector lives; after that it is the next try."""
    received(engine)
    assert begin(engine) == 1
    assert begin(engine) is None
    lapse(engine)
    with transaction(engine) as db:
        artifacts.keep_inspecting(db, *PLACE, held=1, lease=30)
    assert (begin(engine), due(engine)) == (None, 0)
    lapse(engine)
    assert due(engine) == 1
    assert begin(engine) == 2
    lapse(engine)
    with transaction(engine) as db:
        artifacts.keep_inspecting(db, *PLACE, held=1, lease=30)  # who slept meanwhile renews nothing
    assert begin(engine) == 3


def test_who_goes_on_needs_no_wait(engine: Engine) -> None:
    """After a crash of its child the inspector itself begins again, unless another one has taken over."""
    received(engine)
    assert begin(engine) == 1
    assert begin(engine, held=1) == 2
    assert begin(engine, held=1) is None


def test_what_hampers_an_inspection_does_not_count(engine: Engine) -> None:
    """A full disk says nothing of the file: the try is given back, and it can be inspected at once."""
    received(engine)
    assert begin(engine) == 1
    with transaction(engine) as db:
        artifacts.leave_inspection(db, *PLACE, held=1)
    assert begin(engine) == 1
    with transaction(engine) as db:
        artifacts.release_all(db)
    assert begin(engine) == 2


def test_an_upload_that_comes_again_begins_anew(engine: Engine) -> None:
    """Refused once does not mean refused for ever: the count starts again with the upload."""
    received(engine)
    for _ in range(4):
        begin(engine)
        lapse(engine)
    with transaction(engine) as db:
        artifacts.refuse(db, *PLACE, {"type": "/problems/model-crashed"})
        assert artifacts.receive(db, *PLACE, 1)
    assert begin(engine) == 1
    with reading(engine) as db:
        row = artifacts.find(db, *PLACE)
    assert row is not None
    assert row.attempts == 1
