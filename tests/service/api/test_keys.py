"""Keys over HTTP: made, used, rotated, revoked; what one caller may not; and who may call where no key is needed."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from service import schemas
from service.api import keyring
from service.app import create_app
from service.settings import Settings
from service.store import keys, tenants
from service.store.session import connect, migrate, reading, transaction
from service.store.tables import KeyRow
from service.store.tenants import DEFAULT
from tests.conftest import HERE, use_broker, wait_until

ALL = list(schemas.SCOPES)
REVOKED_WITHIN = 5.0  # seconds, as promised


@pytest.fixture
def settings(tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A service that wants keys."""
    monkeypatch.setenv("LESION_BROKER_URL", valkey)
    use_broker(valkey)
    return Settings(data=tmp_path, keys="required", inspect_wait=0)


@contextmanager
def serving(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), HERE, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with serving(settings) as client:
        yield client


def key(settings: Settings, *scopes: Any, tenant: str = "default", expires_in: float | None = None) -> keys.Made:
    """A key, made in the database as `lesion keys create` does."""
    engine = connect(settings.database)
    migrate(engine)
    with transaction(engine) as db:
        made = keys.create(db, tenants.ensure(db, tenant).id, "test", list(scopes) or ALL, expires_in)
    engine.dispose()
    return made


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def refuses(client: TestClient, secret: str) -> bool:
    return client.get("/v1/evaluations", headers=bearer(secret)).status_code == 401


def used(settings: Settings, made: keys.Made) -> float | None:
    engine = connect(settings.database)
    with reading(engine) as db:
        found = keys.get(db, DEFAULT, made.row.id).last_used_at
    engine.dispose()
    return found


def test_a_key_is_made_shown_once_and_works(client, settings):
    """The answer alone has the secret; it must not be cached; no list and no other answer shows it."""
    admin = bearer(key(settings).secret)
    answer = client.post("/v1/keys", json={"name": "ci", "scopes": ["evaluations:read"]}, headers=admin)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert client.get("/v1/evaluations", headers=bearer(made["secret"])).status_code == 200
    shown = client.get(answer.headers["location"], headers=admin)
    assert (shown.json()["name"], shown.json()["state"]) == ("ci", "live")
    assert made["secret"] not in shown.text + client.get("/v1/keys", headers=admin).text


@pytest.mark.parametrize("route", ["/v1/keys", "/v1/keys/{id}/rotation"])
def test_nobody_gives_what_he_has_not(client, settings, route):
    """An admin of keys alone cannot make itself a key that reads, nor by rotating one that does."""
    admin, reader = key(settings, "admin"), key(settings, "evaluations:read")
    asked = {"name": "more", "scopes": ["admin", "evaluations:read"]} if route == "/v1/keys" else {}
    answer = client.post(route.format(id=reader.row.id), json=asked, headers=bearer(admin.secret))
    assert (answer.status_code, answer.json()["missing"]) == (403, "evaluations:read")
    assert "secret" not in answer.json()


def test_both_keys_of_a_rotation_work(client, settings):
    """There is no moment at which a pipeline holds no key; with no overlap the old one ends at once."""
    old = key(settings)
    first = client.post(f"/v1/keys/{old.row.id}/rotation", headers=bearer(old.secret)).json()
    for secret in (old.secret, first["secret"]):
        assert client.get("/v1/evaluations", headers=bearer(secret)).status_code == 200
    second = client.post(f"/v1/keys/{first['id']}/rotation", json={"overlap": 0}, headers=bearer(first["secret"]))
    assert second.status_code == 201
    wait_until(
        lambda: client.get("/v1/evaluations", headers=bearer(first["secret"])).status_code == 401, "the old one ends", 5
    )


def test_a_revoked_key_opens_nothing_in_any_process(client, settings):
    """Revoked here, it is refused there within the promised time, although both had just let it in."""
    admin, doomed = key(settings), key(settings, "evaluations:read")
    with serving(settings) as other:
        for each in (client, other):
            assert each.get("/v1/evaluations", headers=bearer(doomed.secret)).status_code == 200
        assert client.delete(f"/v1/keys/{doomed.row.id}", headers=bearer(admin.secret)).json()["state"] == "revoked"
        for each in (client, other):
            wait_until(partial(refuses, each, doomed.secret), "the key is refused", REVOKED_WITHIN)
    assert keyring.TRUSTED < REVOKED_WITHIN / 2


def test_an_expired_key_is_refused_the_moment_it_expires(client, settings):
    """What is remembered of a key is forgotten when the key expires, not later."""
    short = key(settings, expires_in=1.5)
    assert client.get("/v1/evaluations", headers=bearer(short.secret)).status_code in (200, 401)
    wait_until(lambda: client.get("/v1/evaluations", headers=bearer(short.secret)).status_code == 401, "the end", 5)
    assert "expired" in client.get("/v1/evaluations", headers=bearer(short.secret)).json()["detail"]


def test_the_database_is_asked_rarely(client, settings, monkeypatch):
    """Hundreds of requests with one key ask for it once; a wrong one is asked for each time, and never remembered."""
    monkeypatch.setattr(keyring, "TRUSTED", 3600.0)
    asked: list[str] = []
    known = keys.known

    def counted(db: Session, hash: str) -> keys.Known | None:
        asked.append(hash)
        return known(db, hash)

    monkeypatch.setattr(keys, "known", counted)
    good, wrong = key(settings), "lsn_" + "0" * 12 + "_" + "0" * 43
    for _ in range(200):
        assert client.get("/v1/models", headers=bearer(good.secret)).status_code == 200
    assert asked == [keys.hashed(good.secret)]
    wrong = f"{wrong}_{keys._checksum(wrong)}"
    for _ in range(3):
        assert client.get("/v1/models", headers=bearer(wrong)).status_code == 401
    assert len(asked) == 4


def test_who_asks_at_the_same_time_asks_once(client, settings, monkeypatch):
    """Once a second each key is looked up: by one of those who show it, not by all; and who leaves harms nobody."""
    made, looked_up = key(settings, "evaluations:read"), list[str]()
    known = keys.known

    def slow(db: Session, hashed: str) -> keys.Known | None:
        looked_up.append(hashed)
        time.sleep(0.2)
        return known(db, hashed)

    monkeypatch.setattr(keys, "known", slow)

    async def scene() -> list[Any]:
        ring = keyring.Keyring(connect(settings.database))
        asking = [asyncio.create_task(ring.holder(made.secret)) for _ in range(20)]
        await asyncio.sleep(0.05)
        asking[0].cancel()
        return await asyncio.gather(*asking, return_exceptions=True)

    first, *others = asyncio.run(scene())
    assert isinstance(first, asyncio.CancelledError)
    assert {each.id for each in others} == {made.row.id}
    assert len(looked_up) == 1


def test_uses_are_written_once_a_minute(client, settings, monkeypatch):
    """`last_used_at` costs one write a minute and key, however often it is used."""
    monkeypatch.setattr(keyring, "TRUSTED", 0.0)  # so that each request asks the database
    made = key(settings)
    assert used(settings, made) is None
    client.get("/v1/models", headers=bearer(made.secret))
    first = used(settings, made)
    assert first is not None
    client.get("/v1/models", headers=bearer(made.secret))
    assert used(settings, made) == first
    engine = connect(settings.database)
    with transaction(engine) as db:
        db.execute(update(KeyRow).values(last_used_at=first - keys.USED_EXACT_TO - 1))
    engine.dispose()
    client.get("/v1/models", headers=bearer(made.secret))
    later = used(settings, made)
    assert later is not None
    assert later >= first


def test_no_secret_is_logged(client, settings, capfd, caplog):
    """Neither of a good key nor of a bad one, at no level, whatever happens to the request."""
    good = key(settings)
    secrets = [good.secret, good.secret[:-1] + "-"]
    with caplog.at_level(logging.DEBUG):
        for secret in secrets:
            client.get("/v1/models", headers=bearer(secret))
            client.post("/v1/evaluations", json={"model": secret}, headers=bearer(good.secret))
            client.post("/v1/keys", json={"name": "x", "scopes": ["none"]}, headers=bearer(secret))
    said = caplog.text + "".join(capfd.readouterr())
    for secret in secrets:
        assert secret.split("_")[2] not in said


def test_a_form_needs_what_its_files_need(client, settings):
    """Who may submit but not upload names artifacts; the files are not even read."""
    submitter = key(settings, "evaluations:write")
    answer = client.post("/v1/evaluations", files={"model": b"m", "dataset": b"d"}, headers=bearer(submitter.secret))
    assert (answer.status_code, answer.json()["missing"]) == (403, "models:write")


def test_beyond_loopback_there_is_no_open_service(settings):
    """On any other address a key is needed, whatever the settings say; on loopback it can be required."""
    for host, wanted, is_open in (
        ("0.0.0.0", "auto", False),
        ("::", "auto", False),
        ("example.org", "auto", False),
        ("192.168.1.5", "auto", False),
        ("127.0.0.1", "required", False),
        ("127.0.0.1", "auto", True),
        ("::1", "auto", True),
        ("localhost", "auto", True),
    ):
        asked = Settings(data=settings.data, host=host, keys=wanted)
        assert asked.open is is_open, host
        with serving(asked) as client:
            answer = client.get("/v1/evaluations")
            assert answer.status_code == (200 if is_open else 401), host


@pytest.fixture
def open_client(settings: Settings) -> Iterator[TestClient]:
    with serving(settings.model_copy(update={"keys": "auto"})) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"]
)
def test_a_name_that_was_rebound_to_us_is_not_answered(open_client, host):
    """A page whose name resolves to this machine now reads nothing: its Host is no loopback name."""
    answer = open_client.get("/v1/evaluations", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1234", "[::1]:8000", "LOCALHOST"])
def test_this_machine_is_called_by_many_names(open_client, host):
    """However a program here writes it, it is answered."""
    assert open_client.get("/v1/evaluations", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"X-Forwarded-For": "203.0.113.9"}, 403),
        ({"Origin": "http://127.0.0.1"}, 201),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}, 201),
        ({}, 201),
    ],
)
def test_pages_of_other_sites_change_nothing(open_client, headers, status):
    """A form that another site posts to an open service is refused; our own page and programs are not."""
    answer = open_client.post("/v1/keys", json={"name": "x", "scopes": ["admin"]}, headers=headers)
    assert answer.status_code == status


def test_a_key_that_is_shown_is_always_checked(open_client, settings):
    """An open service takes no bad key for none, and a good one for its own tenant's."""
    assert open_client.get("/v1/evaluations", headers=bearer("lsn_nonsense")).status_code == 401
    assert open_client.get("/v1/evaluations", headers={"Authorization": "Basic eDp5"}).status_code == 401
    theirs = key(settings, tenant="other")
    mine = open_client.post("/v1/models", content=b"model").json()["id"]
    assert open_client.get(f"/v1/models/{mine}", headers=bearer(theirs.secret)).status_code == 404


def test_a_key_may_write_so_often_and_all_processes_count_together(settings):
    """Over the limit: 429, when to come again, and what the limit is; another key is not concerned."""
    limited = settings.model_copy(update={"write_limit": "4/day", "broker_url": _broker()})
    one, other = key(settings), key(settings)
    asked = {"name": "x", "scopes": ["admin"]}
    with serving(limited) as first, serving(limited) as second:
        for client in (first, second, first, second):
            answer = client.post("/v1/keys", json=asked, headers=bearer(one.secret))
            assert answer.status_code == 201
        assert answer.headers["ratelimit-policy"] == '"writes";q=4;w=86400'
        assert answer.headers["ratelimit"].startswith('"writes";r=0;t=')
        for client in (first, second):
            answer = client.post("/v1/keys", json=asked, headers=bearer(one.secret))
            assert (answer.status_code, answer.json()["type"]) == (429, "/problems/rate-limited")
            assert 0 < int(answer.headers["retry-after"]) <= 86400
            assert client.get("/v1/models", headers=bearer(one.secret)).status_code == 200
        assert first.post("/v1/keys", json=asked, headers=bearer(other.secret)).status_code == 201


def _broker() -> str | None:
    return Settings().broker_url


def test_without_redis_reads_go_on_and_writes_are_counted_here(settings, tmp_path):
    """A broker that is away answers no read with 5xx, and is no way round the limit of writes."""
    away = {"write_limit": "2/day", "read_limit": "1000/day", "broker_url": f"redis+socket://{tmp_path}/nobody.sock"}
    made = key(settings)
    asked = {"name": "x", "scopes": ["admin"]}
    with serving(settings.model_copy(update=away)) as client:
        answers = [client.post("/v1/keys", json=asked, headers=bearer(made.secret)).status_code for _ in range(3)]
        assert answers == [201, 201, 429]
        read = client.get("/v1/models", headers=bearer(made.secret))
        assert read.status_code == 200
        assert read.headers["ratelimit"].startswith('"reads";r=999;')


def test_reads_have_a_limit_too(settings):
    """Counted apart from writes."""
    made = key(settings)
    with serving(settings.model_copy(update={"read_limit": "2/day"})) as client:
        statuses = [client.get("/v1/models", headers=bearer(made.secret)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_quotas_and_a_full_queue_are_told_apart(settings):
    """429 when the tenant has its share, 503 when nobody may queue more; both say when to come again."""
    made = bearer(key(settings).secret)
    for changed, status, kind in (
        ({"max_evaluations": 1}, 429, "quota-exceeded"),
        ({"max_queued": 1}, 503, "queue-full"),
        ({"max_stored_bytes": 5}, 429, "quota-exceeded"),
    ):
        with serving(settings.model_copy(update=changed)) as client:
            names = {k: client.post(f"/v1/{k}s", content=k.encode(), headers=made) for k in ("model", "dataset")}
            if "max_stored_bytes" in changed:
                answer = client.post("/v1/models", content=b"another", headers=made)
            else:
                asked = {k: answer.json()["id"] for k, answer in names.items()}
                for seed in range(2):
                    body = asked | {"config": {"seed": seed, "confidence": 0.9 if status == 503 else 0.8}}
                    answer = client.post("/v1/evaluations", json=body, headers=made)
                assert int(answer.headers["retry-after"]) > 0
            assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
