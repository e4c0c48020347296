"""The embedded stack as users start it: it answers, it stops, and nothing of it is ever left running."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from service import examples, local, schemas
from service.broker import EVALUATIONS, INSPECTIONS
from service.client import Client
from service.processes import CannotStartError
from service.settings import Settings
from service.store import artifacts, evaluations, submissions
from service.store.session import connect, migrate, transaction
from service.store.tenants import DEFAULT
from tests.conftest import alive, wait_until, words

LESION = str(Path(sys.executable).with_name("lesion"))
START = 60.0  # seconds; on two busy cores the imports take their time


@dataclass
class Served:
    """One `lesion serve`, with all processes it has started."""

    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def address(self) -> str:
        def there() -> object:
            assert self.process.poll() is None, self.text()
            return "Ctrl-C stops it." in self.text()

        wait_until(there, "the banner is printed", START)
        found = re.search(r"listens at (\S+)", self.text())
        assert found is not None
        return found[1]

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start `lesion serve --port 0 ARGUMENTS`; whatever is left at the end of the test is killed."""
    started: list[Served] = []

    def start(data: Path, *arguments: str) -> Served:
        output = tmp_path / f"output{len(started)}"
        command = [LESION, "serve", "--port", "0", "--data", str(data), *arguments]
        with output.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, cwd=tmp_path)
        started.append(Served(process, output))
        return started[-1]

    yield start
    for served in started:
        served.process.kill()
        served.process.wait()


def gone(family: list[psutil.Process]) -> bool:
    """Is every one of them gone? (A zombie waits for whoever inherited it.)"""
    return not [one for one in family if alive(one)]


def long_evaluation(address: str) -> str:
    """An evaluation that would take hours; it is running when this returns."""
    config = {"precision": 0.0005, "limits": {"trials": 100_000_000}}
    with Client(address) as client:
        evaluation = client.evaluate(*examples.paths("learned"), config)
        wait_until(lambda: evaluation.reload().progress.trials, "the evaluation is under way", START)
        return evaluation.id


def broker_socket(family: list[psutil.Process]) -> Path:
    """The broker's socket, as the API was told of it."""
    urls = [one.environ()["LESION_BROKER_URL"] for one in family if "service.cli" in words(one)]
    return Path(urls[0].removeprefix("redis+socket://"))


def test_serve_answers_and_ctrl_c_ends_all_of_it(serve, tmp_path):
    """Ready in one command; a second start on the same folder is refused in a sentence; Ctrl-C leaves nothing."""
    data = tmp_path / "a folder with a name that is too long for a unix socket and wants quoting in a URL, äöü" / "data"
    served = serve(data)
    address = served.address()
    assert address.startswith("http://127.0.0.1:")
    ready = httpx2.get(f"{address}/readyz", trust_env=False)
    assert ready.status_code == 200
    assert ready.json()["broker"] == "ok"
    long_evaluation(address)
    family = served.family()
    assert len(family) >= 8  # us, broker, API, two workers with a pool process each, and the one that computes
    broker = broker_socket(family)
    assert stat.S_IMODE(broker.stat().st_mode) == 0o700

    command = [LESION, "serve", "--port", "0", "--data", str(data)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=START)
    assert second.returncode == 1
    assert f"in use by another Lesion (process {served.process.pid})" in second.stderr
    assert second.stderr.count("\n") == 1

    begun = time.monotonic()
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(10) == 0
    assert time.monotonic() - begun < 8
    assert gone(family)
    assert not broker.parent.exists()
    assert served.text().rstrip().endswith("Stopped.")


def test_kill_9_leaves_nothing_and_the_folder_is_used_again(serve, tmp_path):
    """The kernel ends what we cannot; the next start on the same folder works, and SIGTERM ends that one."""
    data = tmp_path / "data"
    first = serve(data)
    evaluation = long_evaluation(first.address())
    family = first.family()
    first.process.kill()
    first.process.wait()
    wait_until(lambda: gone(family), "all children are gone", 5)

    again = serve(data)
    with Client(again.address()) as client:
        before = client.get(evaluation).progress.trials
        wait_until(lambda: client.get(evaluation).progress.trials > before > 0, "the evaluation goes on", START)
    family = again.family()
    again.process.terminate()
    assert again.process.wait(10) == 0
    assert gone(family)


def test_a_port_that_is_taken_is_named(serve, tmp_path):
    """The message says which port, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = serve(tmp_path / "data", "--port", str(port))
        assert served.process.wait(START) == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in served.text()
    assert "Traceback" not in served.text()


def test_a_part_that_cannot_start_is_told_with_its_last_words(serve, tmp_path, monkeypatch):
    """A worker that ends at once would let all work wait for ever: the start ends instead, and says why."""
    (tmp_path / "stranger").mkdir()
    # Later than the API answers, on most machines: that alone must not be taken for a start.
    late = "import time; time.sleep(6); raise ImportError('a broken installation')"
    (tmp_path / "stranger" / "worker.py").write_text(late)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stranger"))
    served = serve(tmp_path / "data")
    assert served.process.wait(START) == 1
    assert "worker does not start. The end of" in served.text()
    assert "a broken installation" in served.text()


def test_a_data_folder_that_cannot_be_one_is_named(tmp_path):
    """A file in its place is a sentence, not a traceback."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CannotStartError, match="cannot be used"),
        local.embedded(local.private(tmp_path / "file")),
    ):
        pass


def test_children_read_the_same_settings(monkeypatch, tmp_path):
    """A child sees what was set here, not what is set outside."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(data=Path("here"), lease_seconds=7, keys="required", blobs_url=None)
    changed = local.worker(settings, EVALUATIONS).environment
    monkeypatch.setenv("LESION_BLOBS_URL", "s3://elsewhere")
    monkeypatch.setenv("LESION_KEY", "of another service")
    for name, value in changed.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert Settings() == settings.model_copy(update={"data": tmp_path / "here"})


def test_a_private_stack_uses_no_server_of_others(monkeypatch, tmp_path):
    """`lesion score` on a machine that is set up for production stays away from production."""
    for name in ("DATABASE_URL", "BROKER_URL", "BLOBS_URL"):
        monkeypatch.setenv(f"LESION_{name}", "postgresql://production")
    settings = local.private(tmp_path)
    assert (settings.database_url, settings.broker_url, settings.blobs_url) == (None, None, None)
    assert str(tmp_path) in settings.database


def test_a_start_takes_back_what_dead_workers_held(tmp_path):
    """Work that a killed stack left goes on at once, not when its lease has run out."""
    settings = Settings(data=tmp_path)
    engine = connect(settings.database)
    migrate(engine)
    with transaction(engine) as db:
        for kind in artifacts.KINDS:
            artifacts.receive(db, DEFAULT, kind, "sha256:" + "0" * 64, 1)
        digest = "sha256:" + "0" * 64
        asked = evaluations.Asked(digest, digest, schemas.Config().model_dump_json(), 1, "fingerprint")
        row, _ = submissions.create(db, DEFAULT, asked)
        assert evaluations.claim(db, row.id, "dead", 3600) is not None
    with transaction(engine) as db:
        assert evaluations.claim(db, row.id, "next", 30) is None
    local._prepare_database(settings)
    with transaction(engine) as db:
        assert evaluations.claim(db, row.id, "next", 30) is not None
    engine.dispose()


@pytest.mark.parametrize("queue", [EVALUATIONS, INSPECTIONS])
def test_a_worker_is_a_program_of_its_own(queue):
    """Started by name, by this interpreter, with nothing of the working directory on its path."""
    command = local.worker_command(queue)
    assert command[:4] == [sys.executable, "-P", "-m", "celery"]
    assert command[command.index("--queues") + 1] == queue
    assert command[command.index("--concurrency") + 1] == ("2" if queue == INSPECTIONS else "1")


def test_a_folder_called_worker_in_the_way_is_not_taken_for_ours(tmp_path):
    """Celery puts the working directory on the path; our workers start where nothing of strangers lies."""
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "tasks.py").write_text("raise SystemExit('a stranger')")
    program = local.worker(Settings(data=tmp_path), EVALUATIONS)
    assert program.directory == Path(local.__file__).parents[1]
    assert os.path.isdir(program.directory / "worker")
