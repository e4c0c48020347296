"""Standings over HTTP and in the report, and the page that says what a score is worth."""

from service import evidence
from tests.service.api.conftest import Api


def test_the_service_says_it(api: Api) -> None:
    """Over HTTP and in the report, of a model of another kind: the same sentence, and why."""
    made = api.client.post("/v1/evaluations", json=api.uploaded()).json()["id"]
    assert api.client.get(f"/v1/evaluations/{made}/standing").json()["type"] == "/problems/not-ready"
    api.finish(made)
    told = api.client.get(f"/v1/evaluations/{made}/standing").json()
    assert told["higher_than"] is None
    assert any("3 classes" in reason for reason in told["reasons"])
    assert "Not comparable with the networks" in api.client.get(f"/v1/evaluations/{made}/report.html").text
    cancelled = api.client.post("/v1/evaluations", json=api.uploaded() | {"config": {"seed": 2}}).json()["id"]
    api.client.delete(f"/v1/evaluations/{cancelled}")
    assert api.client.get(f"/v1/evaluations/{cancelled}/standing").json()["type"] == "/problems/conflict"


def test_the_evidence_is_a_page_that_loads_nothing(api: Api) -> None:
    """What docs/evidence.md says, pictures within, and no script."""
    answer = api.client.get("/evidence")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert 'src="evidence/' not in answer.text, "a picture that is not within the page"
    assert evidence.FILE.read_text() in answer.text
