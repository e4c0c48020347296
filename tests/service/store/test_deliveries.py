"""Deliveries are made with the end of an evaluation or not at all, and each is one process's to send. On both."""

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import problems, schemas
from service.store import deliveries, evaluations, webhooks
from service.store.deliveries import Claim, How
from service.store.evaluations import ClaimLostError
from service.store.session import clock, reading, transaction
from service.store.tables import AttemptRow, DeliveryRow, EvaluationRow, TenantRow, WebhookRow
from service.store.tenants import DEFAULT
from tests.conftest import wait_until
from tests.service.ending import ENDS, queue, running

URL = "https://hooks.example.org/"
FAILED = How(500, None, 0.1, delay=30.0)
DELIVERED = How(204, None, 0.1, end="delivered")


def webhook(engine: Engine, events: Sequence[str] = schemas.EVENTS, tenant: str = DEFAULT) -> str:
    with transaction(engine) as db:
        return webhooks.create(db, tenant, URL, events).id


def rows(engine: Engine) -> list[DeliveryRow]:
    with reading(engine) as db:
        return list(db.scalars(select(DeliveryRow).order_by(DeliveryRow.id)))


def claimed(engine: Engine, limit: int = 100) -> list[Claim]:
    """What a process that looks now gets to send."""
    with reading(engine) as db:
        wanted = deliveries.due(db, limit)
    with transaction(engine) as db:
        return deliveries.claim(db, wanted)


def record(engine: Engine, claim: Claim, how: How) -> bool:
    with transaction(engine) as db:
        return deliveries.record(db, claim, how)


def pending(engine: Engine, webhook: str, count: int) -> None:
    """So many deliveries that wait to be sent."""
    with transaction(engine) as db:
        queue(db, webhook, count)


def move(engine: Engine, seconds: float) -> None:
    """Let time pass for what waits and for leases, without waiting for it."""
    with transaction(engine) as db:
        db.execute(update(DeliveryRow).values(due_at=DeliveryRow.due_at - seconds))
        db.execute(update(DeliveryRow).values(lease_until=DeliveryRow.lease_until - seconds))


@pytest.mark.parametrize("state", ENDS)
def test_end_is_told_once_to_who_asked(engine: Engine, state: str) -> None:
    """Each way to end makes one delivery for each webhook that wants this event, and none for the others."""
    wanting = webhook(engine, [f"evaluation.{state}"])
    webhook(engine, [event for event in schemas.EVENTS if not event.endswith(state)])
    claim = running(engine)
    with transaction(engine) as db:
        ENDS[state](db, claim)
    (made,) = rows(engine)
    assert (made.webhook, made.event, made.state) == (wanting, f"evaluation.{state}", "pending")
    event = schemas.Event.model_validate_json(made.payload)
    assert (event.type, event.data.id, event.data.state) == (f"evaluation.{state}", claim.evaluation, state)
    assert (event.data.score is not None, event.data.problem is not None) == (state == "succeeded", state == "failed")
    assert len(made.payload) < 20_000


def test_end_that_is_not_committed_is_not_told(engine: Engine) -> None:
    """The delivery is part of the same transaction: what is rolled back was never announced."""
    webhook(engine)
    claim = running(engine)
    with Session(engine) as db:
        ENDS["succeeded"](db, claim)
        assert db.scalar(select(func.count()).select_from(DeliveryRow)) == 1
        db.rollback()
    assert rows(engine) == []


def test_ends_that_race_tell_one(engine: Engine) -> None:
    """Worker and caller end the same evaluation at the same moment, eight times: one delivery each, of what it is."""
    webhook(engine)
    for number in range(8):
        claim = running(engine, str(number))
        start = threading.Barrier(3)

        def end(state: str, claim: evaluations.Claim = claim, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                with transaction(engine) as db:
                    ENDS[state](db, claim)
            except (ClaimLostError, problems.Conflict):
                pass

        threads = [threading.Thread(target=end, args=(state,)) for state in ENDS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    made = rows(engine)
    with reading(engine) as db:
        ended = {row.id: f"evaluation.{row.state}" for row in db.scalars(select(EvaluationRow))}
    assert len(made) == 8
    assert {row.evaluation: row.event for row in made} == ended


def test_tenants_hear_of_their_own(engine: Engine) -> None:
    """Another tenant's webhook hears nothing."""
    with transaction(engine) as db:
        db.add(TenantRow(id="other", name="other", created_at=0.0))
    webhook(engine, tenant="other")
    claim = running(engine)
    with transaction(engine) as db:
        ENDS["succeeded"](db, claim)
    assert rows(engine) == []


def test_removed_webhook_never_fails_an_end(engine: Engine) -> None:
    """A webhook that is removed in the very moment in which an evaluation ends takes its delivery along, no more."""
    doomed = webhook(engine)
    claim = running(engine)

    def remove() -> None:
        with transaction(engine) as db:
            webhooks.remove(db, DEFAULT, doomed)

    thread = threading.Thread(target=remove)
    with transaction(engine) as db:
        ENDS["succeeded"](db, claim)
        thread.start()
        if engine.dialect.name == "postgresql":
            wait_until(lambda: _waits(engine) or not thread.is_alive(), "the removal waits, or is through")
    thread.join()
    with reading(engine) as db:
        assert evaluations.get(db, DEFAULT, claim.evaluation).state == "succeeded"
    assert rows(engine) == []


def _waits(engine: Engine) -> bool:
    with engine.connect() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(connection.exec_driver_sql(waiting).scalar())


def test_webhook_that_goes_first_is_not_told(engine: Engine) -> None:
    """An end that waits for a removal to be committed finds no webhook, and succeeds."""
    doomed = webhook(engine)
    claim = running(engine)
    failed: list[Exception] = []

    def end() -> None:
        try:
            with transaction(engine) as db:
                ENDS["succeeded"](db, claim)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=end)
    with transaction(engine) as db:
        webhooks.remove(db, DEFAULT, doomed)
        thread.start()
        if engine.dialect.name == "postgresql":
            wait_until(lambda: _waits(engine) or not thread.is_alive(), "the end waits, or is through")
    thread.join()
    assert failed == []
    assert rows(engine) == []


def test_claims_are_exclusive(engine: Engine) -> None:
    """Eight processes that look at the same moment: each delivery is claimed once, and no webhook too often."""
    hooks = [webhook(engine) for _ in range(10)]
    for one in hooks:
        pending(engine, one, 4)
    won: list[Claim] = []
    failed: list[Exception] = []
    start = threading.Barrier(8)

    def race() -> None:
        start.wait()
        try:
            won.extend(claimed(engine))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len({claim.delivery for claim in won}) == len(won)
    assert all(len([one for one in won if one.webhook == hook]) <= deliveries.AT_ONCE for hook in hooks)
    assert len(won) + len(claimed(engine)) == len(hooks) * deliveries.AT_ONCE


def test_lease_that_runs_out_gives_the_delivery_on(engine: Engine) -> None:
    """A process that died is not waited for longer than its lease; what it writes afterwards decides nothing."""
    pending(engine, webhook(engine), 1)
    (first,) = claimed(engine)
    assert claimed(engine) == []
    move(engine, deliveries.LEASE)
    (second,) = claimed(engine)
    assert (second.delivery, second.number, second.failures) == (first.delivery, 2, 0)
    assert record(engine, first, How(500, None, 0.1, end="failed")) is False
    assert rows(engine)[0].state == "pending"
    assert record(engine, second, DELIVERED) is True
    assert record(engine, second, FAILED) is False
    assert rows(engine)[0].state == "delivered"
    with reading(engine) as db:
        (told,) = deliveries.page(db, second.webhook, 10, None)
    assert [(attempt.number, attempt.status) for attempt in told[1]] == [(1, 500), (2, 204)]


def test_failure_is_due_again_later(engine: Engine) -> None:
    """After a failure nothing is sent before its time, and then the same delivery."""
    pending(engine, webhook(engine), 1)
    (first,) = claimed(engine)
    record(engine, first, FAILED)
    assert claimed(engine) == []
    move(engine, 29)
    assert claimed(engine) == []
    move(engine, 1)
    (second,) = claimed(engine)
    assert (second.delivery, second.failures, second.payload) == (first.delivery, 1, first.payload)


def test_a_pile_for_one_does_not_bury_the_others(engine: Engine) -> None:
    """Of a thousand that wait for one webhook two are claimed at a time, and all others' first."""
    heap, others = webhook(engine), [webhook(engine) for _ in range(5)]
    pending(engine, heap, 1000)
    for one in others:
        pending(engine, one, 1)
    first = claimed(engine, limit=7)
    assert {claim.webhook for claim in first} >= set(others)
    assert len([claim for claim in first if claim.webhook == heap]) <= deliveries.AT_ONCE
    rest = claimed(engine)
    assert len(first) + len(rest) == len(others) + deliveries.AT_ONCE
    assert claimed(engine) == []
    # Nor does the pile, while its two are under way, fill a look in which nothing of it could be claimed.
    with transaction(engine) as db:
        db.execute(update(WebhookRow).where(WebhookRow.id == heap).values(tried_at=0.0))
    pending(engine, others[1], 1)
    assert [claim.webhook for claim in claimed(engine, limit=1)] == [others[1]]
    # A free place is not the pile's for ever: who has not been tried for longest comes first.
    for claim in first:
        record(engine, claim, DELIVERED)
    pending(engine, others[0], 1)
    with transaction(engine) as db:
        db.execute(update(WebhookRow).where(WebhookRow.id == others[0]).values(tried_at=-1.0))
    assert [claim.webhook for claim in claimed(engine, limit=1)] == [others[0]]


def test_gone_disables(engine: Engine) -> None:
    """Who answers 410 is told nothing more: what waited for it fails, and what ends later is not queued."""
    hook, other = webhook(engine), webhook(engine)
    pending(engine, hook, 3)
    pending(engine, other, 1)
    one, two = (claim for claim in claimed(engine) if claim.webhook == hook)
    record(engine, one, How(410, None, 0.1, end="failed", gone=True))
    record(engine, two, FAILED)  # was under way in the same moment
    assert [row.state for row in rows(engine) if row.webhook == hook] == ["failed"] * 3
    assert [row.state for row in rows(engine) if row.webhook == other] == ["pending"]
    claim = running(engine)
    with transaction(engine) as db:
        ENDS["succeeded"](db, claim)
    assert [row.webhook for row in rows(engine) if row.evaluation is not None] == [other]
    with reading(engine) as db:
        assert webhooks.get(db, DEFAULT, hook).disabled_at is not None
        assert webhooks.get(db, DEFAULT, other).disabled_at is None


def test_removing_takes_all_along(engine: Engine) -> None:
    """With a webhook go its deliveries and their attempts; a claim on them ends quietly."""
    hook = webhook(engine)
    pending(engine, hook, 2)
    claims = claimed(engine)
    with transaction(engine) as db:
        webhooks.remove(db, DEFAULT, hook)
    assert record(engine, claims[0], DELIVERED) is False
    with reading(engine) as db:
        assert db.scalar(select(func.count()).select_from(AttemptRow)) == 0
    assert rows(engine) == []


def test_old_deliveries_are_forgotten(engine: Engine) -> None:
    """What ended long ago goes, with its attempts; what waits stays however old it is."""
    pending(engine, webhook(engine), 2)
    one, _ = claimed(engine)
    record(engine, one, DELIVERED)
    with transaction(engine) as db:
        deliveries.forget(db, 100)
    assert len(rows(engine)) == 2
    with transaction(engine) as db:
        db.execute(update(DeliveryRow).values(created_at=clock() - 500, ended_at=DeliveryRow.ended_at - 101))
        deliveries.forget(db, 100)
    assert [row.state for row in rows(engine)] == ["pending"]
    with reading(engine) as db:
        assert db.scalar(select(func.count()).select_from(AttemptRow).where(AttemptRow.delivery == one.delivery)) == 0


def test_webhooks_are_bounded(engine: Engine) -> None:
    """A tenant has so many webhooks and no more, also when two are made at the same moment."""
    for _ in range(webhooks.MOST - 1):
        webhook(engine)
    refused: list[bool] = []
    start = threading.Barrier(4)

    def make() -> None:
        start.wait()
        try:
            webhook(engine)
            refused.append(False)
        except problems.Conflict:
            refused.append(True)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refused) == [False, True, True, True]
    with transaction(engine) as db:
        db.execute(delete(WebhookRow))


def test_errors_of_the_database_hide_what_was_written(engine: Engine) -> None:
    """An error of the database may be logged: it does not show the secret that could not be stored."""
    with pytest.raises(IntegrityError) as error, transaction(engine) as db:
        webhooks.create(db, "nobody's", URL, schemas.EVENTS)
    assert "whsec_" not in str(error.value)
