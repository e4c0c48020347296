"""Children that never outlive us: real processes, really killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from service.processes import Program, Supervisor
from tests.conftest import wait_until

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Does this process exist, other than as a zombie?"""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def logged(log: Path, lines: int = 1) -> list[str]:
    """The words of a log, once it has so many lines."""
    wait_until(lambda: log.exists() and log.read_text().count("\n") >= lines, f"{lines} lines in {log.name}")
    return log.read_text().split()


def test_a_program_runs_with_its_environment_and_its_log(tmp_path, monkeypatch):
    """Variables are added and taken away, the folder is the given one, and output goes to the log."""
    monkeypatch.setenv("LESION_GONE", "1")
    code = "import os; print(os.environ.get('LESION_NEW'), os.environ.get('LESION_GONE'), os.getcwd())"
    changed = {"LESION_NEW": "here", "LESION_GONE": None}
    command = [sys.executable, "-c", code + "; import time; time.sleep(600)"]
    with Supervisor() as supervisor:
        supervisor.start(Program("one", [*command[:1], "-u", *command[1:]], changed, tmp_path, tmp_path / "log"))
        assert logged(tmp_path / "log") == ["here", "None", str(tmp_path)]


def test_what_was_started_is_gone_afterwards(tmp_path):
    """A child that ignores SIGTERM is killed in time, and so is what it started itself."""
    log = tmp_path / "log"
    with Supervisor(grace=0.5) as supervisor:
        supervisor.start(Program("stubborn", [sys.executable, "-c", STUBBORN], log=log))
        pids = [int(word) for word in logged(log)]
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    wait_until(lambda: not any(map(alive, pids)), "all of them are gone")


def test_the_last_one_outlives_the_others(tmp_path):
    """What the others need is ended after them."""
    says = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print({!r}, flush=True), sys.exit()));"
    log = tmp_path / "log"
    with Supervisor() as supervisor:
        for name, last in (("broker", True), ("worker", False)):
            code = says.format(name) + "print('up', flush=True); time.sleep(600)"
            supervisor.start(Program(name, [sys.executable, "-c", code], log=log, last=last))
            logged(log, 1 if last else 2)  # one after the other: two that write at once may share a line
    assert log.read_text().split() == ["up", "up", "worker", "broker"]


def test_a_child_that_dies_is_started_again(tmp_path):
    """One that was killed comes back as another process."""
    log = tmp_path / "log"
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with Supervisor() as supervisor:
        supervisor.start(Program("mortal", [sys.executable, "-c", code], log=log))
        first = int(logged(log)[0])
        assert not supervisor.has_died("mortal")
        os.kill(first, signal.SIGKILL)
        second = int(logged(log, 2)[1])
        assert supervisor.has_died("mortal")
        assert second != first


def test_a_command_that_does_not_exist_shows_in_the_log(tmp_path):
    """A program that cannot start has died, and its log says why."""
    with Supervisor() as supervisor:
        supervisor.start(Program("missing", ["/no/such/program"], log=tmp_path / "log"))
        wait_until(lambda: supervisor.has_died("missing"), "its end is noticed")
    assert "No such file" in (tmp_path / "log").read_text()


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    """What fails before the program starts is raised to whoever asked for it."""
    with Supervisor() as supervisor, pytest.raises(FileNotFoundError):
        supervisor.start(Program("lost", SLEEPS, directory=tmp_path / "none"))


def test_children_die_with_a_parent_that_is_killed(tmp_path):
    """kill -9 of us leaves no child behind."""
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    code = f"""
import pathlib, sys, time
from service.processes import Program, Supervisor
with Supervisor() as supervisor:
    for name in "ab":
        log = pathlib.Path({str(tmp_path)!r}) / name
        supervisor.start(Program(name, [sys.executable, "-c", {child!r}], log=log))
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        try:
            pids = [int(logged(tmp_path / name)[0]) for name in "ab"]
            assert all(map(alive, pids))
        finally:
            parent.kill()
    wait_until(lambda: not any(map(alive, pids)), "all of them are gone")
