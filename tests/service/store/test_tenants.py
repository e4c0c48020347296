"""Tenants see nothing of each other, in any table and in the store of bytes."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from service import problems, schemas
from service.store import artifacts, evaluations, listing, submissions
from service.store.blobs import open_blobs
from service.store.session import clock, reading, transaction
from service.store.tables import TenantRow
from service.store.tenants import DEFAULT

DIGEST = "sha256:" + "d" * 64
OTHER = "tn_other"
ASKED = evaluations.Asked(DIGEST, DIGEST, schemas.Config().model_dump_json(), 1, "fingerprint")


@pytest.fixture
def two(engine: Engine) -> Engine:
    """A database with a second tenant, in which the first has an evaluation."""
    with transaction(engine) as db:
        db.execute(insert(TenantRow).values(id=OTHER, name="other", created_at=clock()))
        _receive(db, DEFAULT)
        submissions.create(db, DEFAULT, ASKED, "key")
    return engine


def _receive(db, tenant):
    return [artifacts.receive(db, tenant, kind, DIGEST, 1) for kind in artifacts.KINDS]


def test_a_tenant_sees_nothing_of_another(two):
    """Lists are empty, ids unknown in the same words as ids that never were, and nothing can be cancelled."""
    with reading(two) as db:
        [row] = listing.page(db, DEFAULT, 2, None, None)
        assert listing.page(db, OTHER, 2, None, None) == []
        assert artifacts.page(db, OTHER, "model", 2, None) == []
        assert artifacts.find(db, OTHER, "model", DIGEST) is None
        with pytest.raises(problems.NotFound) as foreign:
            evaluations.get(db, OTHER, row.id)
    with pytest.raises(problems.NotFound) as uncancelled, transaction(two) as db:
        evaluations.cancel(db, OTHER, row.id)
    with pytest.raises(problems.NotFound) as missing, reading(two) as db:
        evaluations.get(db, OTHER, "ev_0")
    for found in (foreign, uncancelled):
        assert found.value.body() == {**missing.value.body(), "detail": missing.value.detail.replace("ev_0", row.id)}
    with reading(two) as db:
        assert evaluations.get(db, DEFAULT, row.id).state == "queued"


def test_the_same_bytes_and_keys_of_two_tenants_are_two_things(two):
    """Neither digests, nor Idempotency-Keys, nor what is known already reach across."""
    with pytest.raises(problems.NotFound), transaction(two) as db:
        submissions.create(db, OTHER, ASKED)  # its artifacts are the other one's
    with transaction(two) as db:
        assert _receive(db, OTHER) == [True, True]
        [known] = listing.page(db, DEFAULT, 2, None, None)
        claim = evaluations.claim(db, known.id, "worker", 30)
        assert claim is not None
        assert claim.tenant == DEFAULT
        evaluations.finish(db, claim, "{}", 0)
    with transaction(two) as db:
        mine, new = submissions.create(db, OTHER, ASKED, "key")
        assert new
        assert submissions.create(db, DEFAULT, ASKED, "key") == (evaluations.get(db, DEFAULT, known.id), False)
        evaluations.cancel(db, OTHER, mine.id)
        assert not artifacts.remove(db, OTHER, "model", DIGEST)  # its own evaluation refers to it
        artifacts.refuse(db, OTHER, "model", DIGEST, problems.ModelMalformed("no").body())
        row = artifacts.find(db, DEFAULT, "model", DIGEST)
        assert row is not None
        assert row.state == "received"


def test_removing_asks_for_the_tenants_own_evaluations_only(two):
    """What one tenant evaluates keeps nothing of another's alive, and loses nothing to it."""
    with transaction(two) as db:
        _receive(db, OTHER)
        assert artifacts.remove(db, OTHER, "model", DIGEST)
        assert not artifacts.remove(db, DEFAULT, "model", DIGEST)


def test_blobs_of_two_tenants_lie_apart(tmp_path: Path):
    """The same digest of two tenants is two blobs: deleting one leaves the other."""
    blobs = open_blobs(f"file://{tmp_path}/blobs")
    for tenant in (DEFAULT, OTHER):
        staged = tmp_path / "staged"
        staged.write_bytes(tenant.encode())
        blobs.put(tenant, "model", DIGEST, staged)
    blobs.delete(DEFAULT, "model", DIGEST)
    assert blobs.fetch(OTHER, "model", DIGEST, tmp_path).read_bytes() == OTHER.encode()
    assert not blobs.holds(DEFAULT, "model", DIGEST)
