"""Quotas hold, whoever asks at the same moment; and a full queue takes nothing more."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from service import problems
from service.store import artifacts, evaluations, listing, quotas, submissions, tenants
from service.store.quotas import Allowed
from service.store.session import reading, transaction
from service.store.tenants import DEFAULT
from tests.service.store.test_evaluations import DATASET, MODEL, asked


def filled(engine: Engine, tenant: str) -> None:
    with transaction(engine) as db:
        artifacts.receive(db, tenant, "model", MODEL, 60)
        artifacts.receive(db, tenant, "dataset", DATASET, 40)


def at_once(work: Callable[[int], None], times: int) -> list[problems.Problem]:
    """Do something so many times at the same moment; the problems there were."""
    start, raised = threading.Barrier(times), []

    def one(number: int) -> None:
        start.wait()
        try:
            work(number)
        except problems.Problem as problem:
            raised.append(problem)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_a_tenant_has_as_many_evaluations_as_it_may(engine):
    """Of twelve submits at one moment five pass, and the others are told what to do; those of others do not count."""
    with transaction(engine) as db:
        other = tenants.ensure(db, "other").id
    for tenant in (DEFAULT, other):
        filled(engine, tenant)

    def submit(number: int, tenant: str = DEFAULT) -> None:
        with transaction(engine) as db:
            submissions.create(db, tenant, asked(str(number)), None, Allowed(5))

    submit(0, other)
    raised = at_once(submit, 12)
    assert len(raised) == 7
    assert {type(problem) for problem in raised} == {problems.QuotaExceeded}
    with reading(engine) as db:
        rows = listing.page(db, DEFAULT, 20, None, None)
    assert len(rows) == 5
    with transaction(engine) as db:
        evaluations.cancel(db, DEFAULT, rows[0].id)
    submit(99)


def test_a_tenants_own_quota_comes_first(engine):
    """What is set for a tenant counts, be it more or less than the settings' number; unset, the settings' counts."""
    filled(engine, DEFAULT)

    def submit() -> None:
        with transaction(engine) as db:
            submissions.create(db, DEFAULT, asked(), None, Allowed(1))

    submit()
    with pytest.raises(problems.QuotaExceeded):
        submit()
    with transaction(engine) as db:
        tenants.limit(db, DEFAULT, max_evaluations=2)
    submit()
    with transaction(engine) as db:
        tenants.limit(db, DEFAULT, max_evaluations=None)
    with pytest.raises(problems.QuotaExceeded):
        submit()


def test_what_is_known_already_needs_no_room(engine):
    """A repeated request is answered by the evaluation that its key made, full queue or not."""
    filled(engine, DEFAULT)
    with transaction(engine) as db:
        first, _ = submissions.create(db, DEFAULT, asked(), "key", Allowed(1))
        again, new = submissions.create(db, DEFAULT, asked(), "key", Allowed(0, queue_full=True))
        assert (again.id, new) == (first.id, False)
    with pytest.raises(problems.QueueFull), transaction(engine) as db:
        submissions.create(db, DEFAULT, asked("else"), None, Allowed(9, queue_full=True))
    with reading(engine) as db:
        assert quotas.queued(db) == 1


def test_a_tenant_stores_as_much_as_it_may(engine):
    """Of eight uploads of 60 bytes at one moment two fit into 150; known bytes are taken again whatever is stored."""

    def upload(number: int) -> None:
        with transaction(engine) as db:
            artifacts.receive(db, DEFAULT, "model", f"sha256:{number:064}", 60, 150)

    raised = at_once(upload, 8)
    assert len(raised) == 6
    assert {type(problem) for problem in raised} == {problems.QuotaExceeded}
    with transaction(engine) as db:
        rows = artifacts.page(db, DEFAULT, "model", 10, None)
        assert len(rows) == 2
        assert not artifacts.receive(db, DEFAULT, "model", rows[0].digest, 60, 150)
        artifacts.refuse(db, DEFAULT, "model", rows[0].digest, problems.ModelMalformed("no").body())
        assert artifacts.receive(db, DEFAULT, "model", "sha256:" + "e" * 64, 60, 150)  # a refused one keeps no bytes
