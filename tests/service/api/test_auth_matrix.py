"""Every route, for every kind of caller, on things of its own, of others and of nobody: made from the API's document.

What a route expects comes from the scope that it declares. A route that is added is in here by itself; one of a new
noun fails until `MAKERS` can make one.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from service import schemas
from service.api.deps import Backends
from service.app import create_app
from service.settings import Settings
from service.store import artifacts, evaluations, keys, tenants, webhooks
from service.store.session import clock, transaction
from service.store.tables import KeyRow
from tests.conftest import HERE, use_broker
from tests.service import answers
from tests.service.api.conftest import DATASET_FOUND, MODEL_FOUND

DOCUMENT = create_app(Settings()).openapi()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
READ: tuple[schemas.Scope, ...] = ("evaluations:read",)
UPLOAD: tuple[schemas.Scope, ...] = ("models:write", "datasets:write")
SUBMIT: tuple[schemas.Scope, ...] = (*READ, *UPLOAD, "evaluations:write")
NUMBERS = itertools.count()


@dataclass
class Principal:
    """Somebody who calls: a header, and what stands behind it. `tenant` is None for who is nobody here."""

    name: str
    header: str | None
    tenant: str | None = None
    scopes: tuple[str, ...] = ()


@dataclass
class World:
    """A service that wants keys, with two tenants."""

    client: TestClient
    principals: list[Principal] = field(default_factory=list)
    admins: dict[str, Principal] = field(default_factory=dict)  # by tenant: who makes what the others then ask for

    @property
    def backends(self) -> Backends:
        found: Backends = self.client.app.state.backends  # type: ignore[attr-defined]
        return found

    def ask(self, principal: Principal, method: str, path: str, **body: Any) -> httpx2.Response:
        headers = {} if principal.header is None else {"Authorization": principal.header}
        return self.client.request(method.upper(), path, headers=headers, **body)

    def made(self, tenant: str, method: str, path: str, **body: Any) -> Any:
        answer = self.ask(self.admins[tenant], method, path, **body)
        assert answer.is_success, answer.text
        return answer.json()

    def other(self, tenant: str) -> str:
        return next(each for each in self.admins if each != tenant)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    nobody = f"redis+socket://{folder}/nobody.sock"
    settings = Settings(
        data=folder,
        keys="required",
        inspect_wait=0,
        read_limit="",
        write_limit="",
        broker_url=nobody,
        webhook_allow="127.0.0.1",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESION_BROKER_URL", nobody)
        patch.setattr(webhooks, "MOST", 1000)  # each principal has its own made
        use_broker(nobody)
        with TestClient(create_app(settings), HERE, raise_server_exceptions=False) as client:
            world = World(client)
            _people(world)
            yield world


def _people(world: World) -> None:
    with transaction(world.backends.engine) as db:
        a, b = tenants.ensure(db, "A").id, tenants.ensure(db, "B").id

        def key(tenant: str, scopes: tuple[schemas.Scope, ...]) -> keys.Made:
            return keys.create(db, tenant, "key", list(scopes))

        revoked, expired, admin_b = key(a, schemas.SCOPES), key(a, schemas.SCOPES), key(b, schemas.SCOPES)
        keys.revoke(db, a, revoked.row.id)
        db.execute(update(KeyRow).where(KeyRow.id == expired.row.id).values(expires_at=clock() - 1))
        good = {
            "read-only A": (a, READ),
            "uploader A": (a, UPLOAD),
            "submit A": (a, SUBMIT),
            "admin A": (a, schemas.SCOPES),
            "submit B": (b, SUBMIT),
        }
        known = {name: key(*whose) for name, whose in good.items()}
    unknown = "lsn_" + "0" * 12 + "_" + "0" * 43
    bad = {
        "anonymous": None,
        "malformed": "Bearer of no key",
        "another scheme": "Basic bGVzaW9uOmxlc2lvbg==",
        "bad checksum": f"Bearer {known['admin A'].secret[:-1]}" + ("0" if known["admin A"].secret[-1] != "0" else "1"),
        "unknown": f"Bearer {unknown}_{keys._checksum(unknown)}",
        "revoked": f"Bearer {revoked.secret}",
        "expired": f"Bearer {expired.secret}",
    }
    world.principals = [Principal(name, header) for name, header in bad.items()]
    for name, (tenant, scopes) in good.items():
        world.principals.append(Principal(name, f"Bearer {known[name].secret}", tenant, scopes))
    world.admins = {
        a: next(each for each in world.principals if each.name == "admin A"),
        b: Principal("admin B", f"Bearer {admin_b.secret}", b, schemas.SCOPES),
    }


def _artifact(world: World, tenant: str, kind: artifacts.Kind) -> str:
    """An inspected upload."""
    answer = world.made(tenant, "POST", f"/v1/{kind}s", content=f"{kind} {next(NUMBERS)}".encode())
    with transaction(world.backends.engine) as db:
        found = MODEL_FOUND if kind == "model" else DATASET_FOUND
        artifacts.accept(db, tenant, kind, answer["id"], found)
    digest: str = answer["id"]
    return digest


def _question(world: World, tenant: str) -> dict[str, Any]:
    return {
        "model": _artifact(world, tenant, "model"),
        "dataset": _artifact(world, tenant, "dataset"),
        "config": {"seed": next(NUMBERS)},
    }


def _evaluation(world: World, tenant: str) -> str:
    """One that has ended, so that its events end too."""
    made = world.made(tenant, "POST", "/v1/evaluations", json=_question(world, tenant))["id"]
    return str(world.made(tenant, "DELETE", f"/v1/evaluations/{made}")["id"])


def _two(world: World, tenant: str) -> dict[str, str]:
    return {"baseline": _evaluation(world, tenant), "candidate": _evaluation(world, tenant)}


def _hook() -> dict[str, str]:
    return {"url": f"http://127.0.0.1:9/{next(NUMBERS)}"}


def _key(world: World, tenant: str) -> str:
    return str(world.made(tenant, "POST", "/v1/keys", json={"name": "k", "scopes": ["evaluations:read"]})["id"])


def _rules() -> dict[str, Any]:
    return {"name": f"p{next(NUMBERS)}", "rules": {"min_score": 0.5}}


def _unknown_digest(_id: str) -> str:
    return "sha256:" + hashlib.sha256(str(next(NUMBERS)).encode()).hexdigest()


@dataclass(frozen=True)
class Maker:
    """How to make one thing of a noun for a tenant, and how an id of nobody's looks, given one that is somebody's."""

    make: Callable[[World, str], str]
    missing: Callable[[str], str] = lambda known: known[:-4] + "0000"


MAKERS = {
    "models": Maker(lambda world, tenant: _artifact(world, tenant, "model"), _unknown_digest),
    "datasets": Maker(lambda world, tenant: _artifact(world, tenant, "dataset"), _unknown_digest),
    "evaluations": Maker(_evaluation),
    "keys": Maker(_key),
    "policies": Maker(
        lambda world, tenant: str(world.made(tenant, "POST", "/v1/policies", json=_rules())["id"]),
        lambda known: known.replace("p", "q"),
    ),
    "webhooks": Maker(lambda world, tenant: str(world.made(tenant, "POST", "/v1/webhooks", json=_hook())["id"])),
}
# Bodies with which a route does its work. A route that is not here is sent an empty object.
BODIES: dict[tuple[str, str], Callable[[World, str], dict[str, Any]]] = {
    ("/v1/models", "post"): lambda _world, _tenant: {"content": f"m{next(NUMBERS)}".encode()},
    ("/v1/models", "put"): lambda _world, _tenant: {"content": f"m{next(NUMBERS)}".encode()},
    ("/v1/datasets", "post"): lambda _world, _tenant: {"content": f"d{next(NUMBERS)}".encode()},
    ("/v1/datasets", "put"): lambda _world, _tenant: {"content": f"d{next(NUMBERS)}".encode()},
    ("/v1/evaluations", "post"): lambda world, tenant: {"json": _question(world, tenant)},
    ("/v1/comparisons", "post"): lambda world, tenant: {"json": _two(world, tenant)},
    ("/v1/webhooks", "post"): lambda _world, _tenant: {"json": _hook()},
    ("/v1/policies", "post"): lambda _world, _tenant: {"json": _rules()},
    ("/v1/keys", "post"): lambda _world, _tenant: {"json": {"name": "new", "scopes": ["evaluations:read"]}},
}
# What a read must say besides its address to be one.
QUERIES: dict[str, Callable[[World, str], dict[str, Any]]] = {
    "/v1/evaluations/{id}/comparison.{kind}": lambda world, tenant: {"baseline": _evaluation(world, tenant)},
}


def scope(path: str, method: str) -> str | None:
    """The scope a route declares; None for one that anyone may call."""
    operation = DOCUMENT["paths"][path][method]
    declared = operation.get("security")
    assert declared is not None, (
        f"{method.upper()} {path} declares no scope: give it `caller: Annotated[Caller, may(SCOPE)]`, or "
        "`openapi_extra=PUBLIC` if anyone may call it (service/api/deps.py)."
    )
    if declared == []:
        return None
    [[scopes]] = [list(each.values()) for each in declared]
    assert len(scopes) == 1, f"{method.upper()} {path} must declare one scope"
    assert scopes[0] in schemas.SCOPES
    return str(scopes[0])


def filled(path: str, method: str, id: str) -> str:
    """The address with an id in the place of its first parameter, and something valid in those of the others."""
    names = [part[1:].partition("}")[0] for part in path.split("{")[1:] for part in ["{" + part]]
    described = {one["name"]: one for one in DOCUMENT["paths"][path][method].get("parameters", [])}
    for number, name in enumerate(names):
        choices = described[name]["schema"].get("enum", ["0"])
        path = path.replace("{" + name + "}", id if number == 0 else choices[0])
    return path


def sent(world: World, path: str, method: str, tenant: str) -> dict[str, Any]:
    """A body for a route."""
    if method in ("get", "delete"):
        return {"params": QUERIES[path](world, tenant)} if path in QUERIES else {}
    body = BODIES.get((path, method))
    return {"json": {}} if body is None else body(world, tenant)


def maker(path: str, method: str) -> Maker:
    noun = path.split("/")[2]
    assert noun in MAKERS, f"{method.upper()} {path} is of a new noun: add to MAKERS how to make one of {noun}."
    return MAKERS[noun]


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda value: str(value))
def test_a_route_lets_in_whom_it_says_and_shows_nobody_anothers_things(world, path, method):
    """401 without a good key, 403 without the scope, 404 in the same words for another's id as for nobody's."""
    needed = scope(path, method)
    for principal in world.principals:
        case = f"{principal.name}: {method.upper()} {path}"
        if needed is None:
            answer = world.ask(principal, method, filled(path, method, "not-found"))
            assert answer.status_code == 200, case
        elif principal.tenant is None:
            _is_unauthorized(world.ask(principal, method, filled(path, method, _any_id(path)), json={}), case)
        elif needed not in principal.scopes:
            for id in [""] if "{" not in path else [maker(path, method).make(world, t) for t in world.admins]:
                answer = world.ask(
                    principal, method, filled(path, method, id), **sent(world, path, method, principal.tenant)
                )
                assert (answer.status_code, answer.json().get("missing")) == (403, needed), case
        else:
            _is_served(world, principal, path, method, case)


def _any_id(path: str) -> str:
    return _unknown_digest("") if "{digest}" in path else "some_id"


def _is_unauthorized(answer: httpx2.Response, case: str) -> None:
    assert answer.status_code == 401, case
    assert answer.headers["content-type"] == "application/problem+json", case
    assert answer.json()["type"] == "/problems/unauthorized", case
    assert answer.headers["www-authenticate"].startswith("Bearer "), case


def _is_served(world: World, principal: Principal, path: str, method: str, case: str) -> None:
    assert principal.tenant is not None
    body = sent(world, path, method, principal.tenant)
    if "{" not in path:
        answer = world.ask(principal, method, path, **body)
        assert answer.status_code < 500, (case, answer.text)
        assert answer.status_code not in (401, 403, 404), (case, answer.text)
        return
    one = maker(path, method)
    own, foreign = one.make(world, principal.tenant), one.make(world, world.other(principal.tenant))
    missing = one.missing(foreign)
    answer = world.ask(principal, method, filled(path, method, own), **body)
    # 409: nobody computed a curve; what was cancelled has nothing to be compared.
    nothing_yet = answer.status_code == 409 or "/problems/not-comparable" in answer.text
    assert answer.is_success or nothing_yet, (case, answer.text)
    theirs = world.ask(principal, method, filled(path, method, foreign), **body)
    nobodys = world.ask(principal, method, filled(path, method, missing), **body)
    assert theirs.status_code == 404, (case, theirs.text)
    assert theirs.text.replace(foreign, "ID") == nobodys.text.replace(missing, "ID"), case
    assert _headers(theirs) == _headers(nobodys), case
    untouched = world.ask(world.admins[world.other(principal.tenant)], "get", _show(path, foreign))
    assert untouched.status_code in (200, 202), case


def _headers(answer: httpx2.Response) -> dict[str, str]:
    """All but the request's own id."""
    return {name: value for name, value in answer.headers.items() if name != "x-request-id"}


def _show(path: str, id: str) -> str:
    return "/".join(path.split("/")[:3]) + f"/{id}"


def test_every_route_is_in_the_document():
    """A route that the document hides would be in no cell of the matrix."""
    shown = set(DOCUMENT["paths"])
    hidden = {route.path for route in create_app(Settings()).routes if hasattr(route, "path")} - shown
    assert not [path for path in hidden if path.startswith("/v1")]


def test_an_evaluation_may_name_ones_own_artifacts_only(world):
    """Another tenant's digests are unknown here, in the same words as digests of nobody."""
    a, b = world.admins
    theirs, mine = _question(world, a), _question(world, b)
    for kind in artifacts.KINDS:
        unknown = _unknown_digest("")
        foreign = world.ask(world.admins[b], "POST", "/v1/evaluations", json={**mine, kind: theirs[kind]})
        nobodys = world.ask(world.admins[b], "POST", "/v1/evaluations", json={**mine, kind: unknown})
        assert foreign.status_code == 404
        assert foreign.text.replace(theirs[kind], "ID") == nobodys.text.replace(unknown, "ID")


def test_a_gate_may_name_ones_own_things_only(world):
    """Another tenant's policies and evaluations are unknown here, in the same words as those of nobody."""
    a, b = world.admins
    policy, baseline = MAKERS["policies"].make(world, a), _finished(world, a)["baseline"]
    nobody = MAKERS["policies"].missing(policy), MAKERS["evaluations"].missing(baseline)
    for name, theirs, unknown in (
        ("policy", {"gate": {"policy": policy}}, {"gate": {"policy": nobody[0]}}),
        ("baseline", {"baseline": baseline}, {"baseline": nobody[1]}),
        ("training", {"training": baseline}, {"training": nobody[1]}),
    ):
        mine = _question(world, b)
        foreign = world.ask(world.admins[b], "POST", "/v1/evaluations", json={**mine, "config": theirs})
        nobodys = world.ask(world.admins[b], "POST", "/v1/evaluations", json={**mine, "config": unknown})
        assert foreign.status_code == 404, name
        known, missing = (policy, nobody[0]) if name == "policy" else (baseline, nobody[1])
        assert foreign.text.replace(known, "ID") == nobodys.text.replace(missing, "ID")


def test_a_comparison_may_name_ones_own_evaluations_only(world):
    """Another tenant's evaluations are unknown here, in the same words as those of nobody."""
    a, b = world.admins
    theirs = _evaluation(world, a)
    unknown = MAKERS["evaluations"].missing(theirs)
    for side in ("baseline", "candidate"):
        mine = _finished(world, b)
        foreign = world.ask(world.admins[b], "POST", "/v1/comparisons", json={**mine, side: theirs})
        nobodys = world.ask(world.admins[b], "POST", "/v1/comparisons", json={**mine, side: unknown})
        assert foreign.status_code == 404
        assert foreign.text.replace(theirs, "ID") == nobodys.text.replace(unknown, "ID")
    at = f"/v1/evaluations/{_finished(world, b)['candidate']}/comparison.csv"
    foreign, nobodys = (
        world.ask(world.admins[b], "GET", at, params={"baseline": baseline}) for baseline in (theirs, unknown)
    )
    assert foreign.status_code == 404
    assert foreign.text.replace(theirs, "ID") == nobodys.text.replace(unknown, "ID")


def _finished(world: World, tenant: str) -> dict[str, str]:
    """Two evaluations that have a result."""
    made = [world.made(tenant, "POST", "/v1/evaluations", json=_question(world, tenant))["id"] for _ in range(2)]
    for id in made:
        with transaction(world.backends.engine) as db:
            claim = evaluations.claim(db, id, "worker", 30)
            assert claim is not None
            evaluations.finish(db, claim, schemas.canonical(answers.result().model_dump(mode="json")), 0)
    return dict(zip(("baseline", "candidate"), made, strict=True))


def test_lists_show_ones_own_things_only(world):
    """Each list of a tenant shows what it made, and nothing that another made."""
    a, b = world.admins
    for noun, one in MAKERS.items():
        mine, theirs = one.make(world, a), one.make(world, b)
        page = world.made(a, "GET", f"/v1/{noun}?limit=100")
        shown = {each["id"] for each in page["data"]}
        assert mine in shown, noun
        assert theirs not in shown, noun


def test_a_status_read_is_the_same_by_both_its_ways(world):
    """A read without parameters has a shorter way; nobody gets more or less by it."""
    asked = []
    for tenant in world.admins:
        queued = world.made(tenant, "POST", "/v1/evaluations", json=_question(world, tenant))["id"]
        asked += [queued, _evaluation(world, tenant), MAKERS["evaluations"].missing(queued)]
    statuses = set()
    for principal in world.principals:
        for id in asked:
            short, long = (world.ask(principal, "get", f"/v1/evaluations/{id}{more}") for more in ("", "?wait=0"))
            case = f"{principal.name}: {id}"
            assert (short.status_code, short.text) == (long.status_code, long.text), case
            assert _headers(short) == _headers(long), case
            statuses.add(short.status_code)
    assert statuses == {200, 202, 401, 403, 404}
