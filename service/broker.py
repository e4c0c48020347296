"""The way to the workers: the Celery app, the tasks' names, and hints. A hint may be lost: the row is the truth."""

from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from service.settings import Settings

# Names, so that the service need not import the worker.
EVALUATE = "lesion.evaluate"
INSPECT = "lesion.inspect"
# Queues. Inspections have their own, so that hours-long evaluations hold up no upload's answer.
EVALUATIONS = "lesion.evaluate"
INSPECTIONS = "lesion.inspect"
CONNECT_SECONDS = 2  # a broker that is down must not hold up a caller

log = structlog.get_logger()


def options() -> dict[str, Any]:
    """Celery's settings. Read when the app is first used, not at import.

    Early acknowledgement and no results, because the row holds the truth: a message that is lost or comes twice costs
    a moment, nothing more.
    """
    return {
        "broker_url": Settings().broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": 300,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": CONNECT_SECONDS,
            "health_check_interval": 10,
            # kombu's own patience, 6 s of sleeping between tries, would be the caller's.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": 0.1,
        },
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_acks_late": False,
        "task_ignore_result": True,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "task_routes": {EVALUATE: {"queue": EVALUATIONS}, INSPECT: {"queue": INSPECTIONS}},
    }


celery = Celery("lesion", set_as_current=False, include=["worker.tasks"])
celery.add_defaults(options)


def hint_evaluation(evaluation: str) -> bool:
    """Tell some worker that an evaluation wants work. False if the broker does not answer; the sweeper repeats it."""
    return _send(EVALUATE, [evaluation])


def hint_inspection(kind: str, digest: str) -> bool:
    """Tell some worker that an upload wants to be inspected. False if the broker does not answer."""
    return _send(INSPECT, [kind, digest])


def waiting(queue: str) -> int:
    """How many hints lie unread in a queue. Raises `OperationalError` if the broker does not answer."""
    with celery.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=CONNECT_SECONDS)
        return int(connection.default_channel.client.llen(queue))


def _send(task: str, arguments: list[str]) -> bool:
    try:
        celery.send_task(task, args=arguments, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("hint.lost", task=task, arguments=arguments, error=str(error))
        return False
    return True
