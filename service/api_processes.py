"""The API as one process or several: they share a listening socket, so whoever is free takes the next connection."""

import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.processes import CannotStartError, Program, Supervisor
from service.settings import Settings

FIGURES = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client adds up what several processes counted


def serve(settings: Settings, home: Path, grace: float) -> None:
    """Run `settings.api_processes` of them until SIGTERM or Ctrl-C, which each has `grace` seconds to obey.

    A process that dies is started again. home: the folder to run them in. Raises `CannotStartError`.
    """
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: told.set())
    with listener(settings) as listening, Supervisor(grace) as supervisor:
        for program in programs(settings, listening, home, apart=False):
            supervisor.start(program)
        told.wait()


def programs(settings: Settings, listening: socket.socket, home: Path, *, apart: bool = True) -> list[Program]:
    """One for each process; `apart`: with logs of their own, else they write where we do."""
    environment = settings.variables()
    if settings.figures is not None:
        shutil.rmtree(settings.figures, ignore_errors=True)  # what earlier processes counted is theirs
        settings.figures.mkdir(mode=0o700, parents=True)
        environment[FIGURES] = str(settings.figures)
    names = ["api", *(f"api-{number}" for number in range(2, settings.api_processes + 1))]
    return [
        Program(
            name=name,
            command=[sys.executable, "-P", "-m", "service.cli", "api", "--socket", str(listening.fileno())],
            environment=environment,
            directory=home,
            log=settings.logs / f"{name}.log" if apart else None,
            sockets=(listening.fileno(),),
        )
        for name in names
    ]


@contextmanager
def listener(settings: Settings) -> Iterator[socket.socket]:
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


def address(listening: socket.socket) -> str:
    """Where a socket of ours is reached, such as http://127.0.0.1:8000."""
    host, port = listening.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, not listened on
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"
