"""The way to the workers: the Celery app, the tasks' names, and hints. A hint may be lost: the row is the truth."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from service.settings import Settings

# Names, so that the service need not import the worker.
EVALUATE = "lesion.evaluate"
INSPECT = "lesion.inspect"
# Queues. Inspections have their own, so that hours-long evaluations hold up no upload's answer.
EVALUATIONS = "lesion.evaluate"
INSPECTIONS = "lesion.inspect"
REFUSING = "lesion.refusing."  # begins the keys under which workers say why they refuse work
CONNECT_SECONDS = 2  # a broker that is down must not hold up a caller
SEND_SECONDS = 1.0  # nor one that takes what is sent and does not answer
ANSWER_SECONDS = 2.0  # for what is asked of it
AWAY = (OperationalError, OSError, RedisError)  # what is raised where the broker does not answer, or answers nonsense

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
        # The second asks for no more than there are processes. The first must not as well: kombu counts a message whose
        # acknowledgement failed with the connection as held for ever, and a worker that may hold one would get no more.
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 0,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "task_routes": {EVALUATE: {"queue": EVALUATIONS}, INSPECT: {"queue": INSPECTIONS}},
    }


celery = Celery("lesion", set_as_current=False, include=["worker.tasks"])
celery.add_defaults(options)


def hint_evaluation(evaluation: str) -> bool:
    """Tell some worker that an evaluation wants work. False if the broker does not answer; the sweeper repeats it."""
    return _send(EVALUATE, [evaluation])


def hint_inspection(tenant: str, kind: str, digest: str) -> bool:
    """Tell some worker that an upload wants to be inspected. False if the broker does not answer."""
    return _send(INSPECT, [tenant, kind, digest])


def waiting(queue: str) -> int:
    """How many hints lie unread in a queue. Raises one of `AWAY` if the broker does not answer."""
    with _asking() as client:
        return int(client.llen(queue))


def refuse(worker: str, why: str | None) -> None:
    """Note why the workers of this machine refuse all work, for an hour; None: they do not. Best effort."""
    with suppress(*AWAY), _asking() as client:
        if why is None:
            client.delete(f"{REFUSING}{worker}")
        else:
            client.set(f"{REFUSING}{worker}", why, ex=3600)


def refusals() -> dict[str, str]:
    """Why workers refuse work, by machine. Raises one of `AWAY` if the broker does not answer."""
    with _asking() as client:
        keys = [key.decode() for key in client.scan_iter(f"{REFUSING}*", count=1000)]
        notes = ((key.removeprefix(REFUSING), client.get(key)) for key in keys)
        return {worker: note.decode() for worker, note in notes if note is not None}


def add(key: str, amounts: Mapping[str, float]) -> bool:
    """Add numbers to those that lie under a key. False if the broker does not answer."""
    try:
        with _asking() as client, client.pipeline(transaction=True) as all_at_once:
            for name, amount in amounts.items():
                all_at_once.hincrbyfloat(key, name, amount)
            all_at_once.execute()
    except AWAY:
        return False
    return True


def added(key: str) -> dict[str, float]:
    """The numbers under a key. Raises one of `AWAY` if the broker does not answer."""
    with _asking() as client:
        return {name.decode(): float(amount) for name, amount in client.hgetall(key).items()}


@contextmanager
def _asking() -> Iterator[Any]:
    """A client of the broker's, for who cannot wait long for its answers."""
    with celery.connection_for_write(transport_options={"socket_timeout": ANSWER_SECONDS}) as connection:
        connection.ensure_connection(max_retries=1, timeout=CONNECT_SECONDS)
        yield connection.default_channel.client


@cache
def _sender() -> ThreadPoolExecutor:
    """The thread that sends. One: while it waits for a broker that does not answer, there is no use in waiting more."""
    return ThreadPoolExecutor(1, thread_name_prefix="hints")


def _send(task: str, arguments: list[str]) -> bool:
    sent: Future[None] = _sender().submit(_publish, task, arguments)
    try:
        sent.result(SEND_SECONDS)
    except (*AWAY, TimeoutError) as error:
        sent.cancel()  # if it has not begun; else it may yet arrive, which does no harm
        log.warning("hint.lost", task=task, arguments=arguments, error=str(error) or "no answer")
        return False
    return True


def _publish(task: str, arguments: list[str]) -> None:
    celery.send_task(task, args=arguments, retry=False, ignore_result=True)
