"""The embedded stack: broker, two workers and the API as children of one process, over one data folder.

Nothing of the worker or the API is imported here: both are started by name.
"""

import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx2

import service
from service import api_processes, signing, valkey
from service.broker import EVALUATIONS, INSPECTIONS
from service.processes import GRACE, CannotStartError, Program, Supervisor
from service.settings import Settings
from service.store import artifacts, evaluations, session

WORKERS = {EVALUATIONS: "evaluate", INSPECTIONS: "inspect"}  # a worker's name, by the queue it reads
# Whose parent of packages comes first on a child's path. Celery puts the working directory there, and a folder called
# `worker` in the caller's must not be taken for ours.
HOME = Path(service.__file__).parents[1]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BROKER_SECONDS, START_SECONDS = 10.0, 60.0  # to answer for the first time; Python on a busy machine takes long
LOG_LINES = 8  # of a program that failed to start, shown to the user


@contextmanager
def embedded(settings: Settings, grace: float = GRACE) -> Iterator[str]:
    """Run the whole stack on `settings.data` and give its address, such as http://127.0.0.1:8000.

    At the end its parts have `grace` seconds to finish what they do; Celery alone needs three, even when it is idle.

    Only in the main thread, since signals are caught: SIGTERM and SIGHUP raise SystemExit inside the block. Whatever
    ends the block, nothing is left running after it; after kill -9 the kernel sees to that. Raises `CannotStartError`.
    """
    check(settings)
    before = [(number, signal.signal(number, _leave)) for number in ENDING]
    with ExitStack() as stack:
        stack.callback(_restore, before)
        try:
            yield _start(settings, stack, grace)
        finally:
            for number in ENDING:  # nothing may cut short the taking down; it ends within seconds
                signal.signal(number, signal.SIG_IGN)


def private(data: Path) -> Settings:
    """Settings for a stack of our own in a folder, on any free port, whatever servers LESION_* names."""
    elsewhere = {"database_url": None, "broker_url": None, "blobs_url": None}
    return Settings(data=data, host="127.0.0.1", port=0, keys="auto", **elsewhere)


def check(settings: Settings) -> None:
    """Refuse to start with a signing key that signs nothing; raises `CannotStartError`."""
    if settings.signing_key is not None:
        try:
            signing.signer(settings)
        except signing.UnusableKeyError as error:
            raise CannotStartError(str(error)) from error


def worker(settings: Settings, queue: str) -> Program:
    """The worker of a queue, as a process of its own."""
    return Program(
        name=f"{WORKERS[queue]}-worker",
        command=worker_command(queue),
        environment=settings.variables(),
        directory=HOME,
        log=settings.logs / f"{WORKERS[queue]}.log",
    )


def worker_command(queue: str) -> list[str]:
    """The Celery worker of a queue.

    One evaluation at a time, since it takes all cores by itself; two inspections, since a model and a dataset come
    together.
    """
    options = "--pool prefork --loglevel WARNING --without-gossip --without-mingle --without-heartbeat"
    celery = [sys.executable, "-P", "-m", "celery", "-A", "worker.tasks", "worker", *options.split()]
    at_once = "2" if queue == INSPECTIONS else "1"
    return [*celery, "--concurrency", at_once, "--queues", queue, "--hostname", f"{WORKERS[queue]}@%h"]


def _start(settings: Settings, stack: ExitStack, grace: float) -> str:
    """Start all parts in order, each to be taken down by `stack`; return the address once the API answers."""
    stack.enter_context(_only_user(settings.data))
    settings.logs.mkdir(exist_ok=True)
    listening = stack.enter_context(api_processes.listener(settings))
    _prepare_database(settings)
    supervisor = stack.enter_context(Supervisor(grace))
    broker = None if settings.broker_url else _start_broker(settings, supervisor, stack)
    if broker is not None:
        settings = settings.model_copy(update={"broker_url": f"redis+socket://{broker}"})
    apis, workers = api_processes.programs(settings, listening, HOME), [worker(settings, queue) for queue in WORKERS]
    temporary = _temporary_folder(settings)
    for program in (*apis, *workers):
        supervisor.start(replace(program, environment={**program.environment, "TMPDIR": str(temporary)}))
    base_url = api_processes.address(listening)
    _wait(partial(_api_answers, base_url), supervisor, [*apis, *workers], START_SECONDS)
    if broker is not None:
        _wait(partial(valkey.has_readers, broker, len(workers)), supervisor, workers, START_SECONDS)
    return base_url


def _start_broker(settings: Settings, supervisor: Supervisor, stack: ExitStack) -> str:
    """Start a broker of our own; return the path of its socket once it answers."""
    path = valkey.socket_path(settings.data.absolute(), stack)
    program = valkey.program(path, settings.data.absolute(), settings.logs / "broker.log")
    supervisor.start(program)
    _wait(partial(valkey.answers, path), supervisor, [program], BROKER_SECONDS)
    return path


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _restore(before: "list[tuple[signal.Signals, signal._HANDLER]]") -> None:
    for number, handler in before:
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _only_user(data: Path) -> Iterator[None]:
    """Lock the data folder for as long as the block lasts; the kernel unlocks it if we die."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStartError(f"The data folder {data} cannot be used: {error.strerror}.") from error
    try:
        _lock(lock, data)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, data: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 20).decode(errors="replace") or "unknown"
        raise CannotStartError(
            f"The data folder {data} is in use by another Lesion (process {holder}): stop it, or use another --data."
        ) from error
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())


def _prepare_database(settings: Settings) -> None:
    """Migrate, and take work back from workers that died with an earlier stack, so that it goes on at once."""
    engine = session.connect(settings.database)
    try:
        session.migrate(engine)
        if not settings.database_url:  # else workers elsewhere may live and hold claims
            with session.transaction(engine) as db:
                evaluations.release_all(db)
                artifacts.release_all(db)
    finally:
        engine.dispose()


def _temporary_folder(settings: Settings) -> Path:
    """A folder of our own for what children leave behind when they are killed, emptied at each start."""
    folder = settings.scratch / "temporary"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _api_answers(base_url: str) -> bool:
    with suppress(httpx2.TransportError):
        # Not through a proxy that the environment names: this is our own machine.
        return httpx2.get(f"{base_url}/readyz", timeout=2, trust_env=False).is_success
    return False


def _wait(answers: Callable[[], bool], supervisor: Supervisor, needed: list[Program], seconds: float) -> None:
    """Until there is an answer; raises `CannotStartError` with the end of a log if a program ends, or time runs out."""
    deadline = time.monotonic() + seconds
    while True:
        there, late = answers(), time.monotonic() > deadline
        failed = [program for program in needed if supervisor.has_died(program.name)] or (needed[:1] if late else [])
        if failed:
            raise CannotStartError(_last_words(failed[0]))
        if there:
            return
        time.sleep(0.02)


def _last_words(program: Program) -> str:
    assert program.log is not None
    lines = program.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"The {program.name} does not start. The end of {program.log}:", *lines])
