"""Traces over OTLP, for who asks for them with OTEL_EXPORTER_OTLP_ENDPOINT and has the extra `otel`; else nothing.

One trace goes from a request through the row that it made to the worker that ends it: what is carried is a
`traceparent` (https://www.w3.org/TR/trace-context/), and the row keeps it, as it keeps all else.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import structlog

from service import __version__
from service.settings import Telemetry

HEADER = "traceparent"
FLUSH_MILLISECONDS = 2_000  # that a worker waits, between two evaluations, for a collector that is slow
Kind = Literal["server", "producer", "consumer", "internal"]
Attribute = str | int

log = structlog.get_logger()


class _Tracing:
    """What this process traces with."""

    provider: Any = None
    tracer: Any = None


_now = _Tracing()


def start(process: str) -> None:
    """Begin, if traces are asked for. In each process of its own, since what sends them is a thread."""
    if not (telemetry := Telemetry()).wanted or _now.tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces.unavailable", why="OTEL_EXPORTER_OTLP_ENDPOINT is set, but not the extra `otel` installed.")
        return
    about = {"service.name": telemetry.otel_service_name or f"lesion-{process}", "service.version": __version__}
    _now.provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    _now.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _now.tracer = _now.provider.get_tracer("lesion", __version__)


def stop() -> None:
    """Send what is left, and end."""
    if _now.provider is not None:
        _now.provider.shutdown()
    _now.provider = _now.tracer = None


def flush() -> None:
    """Send what there is: a worker may be killed before the next time."""
    if _now.provider is not None:
        _now.provider.force_flush(FLUSH_MILLISECONDS)


@contextmanager
def span(
    name: str, about: Mapping[str, Attribute] | None = None, parent: str | None = None, kind: Kind = "internal"
) -> Iterator[Any]:
    """Time what the block does, under `parent` (a traceparent), else under the span around it. An error is noted.

    Yields the span, or None where nothing is traced.
    """
    if _now.tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind

    arguments: Any = {"kind": SpanKind[kind.upper()], "attributes": about, "context": _context(parent)}
    with _now.tracer.start_as_current_span(name, **arguments) as made:
        yield made


def past(name: str, began: float) -> None:
    """Note under the current span what began at `began` (`time.time()`) and has ended now."""
    if _now.tracer is not None:
        made = _now.tracer.start_span(name, start_time=int(began * 1e9))
        made.end(int(time.time() * 1e9))


def carried() -> str | None:
    """The current span as a traceparent, for a row or a message to carry; None where nothing is traced."""
    if _now.tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER)


def _context(parent: str | None) -> Any:
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: parent})
