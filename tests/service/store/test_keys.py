"""Keys on both databases: shown once, stored hashed, two live at most, nobody else's."""

import re

import pytest
from sqlalchemy import Engine, update

from service import problems
from service.store import keys, tenants
from service.store.session import clock, reading, transaction
from service.store.tables import KeyRow
from service.store.tenants import DEFAULT


def made(engine: Engine, expires_in: float | None = None, tenant: str = DEFAULT) -> keys.Made:
    with transaction(engine) as db:
        return keys.create(db, tenant, "ci", ["evaluations:read"], expires_in)


def known(engine: Engine, secret: str) -> keys.Known | None:
    with reading(engine) as db:
        return keys.known(db, keys.hashed(secret))


def test_the_secret_is_stored_nowhere(engine):
    """What lies in the database opens nothing: the random part of a secret is in no column."""
    new = made(engine)
    random = new.secret.split("_")[2]
    with reading(engine) as db:
        stored = [str(value) for value in db.execute(KeyRow.__table__.select()).one()]
    assert not any(random in value for value in stored)
    found = known(engine, new.secret)
    assert found is not None
    assert (found.id, found.tenant, found.scopes) == (new.row.id, DEFAULT, frozenset({"evaluations:read"}))


def test_a_mistyped_secret_is_told_from_an_unknown_one(engine):
    """The form has a prefix for scanners and a checksum; every single wrong character is noticed."""
    secret = made(engine).secret
    assert re.fullmatch(r"lsn_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", secret)
    assert keys.is_well_formed(secret)
    for place, letter in enumerate(secret):
        wrong = secret[:place] + ("b" if letter != "b" else "c") + secret[place + 1 :]
        assert not keys.is_well_formed(wrong), wrong
    assert not keys.is_well_formed(secret + "\n")


def test_secrets_do_not_repeat(engine):
    """Each key has 256 bits of its own."""
    assert len({made(engine).secret.split("_")[2] for _ in range(50)}) == 50


def test_rotation_leaves_two_live_keys_for_a_while_and_never_three(engine):
    """The new key allows the same and lasts as long; the old one ends after the overlap, and is not rotated again."""
    old = made(engine, expires_in=1000)
    with transaction(engine) as db:
        new = keys.rotate(db, DEFAULT, old.row.id, overlap=60)
    first, second = known(engine, old.secret), known(engine, new.secret)
    assert first is not None
    assert second is not None
    assert first.scopes == second.scopes
    assert 0 < (first.lasts or 0) <= 60
    assert 900 < (second.lasts or 0) <= 1000
    with pytest.raises(problems.Conflict, match=new.row.id), transaction(engine) as db:
        keys.rotate(db, DEFAULT, old.row.id, overlap=60)


def test_rotation_never_prolongs_a_key(engine):
    """A key that expires before the overlap is over still expires then."""
    old = made(engine, expires_in=5)
    with transaction(engine) as db:
        keys.rotate(db, DEFAULT, old.row.id, overlap=3600)
    found = known(engine, old.secret)
    assert found is not None
    assert found.lasts is not None
    assert found.lasts <= 5


@pytest.mark.parametrize("ended", [{"revoked_at": clock()}, {"expires_at": clock() - 1}], ids=["revoked", "expired"])
def test_what_has_ended_is_not_rotated(engine, ended):
    """A revoked key must not come back to life by its successor."""
    old = made(engine)
    with transaction(engine) as db:
        db.execute(update(KeyRow).values(**ended))
    with pytest.raises(problems.Conflict), transaction(engine) as db:
        keys.rotate(db, DEFAULT, old.row.id, overlap=60)


def test_a_revoked_key_stays_revoked(engine):
    """Revoking again changes nothing, not even when it was."""
    new = made(engine)
    with transaction(engine) as db:
        first = keys.revoke(db, DEFAULT, new.row.id).revoked_at
    with transaction(engine) as db:
        assert keys.revoke(db, DEFAULT, new.row.id).revoked_at == first
    found = known(engine, new.secret)
    assert found is not None
    assert found.revoked


def test_keys_of_another_tenant_are_not_there(engine):
    """They are neither listed nor shown, rotated or revoked."""
    with transaction(engine) as db:
        other = tenants.ensure(db, "other").id
        assert tenants.ensure(db, "other").id == other
    mine = made(engine)
    theirs = made(engine, tenant=other)
    with transaction(engine) as db:
        assert [row.id for row in keys.page(db, DEFAULT, 5)] == [mine.row.id]
        for touch in (keys.get, keys.revoke, lambda db, tenant, key: keys.rotate(db, tenant, key, 1)):
            with pytest.raises(problems.NotFound):
                touch(db, DEFAULT, theirs.row.id)
    found = known(engine, theirs.secret)
    assert found is not None
    assert not found.revoked
