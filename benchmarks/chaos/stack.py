"""The service's processes: the API, workers, broker and database, each of which can be killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.servers import Broker, Database, Postgresql, Sqlite, until
from service import local
from service.broker import EVALUATIONS, INSPECTIONS
from service.processes import bound
from service.settings import Settings

CHILD = "worker.sandbox"  # is in the command line of every compute process
SWEEP = 0.25  # seconds between sweeps where the lease is short


@dataclass
class Part:
    """A process of the service, as whoever runs it would: started again after each death."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    sockets: tuple[int, ...] = ()
    process: "subprocess.Popen[bytes]" = field(init=False)

    def start(self) -> None:
        """Start it, in a session of its own."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                bound(self.command),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=local.HOME,
                pass_fds=self.sockets,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """It and all below it."""
        return [process for pid in [self.process.pid, *below(self.process.pid)] for process in known(pid)]

    def kill(self) -> None:
        """kill -9 of its first process, and of nothing else: what is below must notice by itself."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to its first process and those in its session: for a worker, its pool."""
        os.killpg(self.process.pid, number)

    def end(self, seconds: float = 60.0) -> int:
        """SIGTERM to its first process; its exit code once it has ended."""
        self.process.terminate()
        return self.process.wait(seconds)


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    found: list[int] = []
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            own = [int(each) for each in (thread / "children").read_text().split()]
            found += own + [each for child in own for each in below(child)]
    return found


def known(pid: int) -> list[psutil.Process]:
    """The process of a number, if there still is one."""
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(pid)]
    return []


def children(part: Part) -> list[psutil.Process]:
    """The compute processes below a worker."""
    found = []
    for process in part.family()[1:]:
        with suppress(psutil.NoSuchProcess):
            if CHILD in " ".join(process.cmdline()):
                found.append(process)
    return found


def pools(part: Part) -> list[psutil.Process]:
    """The pool processes of a worker."""
    found = []
    for process in part.family()[1:]:
        with suppress(psutil.NoSuchProcess):
            if process.ppid() == part.process.pid:
                found.append(process)
    return found


class Stack:
    """A context manager: the whole service in a folder, on loopback without keys, gone at the end.

    rows: where SQLite's file lies. changes: settings beside those that all have.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database: str,
        rows: Path,
        lease: float,
        workers: int = 3,
        apis: int = 2,
        **changes: Any,
    ) -> None:
        self.folder, self._counts, self._changes = folder, (apis, workers), changes
        self.broker = Broker(folder)
        self.database: Database = Sqlite(rows) if database == "sqlite" else Postgresql()
        self.proxy = Proxy(self.broker.socket)
        self.lease = lease
        self.apis: list[Part] = []
        self.workers: list[Part] = []
        self.inspectors: list[Part] = []
        self._ending = ExitStack()

    def __enter__(self) -> "Stack":
        try:
            self._start()
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def _start(self) -> None:
        self._ending.callback(self.broker.close)
        self._ending.callback(self.database.close)
        self.broker.start()
        self.database.start()
        self._ending.callback(self.proxy.close)
        self.proxy.start()
        self.settings = Settings(**self._values())
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._ending.callback(self.listening.close)
        self._ending.callback(self._kill_all)
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        (self.folder / "tmp").mkdir(exist_ok=True)
        apis, workers = self._counts
        self.apis = [self._api(number) for number in range(apis)]
        self.workers = [self._worker(EVALUATIONS, number) for number in range(workers)]
        self.inspectors = [self._worker(INSPECTIONS, 0)]
        for part in self.parts:
            part.start()
        until(lambda: all(self.answers() for _ in range(apis)), "the API answers", 120)
        self.await_readers()

    def _values(self) -> dict[str, Any]:
        return {
            "data": self.folder,
            "database_url": self.database.url,
            "broker_url": self.proxy.url,
            "lease_seconds": self.lease,
            "sweep_seconds": SWEEP if self.lease < 10 else 5.0,
            "threads": 1,
            "inspect_wait": 20,
            "child_seconds": 60,
            **self._changes,
        }

    @property
    def parts(self) -> list[Part]:
        return [*self.apis, *self.inspectors, *self.workers]

    def await_readers(self, seconds: float = 120.0) -> None:
        """Until every worker waits for hints, or works."""

        def all_there() -> bool:
            with self.broker.asked() as server:
                return any(client["cmd"] == "brpop" for client in server.client_list())

        until(all_there, "workers wait for hints", seconds, pause=0.1)

    def environment(self, **more: str) -> dict[str, str]:
        """A process's variables: ours without any setting, and its settings."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("LESION_")}
        settings = {
            f"LESION_{name.upper()}": str(value)
            for name, value in self.settings.model_dump().items()
            if value is not None
        }
        # Byte code may be written: else each of hundreds of restarts would compile all it imports.
        return {**ours, **settings, "TMPDIR": str(self.folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "", **more}

    def _api(self, number: int) -> Part:
        handle = self.listening.fileno()
        command = [sys.executable, "-P", "-m", "service.cli", "api", "--socket", str(handle)]
        return Part(f"api{number}", command, self.environment(), self.folder / f"api{number}.log", (handle,))

    def _worker(self, queue: str, number: int) -> Part:
        name = f"{local.WORKERS[queue]}{number}"
        return Part(name, local.worker_command(queue), self.environment(), self.folder / f"{name}.log")

    def answers(self) -> bool:
        """Does an API process answer?"""
        with suppress(httpx2.TransportError):
            return httpx2.get(f"{self.address}/healthz", timeout=5, trust_env=False).is_success
        return False

    def _kill_all(self) -> None:
        for part in self.parts:
            with suppress(AttributeError, ProcessLookupError, PermissionError):
                if part.alive:
                    os.killpg(part.process.pid, signal.SIGCONT)  # one that is stopped ends as well
                    part.kill()

    def settle(self) -> None:
        """Start again whatever lies dead, so that the verdict is about work, not about a part that is missing."""
        for part in self.parts:
            if not part.alive:
                part.start()


def sleep(seconds: float) -> None:
    """Let the service run."""
    time.sleep(seconds)
