"""One trace from the caller's request to the end of the evaluation, told to a receiver that speaks OTLP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from service import tracing
from service.examples import paths
from tests.conftest import wait_until
from tests.stack import running

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Receiver:
    """Takes traces as a collector does, at /v1/traces."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        took = self._took

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                took(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def _took(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            told = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {each.key: each.value for each in span.attributes}
                    self.spans.append({"process": told["service.name"], "span": span, "values": values})

    def named(self, name: str) -> list[Any]:
        """The spans of that name in the caller's trace."""
        return [each["span"] for each in self.spans if each["span"].name == name and self._ours(each["span"])]

    def _ours(self, span: Any) -> bool:
        return bool(span.trace_id.hex() == TRACE)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver, and an environment that names it."""
    made = Receiver()
    made.thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.address)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    yield made
    tracing.stop()
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def submitted(stack: Any, config: str) -> Any:
    """POST as a caller who traces."""
    with paths("learned")[0].open("rb") as model, paths("learned")[1].open("rb") as dataset:
        return stack.client.post(
            "/v1/evaluations",
            files={"model": model, "dataset": dataset},
            data={"config": config},
            headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
        ).json()


@pytest.mark.timeout(240)
def test_a_trace_goes_from_the_request_to_the_end(receiver: Receiver, tmp_path: Path, valkey: str) -> None:
    """The caller's trace has the request, submit, hint, claim, chunks and end, each below what caused it."""
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey, inspect_wait=0) as stack:
        made = submitted(stack, '{"precision": 0.1}')
        wait_until(lambda: receiver.named("hint"), "the hint is told")
        stack.worker()
        assert stack.ended(made["id"])["state"] == "succeeded"
        wait_until(lambda: receiver.named("evaluate"), "the worker has told")
    spans = {name: receiver.named(name) for name in ("submit", "hint", "evaluate", "claim", "prepare", "finish")}
    [request] = receiver.named("POST /v1/evaluations")
    assert request.parent_span_id.hex() == CALLER
    assert [len(found) for found in spans.values()] == [1] * len(spans)
    one = {name: found[0] for name, found in spans.items()}
    assert one["submit"].parent_span_id == request.span_id
    assert one["hint"].parent_span_id == one["evaluate"].parent_span_id == one["submit"].span_id
    chunks = receiver.named("chunk")
    assert len(chunks) >= 2
    for below in (one["claim"], one["prepare"], one["finish"], *chunks):
        assert below.parent_span_id == one["evaluate"].span_id
    assert max(chunk.end_time_unix_nano for chunk in chunks) <= one["finish"].start_time_unix_nano
    assert one["claim"].start_time_unix_nano <= one["evaluate"].start_time_unix_nano
    processes = {each["span"].name: each["process"] for each in receiver.spans}
    assert (processes["submit"], processes["chunk"]) == ("lesion-api", "lesion-worker")
    [evaluate] = [each for each in receiver.spans if each["span"].name == "evaluate"]
    assert evaluate["values"]["lesion.evaluation"].string_value == made["id"]
    assert not [each for each in receiver.spans if "/readyz" in each["span"].name]


@pytest.mark.timeout(240)
def test_whoever_goes_on_goes_on_with_the_trace(receiver: Receiver, tmp_path: Path, valkey: str) -> None:
    """The row carries it: a broker that lost everything, and a worker killed on the way, break no trace."""
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey, inspect_wait=0) as stack:
        made = submitted(stack, '{"precision": 0.004}')
        first = stack.worker()
        wait_until(lambda: stack.get(made["id"])["progress"]["trials"] > 0, "some trials are done")
        stack.kill(first)
        stack.worker()
        assert stack.ended(made["id"])["state"] == "succeeded"
        wait_until(lambda: receiver.named("finish"), "the end is told")
    [finish], evaluates = receiver.named("finish"), receiver.named("evaluate")
    assert finish.parent_span_id in {each.span_id for each in evaluates}
    claims = [each["values"]["lesion.claim"].int_value for each in receiver.spans if each["span"].name == "evaluate"]
    assert max(claims) >= 2


def test_without_an_endpoint_nothing_is_traced(tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No trace begins, and the row carries none."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey, inspect_wait=0) as stack:
        assert submitted(stack, "{}")["state"] == "queued"
        assert tracing.carried() is None
        with tracing.span("nothing") as nothing:
            assert nothing is None
