"""Does the API do what its OpenAPI document says? Schemathesis against the real application, all checks, all phases.

python -m benchmarks.contract [--examples 400] [--seed 1]
"""

import argparse
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import structlog
import uvicorn

from service.api import waiting
from service.app import create_app
from service.schemas import SCOPES
from service.settings import Settings
from service.store import keys
from service.store.session import connect, transaction
from service.store.tenants import DEFAULT

CONFIG = Path(__file__).with_suffix(".toml")
EVENTS_SECONDS = 0.5  # of one stream
SLOWEST = 5.0  # seconds that an answer may take, on a machine that does nothing else


@dataclass(frozen=True)
class Served:
    """Where the API is, and a key of all scopes."""

    address: str
    key: str


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """The API on a port of its own over a folder, which asks for keys; nobody inspects or evaluates.

    Streams of events end soon, since no evaluation does: the tool would wait for each until its own patience ends.
    """
    nobody = {"LESION_BROKER_URL": f"redis+socket://{folder}/nobody.sock"}  # hints get lost, which is borne
    with mock.patch.dict(os.environ, nobody), mock.patch.object(waiting, "LONGEST", EVENTS_SECONDS):
        yield from _served(folder)


def _served(folder: Path) -> Iterator[Served]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    settings = Settings(
        data=folder, inspect_wait=0, max_wait=0.2, sweep_seconds=3600, keys="required", read_limit="", write_limit=""
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        engine = connect(settings.database)
        with transaction(engine) as db:
            secret = keys.create(db, DEFAULT, "contract", SCOPES).secret
        engine.dispose()
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", secret)
    finally:
        server.should_exit = True
        thread.join()


def checked(served: Served, examples: int, seed: int, slowest: float, folder: Path, *more: str) -> tuple[int, str]:
    """How many requests were made, and what was found; empty if nothing was."""
    command = [
        str(Path(sys.executable).with_name("st")),
        "--config-file",
        str(CONFIG),
        "run",
        f"{served.address}/openapi.json",
    ]
    command += ["--header", f"Authorization: Bearer {served.key}", "--request-timeout", str(2 * slowest)]
    command += ["--checks", "all", "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"]
    # A key that was revoked and a policy that was withdrawn are shown for good, as what they were. The stateful phase
    # heeds this here alone, not in the file. That uploads are gone is tested in tests/service/api/test_deleting.py.
    command += ["--exclude-checks", "use_after_free"]
    command += ["--max-response-time", str(slowest), "--generation-database", "none", "--no-color", *more]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PATH": os.defpath, "HOME": str(folder)}
    )
    count = re.search(r"([\d,]+) generated", run.stdout)
    return int(count[1].replace(",", "")) if count else 0, "" if run.returncode == 0 else run.stdout + run.stderr


def main() -> None:
    """Run, tell, and end with 1 if anything was found."""
    ask = argparse.ArgumentParser(prog="python -m benchmarks.contract", description=__doc__)
    ask.add_argument("--examples", type=int, default=400, help="cases of each operation in each phase")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--slowest", type=float, default=SLOWEST, help="seconds that an answer may take")
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="lesion-contract-") as folder, serving(Path(folder)) as served:
        count, found = checked(served, asked.examples, asked.seed, asked.slowest, Path(folder))
    print(found or f"{count:,} requests, seed {asked.seed}: 0 deviations")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
