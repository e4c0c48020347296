"""What Prometheus is told: the database's figures, the broker's, and this process's own requests.

The database and the broker are asked at each scrape, so every API process tells the same, whoever did the work.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from service import __version__, broker, chunk_seconds
from service.store import figures
from service.store.session import reading

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
OUTCOMES = ("pending", "delivered", "failed")


class Shared(Collector):
    """What all processes share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Ask now."""
        with reading(self._engine) as db:
            now = figures.now(db)
        yield _gauge("lesion_evaluations", "Evaluations by state, of all tenants.", "state", now.evaluations, STATES)
        yield GaugeMetricFamily(
            "lesion_queue_oldest_seconds", "How long the oldest queued evaluation waits.", now.oldest_queued
        )
        yield GaugeMetricFamily("lesion_workers_busy", "Workers that hold a claim now.", now.working)
        yield _gauge("lesion_webhook_deliveries", "Webhook deliveries by state.", "state", now.deliveries, OUTCOMES)
        for name, about, place in (
            ("lesion_uploads", "Uploads by kind and state.", 0),
            ("lesion_upload_bytes", "Bytes of uploads by kind and state.", 1),
        ):
            family = GaugeMetricFamily(name, about, labels=("kind", "state"))
            for labels, values in sorted(now.uploads.items()):
                family.add_metric(labels, values[place])
            yield family
        with suppress(*broker.AWAY):
            yield from _broker()


def _broker() -> Iterator[Metric]:
    waiting = {queue: broker.waiting(queue) for queue in (broker.EVALUATIONS, broker.INSPECTIONS)}
    yield _gauge("lesion_hints_waiting", "Hints that no worker has read.", "queue", waiting)
    yield GaugeMetricFamily("lesion_workers_refusing", "Machines whose workers refuse work.", len(broker.refusals()))
    buckets, total = chunk_seconds.told()
    yield HistogramMetricFamily("lesion_chunk_seconds", "Seconds that workers computed a chunk.", buckets, total)


def _gauge(
    name: str, about: str, label: str, values: dict[str, int], always: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=(label,))
    for each, value in (dict.fromkeys(always, 0) | values).items():
        family.add_metric((each,), value)
    return family


def registry(figures: Path | None) -> CollectorRegistry:
    """A registry of its own for each application: nothing is global.

    figures: the folder in which several processes count, if there are several; the registry then tells their sums.
    """
    made = CollectorRegistry(auto_describe=False)
    version = GaugeMetricFamily("lesion_info", "The version that runs.", labels=("version",))
    version.add_metric((__version__,), 1)
    made.register(_Constant(version))
    if figures is not None:
        MultiProcessCollector(made, str(figures))  # type: ignore[no-untyped-call]
    return made


class _Constant(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric
