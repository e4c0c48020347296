"""What Prometheus and the log are told: figures of the real rows, ids that go with requests, a dashboard that fits."""

import json
import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from service import broker
from service.chunk_seconds import AWAY, Stopwatch
from tests.conftest import use_broker

DEPLOY = Path(__file__).parents[3] / "deploy"


def told(api):
    """Every sample of a scrape, by name and labels."""
    text = api.client.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_evaluations_and_uploads_are_counted_by_state(api):
    """What waits and what has ended, how long the queue is, and what is stored."""
    assert told(api)["lesion_evaluations", "queued"] == 0
    asked = api.uploaded()
    ended = api.client.post("/v1/evaluations", json=asked).json()["id"]
    api.client.post("/v1/evaluations", json={**asked, "config": {"seed": 1}})
    api.finish(ended)
    found = told(api)
    assert found["lesion_evaluations", "queued"] == 1
    assert found["lesion_evaluations", "succeeded"] == 1
    assert found["lesion_queue_oldest_seconds",] > 0
    assert found["lesion_uploads", "dataset", "ready"] == 1
    assert found["lesion_upload_bytes", "model", "ready"] == len(b"model")
    assert found["lesion_webhook_deliveries", "pending"] == 0


def test_requests_are_counted_by_route_and_not_by_address(api):
    """Addresses that callers make up become no labels."""
    for name in ("a", "b"):
        api.client.get(f"/v1/evaluations/{name}")
        api.client.get(f"/made/up/{name}")
    found = told(api)
    assert found["lesion_http_requests_total", "/v1/evaluations/{id}", "404", "GET"] == 2
    assert found["lesion_http_requests_total", "404", "GET", "none"] == 2
    assert found["lesion_http_request_seconds_count", "/v1/evaluations/{id}", "GET"] == 2


def test_what_workers_measured_is_added_up(api, valkey):
    """Two workers' chunks are in one histogram, cumulative, with their sum."""
    before = told(api)
    for seconds in (0.02, 4.0):
        stopwatch = Stopwatch()
        stopwatch.took(seconds)
        stopwatch.tell()
        stopwatch.tell()  # told once
    after = told(api)
    grown = {key: after[key] - before[key] for key in after if key[0].startswith("lesion_chunk_seconds")}
    assert grown["lesion_chunk_seconds_bucket", "0.01"] == 0
    assert grown["lesion_chunk_seconds_bucket", "0.025"] == 1
    assert grown["lesion_chunk_seconds_bucket", "+Inf"] == 2
    assert grown["lesion_chunk_seconds_count",] == 2
    assert grown["lesion_chunk_seconds_sum",] == pytest.approx(4.02)


def test_without_a_broker_the_rest_is_told(api, valkey, tmp_path, monkeypatch):
    """A scrape does not fail because the broker does; a worker keeps its figures for later."""
    before = told(api)
    stopwatch = Stopwatch()
    stopwatch.took(1.0)
    use_broker(f"redis+socket://{tmp_path}/nobody.sock")
    try:
        stopwatch.tell()
        found = told(api)
    finally:
        use_broker(valkey)
    stopwatch.tell()  # too soon after a failure: it is left alone
    assert told(api)["lesion_chunk_seconds_count",] == before["lesion_chunk_seconds_count",]
    monkeypatch.setattr("service.chunk_seconds.monotonic", lambda: time.monotonic() + AWAY)
    stopwatch.tell()
    assert told(api)["lesion_chunk_seconds_count",] == before["lesion_chunk_seconds_count",] + 1
    assert ("lesion_evaluations", "queued") in found
    assert ("lesion_hints_waiting", broker.EVALUATIONS) not in found


def test_every_answer_names_its_request(api):
    """A caller's own id is kept if it is a sane one; else there is a new one. A problem has it as well."""
    assert api.client.get("/healthz", headers={"X-Request-Id": "ci-42"}).headers["x-request-id"] == "ci-42"
    names = {api.client.get("/v1/none", headers={"X-Request-Id": odd}).headers["x-request-id"] for odd in ("a b", "")}
    assert len(names) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in names)


def test_a_fault_is_counted_logged_and_named(api, monkeypatch):
    """A 500 has the id under which the log has its traceback."""
    monkeypatch.setattr("service.api.keys.keys.page", lambda *_: 1 / 0)
    with capture_logs(processors=[merge_contextvars]) as logs:
        answer = api.client.get("/v1/keys", headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    assert {(line["event"], line["request"]) for line in logs} == {("request", "mine"), ("request.failed", "mine")}
    assert told(api)["lesion_http_requests_total", "/v1/keys", "500", "GET"] == 1


def test_a_write_is_logged_with_its_evaluation(api):
    """The log joins a request to the evaluation that it made; a read that went well is not logged."""
    asked = api.uploaded()
    with capture_logs() as logs:
        made = api.client.post("/v1/evaluations", json=asked).json()["id"]
        api.client.get(f"/v1/evaluations/{made}")
        api.client.delete(f"/v1/evaluations/{made}")
    lines = [(line["method"], line["status"], line["evaluation"]) for line in logs if line["event"] == "request"]
    assert lines == [("POST", 202, made), ("DELETE", 200, made)]


def test_dashboard_and_alerts_ask_for_what_is_there(api):
    """Every metric that deploy/ mentions is told."""
    api.client.get("/healthz")
    stopwatch = Stopwatch()
    stopwatch.took(1.0)
    stopwatch.tell()
    api.uploaded()
    names = {key[0] for key in told(api)}
    dashboard = json.loads((DEPLOY / "grafana/lesion.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = YAML(typ="safe").load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    asked += [rule["expr"] for rule in rules]
    wanted = {name for expression in asked for name in re.findall(r"lesion_\w+", expression)}
    assert wanted <= names
    documented = (DEPLOY.parent / "docs/monitoring.md").read_text()
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in names if name.startswith("lesion_")}
    assert [name for name in families if name not in documented] == []
