"""Submissions in lots: one transaction for many, and each has its own answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, insert, select

from service import problems, schemas, signing
from service.api.queueing import Queue
from service.api.shown import Showing, Shown
from service.api.submitting import Submitting
from service.hinting import Hinting
from service.settings import Settings
from service.store import artifacts, submissions
from service.store.evaluations import Asked
from service.store.session import reading, transaction
from service.store.submissions import Submission
from service.store.tables import EvaluationRow, IdempotencyRow
from service.store.tenants import DEFAULT
from tests.service.store.test_evaluations import DATASET, MODEL


@pytest.fixture
def submitting(engine: Engine, tmp_path: Path) -> Submitting:
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, "model", MODEL, 1)
        artifacts.receive(db, DEFAULT, "dataset", DATASET, 1)
    settings = Settings(data=tmp_path)
    return Submitting(engine, Queue(settings, engine), Hinting(), Showing(signing.signer(settings)))


def one(fingerprint: str, key: str | None = None, model: str = MODEL, **more: Any) -> Submission:
    asked = Asked(model, DATASET, schemas.Config().model_dump_json(), 1, fingerprint)
    return Submission(DEFAULT, asked, key, **more)


def entered(submitting: Submitting, *lot: Submission) -> list[Any]:
    """What each gets, asked for at the same moment: an evaluation, or what is raised."""

    async def scene() -> list[Any]:
        first = asyncio.create_task(submitting.enter(lot[0]))  # while it is written, the others gather
        await asyncio.sleep(0)
        return [*await asyncio.gather(first, *map(submitting.enter, lot[1:]), return_exceptions=True)]

    return asyncio.run(scene())


def stored(engine: Engine) -> int:
    with reading(engine) as db:
        return db.scalar(select(func.count()).select_from(EvaluationRow)) or 0


def test_many_are_written_by_few_statements(engine: Engine, submitting: Submitting) -> None:
    """Forty submissions at once cost three commits and as many times the same statements; each is a row of its own."""
    commits: list[Any] = []
    statements: list[str] = []
    event.listen(engine, "commit", commits.append)
    event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    seen = entered(submitting, *(one(str(number)) for number in range(40)))
    assert len({shown.id for shown in seen}) == stored(engine) == 40
    assert len(commits) <= 3 + 2  # and the looks at the queue and at the table
    assert len(statements) <= 60


def test_whoever_cannot_have_an_evaluation_spoils_nobody_elses(engine: Engine, submitting: Submitting) -> None:
    """In one lot: uploads that are not there, that do not suit, a key of another request; and those that are fine."""

    def unsuitable(_model: str | None, _dataset: str | None) -> None:
        raise problems.DatasetMismatch("They do not go together.")

    gone = "sha256:" + "e" * 64
    seen = entered(
        submitting,
        one("first"),
        one("a", "key"),
        one("b", "key"),
        one("a", "key"),
        one("c", model=gone, named=True),
        one("d", model=gone),
        one("e", suits=unsuitable),
        one("f"),
    )
    kinds = ["Shown", "Shown", "IdempotencyReused", "Shown", "NotFound", "NotFound", "DatasetMismatch", "Shown"]
    assert [type(each).__name__ for each in seen] == kinds
    assert seen[1].id == seen[3].id
    assert gone in seen[4].detail
    assert stored(engine) == 3


def test_what_suits_is_told_of_what_was_found(engine: Engine, submitting: Submitting) -> None:
    """Each submission is judged by what inspection found in its own uploads."""
    with transaction(engine) as db:
        artifacts.accept(db, DEFAULT, "model", MODEL, {"sites": []})
    told: list[Any] = []
    entered(submitting, one("a", suits=lambda *found: told.append(found)))
    assert [(json.loads(model), dataset) for model, dataset in told] == [({"sites": []}, None)]


def test_nobody_is_told_of_a_row_that_is_not_on_disk(engine: Engine, submitting: Submitting) -> None:
    """A commit that fails fails all of its lot, and no hint leaves; the next lot is a new try."""
    broken = [True]

    def fail(_connection: object) -> None:
        if broken[0] and _connection.get_execution_options().get("reading") is None:  # type: ignore[attr-defined]
            raise ConnectionError

    event.listen(engine, "commit", fail)
    seen = entered(submitting, one("a"), one("b"))
    assert {type(each) for each in seen} == {ConnectionError}
    assert submitting._hinting._waiting.empty()
    broken[0] = False
    assert stored(engine) == 0
    [shown] = entered(submitting, one("a"))
    assert isinstance(shown, Shown)
    assert submitting._hinting._waiting.qsize() == 1


def test_who_leaves_early_spoils_nothing(engine: Engine, submitting: Submitting) -> None:
    """A caller that hangs up has submitted all the same, and the others get their answers."""

    async def scene() -> list[Any]:
        asked = [asyncio.create_task(submitting.enter(one(str(number)))) for number in range(4)]
        await asyncio.sleep(0)
        asked[0].cancel()
        asked[2].cancel()
        return [*await asyncio.gather(*asked, return_exceptions=True)]

    seen = asyncio.run(scene())
    assert [isinstance(each, Shown) for each in seen] == [False, True, False, True]
    assert stored(engine) == 4


def test_a_key_that_another_process_enters_meanwhile(engine: Engine) -> None:
    """The same key, committed elsewhere after we looked and before we wrote: its evaluation is the answer, and the
    others of the lot are entered. On SQLite nobody can come in between."""
    if engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time")
    with transaction(engine) as db:
        artifacts.receive(db, DEFAULT, "model", MODEL, 1)
        artifacts.receive(db, DEFAULT, "dataset", DATASET, 1)
    with transaction(engine) as db:
        theirs, _ = submissions.create(db, DEFAULT, one("a").asked)
    begun: list[bool] = []

    def interfere(*told: Any) -> None:
        if told[2].startswith("INSERT INTO idempotency_keys") and not begun:
            begun.append(True)
            with transaction(engine) as db:
                values = {"tenant": DEFAULT, "key": "key", "request": "a", "evaluation": theirs.id, "created_at": 1.0}
                db.execute(insert(IdempotencyRow).values(**values))

    event.listen(engine, "before_cursor_execute", interfere)
    with transaction(engine) as db:
        first, second = submissions.enter(db, [one("a", "key"), one("b", "other")])
    assert isinstance(first, submissions.Entered)
    assert isinstance(second, submissions.Entered)
    assert (first.row.id, first.new, second.new) == (theirs.id, False, True)
    assert stored(engine) == 2
