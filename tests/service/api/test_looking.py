"""Status reads in batches, and what is remembered of how an evaluation is shown."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, update

from service import problems, signing
from service.api.looking import Looks
from service.api.shown import Showing
from service.settings import Settings
from service.store import artifacts, evaluations, submissions
from service.store.session import transaction
from service.store.tables import EvaluationRow
from service.store.tenants import DEFAULT

DIGESTS = {"model": "sha256:" + "a" * 64, "dataset": "sha256:" + "b" * 64}


@pytest.fixture
def showing(tmp_path: Path) -> Showing:
    return Showing(signing.signer(Settings(data=tmp_path)))


def queued(engine: Engine, count: int) -> list[str]:
    """Ids of so many evaluations."""
    with transaction(engine) as db:
        for kind in artifacts.KINDS:
            artifacts.receive(db, DEFAULT, kind, DIGESTS[kind], 1)
        asked = [
            evaluations.Asked(DIGESTS["model"], DIGESTS["dataset"], "{}", 1, f"fingerprint{number}")
            for number in range(count)
        ]
        return [submissions.create(db, DEFAULT, each)[0].id for each in asked]


def test_many_looks_are_few_queries(engine: Engine, showing: Showing) -> None:
    """Looks that come together are read together, and each gets its own evaluation."""
    known = queued(engine, 50)
    queries: list[str] = []

    def selects() -> int:
        return len([query for query in queries if query.startswith("SELECT")])

    event.listen(engine, "before_cursor_execute", lambda *told: queries.append(told[2]))

    async def scene() -> None:
        looks = Looks(engine, showing)
        seen = await asyncio.gather(*(looks.look(DEFAULT, each) for each in known * 2))
        assert [each.id for each in seen] == known * 2

        assert selects() <= 4  # two lots, each looks what is new, and reads that whole
        queries.clear()
        again = await asyncio.gather(*(looks.look(DEFAULT, each) for each in known))
        assert [each.body for each in again] == [each.body for each in seen[:50]]
        assert selects() <= 2  # nothing is new

    asyncio.run(scene())


def test_what_is_not_there_spoils_nobody_elses_look(engine: Engine, showing: Showing) -> None:
    """A foreign id and a missing one are not found, in the same words; the others of the batch are."""
    [known] = queued(engine, 1)

    async def scene() -> None:
        looks = Looks(engine, showing)
        asked = [(DEFAULT, known), ("somebody", known), (DEFAULT, "ev_none"), (DEFAULT, "x" * 500)]
        seen = await asyncio.gather(*(looks.look(*each) for each in asked), return_exceptions=True)
        assert [type(each).__name__ for each in seen] == ["Shown", "NotFound", "NotFound", "NotFound"]
        assert isinstance(seen[1], problems.NotFound)
        assert seen[1].detail == evaluations.missing(known).detail

    asyncio.run(scene())


def test_a_look_sees_what_was_written_before_it(engine: Engine, showing: Showing) -> None:
    """Nothing is remembered beyond what the row says: a change is seen, and so is the end of it."""
    [known] = queued(engine, 1)

    async def scene() -> None:
        looks = Looks(engine, showing)
        assert (await looks.look(DEFAULT, known)).state == "queued"
        with transaction(engine) as db:
            evaluations.cancel(db, DEFAULT, known)
        assert (await looks.look(DEFAULT, known)).state == "cancelled"
        with transaction(engine) as db:
            db.execute(update(EvaluationRow).values(tenant="default", id="ev_other"))
        with pytest.raises(problems.NotFound):
            await looks.look(DEFAULT, known)

    asyncio.run(scene())


def test_a_database_that_fails_fails_those_who_ask(engine: Engine, showing: Showing) -> None:
    """Everybody in the batch hears of it, and the next look is a new try."""
    [known] = queued(engine, 1)
    broken = [True]

    def fail(*_: object) -> None:
        if broken[0]:
            raise ConnectionError

    event.listen(engine, "before_cursor_execute", fail)

    async def scene() -> None:
        looks = Looks(engine, showing)
        seen = await asyncio.gather(*(looks.look(DEFAULT, known) for _ in range(3)), return_exceptions=True)
        assert {type(each) for each in seen} == {ConnectionError}
        broken[0] = False
        assert (await looks.look(DEFAULT, known)).id == known

    asyncio.run(scene())


def test_little_is_remembered(engine: Engine, tmp_path: Path) -> None:
    """What is kept of how evaluations are shown has a bound, and what is pushed out is made anew, the same."""
    known = queued(engine, 20)
    showing = Showing(signing.signer(Settings(data=tmp_path)), room=8000)
    with transaction(engine) as db:
        rows = [evaluations.get(db, DEFAULT, each) for each in known]
    first = [showing.show(row).body for row in rows]
    kept = sum(len(each.body) for each in showing._known.values())
    assert 0 < kept <= 8000
    assert [showing.show(row).body for row in rows] == first
