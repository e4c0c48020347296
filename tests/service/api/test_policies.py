"""Policies over HTTP: versions that never change, and evaluations that keep the one they were judged by."""

from typing import Any

from tests.service.api.conftest import Api
from tests.service.api.simulated import ROBUST, evaluated, uploaded


def put(api: Api, rules: dict[str, Any], name: str = "production", **more: Any) -> Any:
    """Let a policy have these rules."""
    return api.client.post("/v1/policies", json={"name": name, "rules": rules, **more})


def test_a_policy_has_versions(api: Api) -> None:
    """Other rules make the next version, the same rules none; each is shown by its number, the newest by the name."""
    first = put(api, {"min_score": 0.5}, note="to begin with")
    assert (first.status_code, first.headers["location"]) == (201, "/v1/policies/production@1")
    assert put(api, {"min_score": 0.5}).status_code == 200
    second = put(api, {"min_score": 0.6, "min_accuracy": 0.9})
    assert second.json()["id"] == "production@2"
    get = api.client.get
    assert get("/v1/policies/production").json() == second.json()
    assert get("/v1/policies/production@1").json() == first.json()
    assert first.json()["note"] == "to begin with"
    assert first.json()["digest"] != second.json()["digest"]
    for missing in ("production@3", "production@0", "production@x", "staging"):
        assert get(f"/v1/policies/{missing}").status_code == 404


def test_policies_are_listed_by_name_in_pages(api: Api) -> None:
    """Each once, in its newest version."""
    for name in ("c", "a", "b", "a"):
        put(api, {"min_score": 0.1 if name == "b" else len(api.client.get("/v1/policies").json()["data"]) / 10}, name)
    page = api.client.get("/v1/policies?limit=2").json()
    assert [each["id"] for each in page["data"]] == ["a@2", "b@1"]
    rest = api.client.get(f"/v1/policies?limit=2&cursor={page['next_cursor']}").json()
    assert ([each["id"] for each in rest["data"]], rest["next_cursor"]) == (["c@1"], None)


def test_an_evaluation_keeps_the_version_it_was_judged_by(api: Api) -> None:
    """The name is the newest version; what is stored is its number and its rules, whatever comes later."""
    put(api, {"min_score": 0.3})
    id = evaluated(api, ROBUST, b"one", gate={"policy": "production"})
    put(api, {"min_score": 0.99})
    known = api.client.get(f"/v1/evaluations/{id}").json()
    assert known["config"]["gate"]["policy"] == "production@1"
    assert known["config"]["gate"]["min_score"] == 0.3
    assert known["result"]["gate"]["policy"] == "production@1"
    assert known["result"]["gate"]["verdict"] == "pass"
    newer = evaluated(api, ROBUST, b"one", gate={"policy": "production"})
    assert newer != id
    assert api.client.get(f"/v1/evaluations/{newer}").json()["result"]["gate"]["verdict"] == "fail"
    # As it is shown, so it may be sent again; and it is answered from what is known.
    again = api.client.post("/v1/evaluations", json=uploaded(api, b"one") | {"config": known["config"]})
    assert (again.status_code, again.json()["id"]) == (200, id)


def test_a_key_of_a_request_outlives_a_version(api: Api) -> None:
    """The same Idempotency-Key and the same request give the same evaluation, though the policy has a new version."""
    put(api, {"min_score": 0.3})
    asked = uploaded(api, b"one") | {"config": {"gate": {"policy": "production"}}}
    headers = {"Idempotency-Key": "k"}
    first = api.client.post("/v1/evaluations", json=asked, headers=headers).json()
    put(api, {"min_score": 0.4})
    again = api.client.post("/v1/evaluations", json=asked, headers=headers)
    assert again.json()["id"] == first["id"]


def test_rules_beside_a_policy_are_added_and_never_soften_it(api: Api) -> None:
    """Another rule is added, the same one with another line refused; a policy's rules need what rules need."""
    put(api, {"min_score": 0.3})
    asked = uploaded(api, b"one")

    def sent(gate: dict[str, Any]) -> Any:
        return api.client.post("/v1/evaluations", json=asked | {"config": {"gate": {"policy": "production"} | gate}})

    assert sent({"min_accuracy": 0.9}).json()["config"]["gate"]["min_score"] == 0.3
    softer = sent({"min_score": 0.1})
    assert (softer.status_code, "production@1 says 0.3" in softer.json()["detail"]) == (422, True)
    put(api, {"max_drop": 0.1})
    wanting = sent({})
    assert (wanting.status_code, "baseline" in wanting.json()["detail"]) == (422, True)


def test_a_retired_policy_takes_no_new_evaluations(api: Api) -> None:
    """Its versions can still be read, its numbers are never used again, and a stale version retires nothing."""
    for line in (0.1, 0.2):
        put(api, {"min_score": line})
    assert api.client.delete("/v1/policies/production@1").status_code == 409
    assert api.client.delete("/v1/policies/production@2").status_code == 204
    assert api.client.delete("/v1/policies/production").status_code == 404
    assert api.client.get("/v1/policies/production").status_code == 404
    assert api.client.get("/v1/policies").json()["data"] == []
    assert api.client.get("/v1/policies/production@2").json()["rules"]["min_score"] == 0.2
    for reference in ("production", "production@2"):
        asked = uploaded(api, b"one") | {"config": {"gate": {"policy": reference}}}
        assert api.client.post("/v1/evaluations", json=asked).status_code == 404
    assert put(api, {"min_score": 0.2}).json()["id"] == "production@4"


def test_a_policy_without_rules_is_none(api: Api) -> None:
    """It would pass everything."""
    for rules in ({}, {"min_score": None}):
        assert put(api, rules).status_code == 422
    assert put(api, {"min_score": 0.5}, name="Not A Name").status_code == 422
