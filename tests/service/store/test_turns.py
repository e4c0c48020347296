"""Whose turn it is, on both databases."""

import threading

import pytest
from sqlalchemy import Engine, insert, select, text

from service.store import artifacts, evaluations, submissions, tenants, turns
from service.store.evaluations import Claim
from service.store.session import transaction
from service.store.tables import EvaluationRow
from service.store.tenants import DEFAULT
from tests.service.store.test_evaluations import DATASET, MODEL, asked, lapse


def tenant(engine: Engine, name: str) -> str:
    with transaction(engine) as db:
        owner = DEFAULT if name == DEFAULT else tenants.ensure(db, name).id
        artifacts.receive(db, owner, "model", MODEL, 1)
        artifacts.receive(db, owner, "dataset", DATASET, 1)
    return owner


def submitted(engine: Engine, owner: str, workers: int = 1) -> str:
    with transaction(engine) as db:
        return submissions.create(db, owner, asked(workers=workers))[0].id


def claimed(engine: Engine) -> Claim | None:
    with transaction(engine) as db:
        return turns.claim_next(db, "worker", 30)


def evaluation(engine: Engine) -> str | None:
    found = claimed(engine)
    return None if found is None else found.evaluation


def test_a_tenant_with_many_queued_does_not_delay_anothers_single_one(engine):
    """Whoever came first has the first worker; the next worker is for the other tenant, then the first again."""
    many, one = tenant(engine, "many"), tenant(engine, "one")
    queued = sorted(submitted(engine, many) for _ in range(6))
    single = submitted(engine, one)
    assert [evaluation(engine) for _ in range(3)] == [queued[0], single, queued[1]]


def test_one_worker_alone_serves_tenants_in_turn(engine):
    """Where nobody else is busy, who was served last waits: a long queue does not keep the only worker."""
    many, one, two = (tenant(engine, name) for name in ("many", "one", "two"))
    queued = sorted(submitted(engine, many) for _ in range(4))
    singles = [submitted(engine, one), submitted(engine, two)]
    done: list[str] = []
    while (found := claimed(engine)) is not None:
        done.append(found.evaluation)
        with transaction(engine) as db:
            evaluations.finish(db, found, "{}", 0)
    assert done == [queued[0], *singles, *queued[1:]]


def test_within_a_tenant_the_oldest_comes_first(engine):
    """First come, first served; and when nothing is queued, there is nothing to claim."""
    owner = tenant(engine, DEFAULT)
    queued = [submitted(engine, owner) for _ in range(3)]
    assert [evaluation(engine) for _ in range(4)] == [*sorted(queued), None]


def test_what_a_lost_worker_left_is_taken_up_first(engine):
    """A lapsed claim makes its tenant no busier, and its evaluation is the oldest there is."""
    owner = tenant(engine, DEFAULT)
    first = submitted(engine, owner)
    submitted(engine, owner)
    assert evaluation(engine) == first
    lapse(engine)
    assert evaluation(engine) == first


def test_an_evaluation_gets_as_many_workers_as_it_wants(engine):
    """What has nobody comes first; then three workers may share it, and a fourth finds nothing."""
    owner = tenant(engine, DEFAULT)
    shared, next_one = submitted(engine, owner, workers=3), submitted(engine, owner)
    assert [evaluation(engine) for _ in range(5)] == [shared, next_one, shared, shared, None]


def test_who_helps_gives_way_to_what_has_nobody(engine):
    """The first worker of an evaluation stays with it; the others leave once something is queued, whoever's it is."""
    owner, other = tenant(engine, DEFAULT), tenant(engine, "other")
    shared = submitted(engine, owner, workers=3)
    claims = [claim for _ in range(3) if (claim := claimed(engine)) is not None]
    assert len(claims) == 3

    def leaving() -> list[bool]:
        with transaction(engine) as db:
            return [turns.gives_way(db, claim) for claim in claims]

    assert leaving() == [False, False, False]
    single = submitted(engine, other)
    assert leaving() == [False, True, True]
    with transaction(engine) as db:
        evaluations.release(db, claims.pop())
    assert evaluation(engine) == single
    assert leaving() == [False, False]
    assert evaluation(engine) == shared
    submitted(engine, owner)
    with transaction(engine) as db:
        evaluations.release(db, claims.pop(0))
    assert leaving() == [False], "the last one there stays, although it came later"


def test_racing_workers_each_get_their_own(engine):
    """Eight workers at one moment get eight evaluations, spread evenly over the tenants."""
    for name in ("a", "b"):
        owner = tenant(engine, name)
        for _ in range(8):
            submitted(engine, owner)
    start, won = threading.Barrier(8), []

    def race() -> None:
        start.wait()
        won.append(claimed(engine))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [claim for claim in won if claim is not None]
    assert len({claim.evaluation for claim in taken}) == 8
    assert sorted([claim.tenant for claim in taken].count(owner) for owner in {c.tenant for c in taken}) == [4, 4]


@pytest.mark.parametrize("queued", [10_000])
def test_a_long_queue_is_not_read_to_find_its_head(engine, queued):
    """The head of each queue is looked up in an index: no other row is read, nothing is sorted."""
    owner = tenant(engine, DEFAULT)
    first = submitted(engine, owner)
    with transaction(engine) as db:
        row = db.execute(select(EvaluationRow.__table__).where(EvaluationRow.id == first)).mappings().one()
        rows = [{**row, "id": f"ev_z{number:08}"} for number in range(queued)]
        db.execute(insert(EvaluationRow), rows)
    if engine.dialect.name == "postgresql":  # what it does by itself, sooner or later
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE evaluations"))
    with transaction(engine) as db:
        plan = turns.heads().compile(engine, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        told = "\n".join(str(line) for line in db.execute(text(f"{explain} {plan}")))
    assert "evaluations_by_state_and_tenant" in told
    assert ("COVERING INDEX" if engine.dialect.name == "sqlite" else "Index Only Scan") in told
    assert "TEMP B-TREE" not in told
    assert evaluation(engine) == first
