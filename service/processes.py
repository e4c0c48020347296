"""Child processes that never outlive us: one thread starts, watches, restarts and ends them. Nothing of Lesion here."""

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

log = logging.getLogger(__name__)

LOOK = 0.2  # seconds between looks at the children
GRACE = 5.0  # seconds from SIGTERM to SIGKILL
LAST_GRACE = 1.0  # the same for what is ended last; together well below the 8 s we promise
SOONEST, LATEST = 0.5, 30.0  # seconds before a child that died is started again
STEADY = 60.0  # a child that lived so long has earned a quick restart
LARGEST_LOG = 16 * 1024**2

# Binds a program to its parent: the kernel kills it when the thread that spawned it ends, kill -9 of us included. A
# program of its own, since Popen's preexec_fn may deadlock where there are threads. 1 is PR_SET_PDEATHSIG; the parent
# may have died just before.
_BIND = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class CannotStartError(Exception):
    """A program, and so what needs it, cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class Program:
    """What to run: an absolute command, variables changed from ours (None: unset), a file for output (None: ours)."""

    name: str
    command: list[str]
    environment: dict[str, str | None] = field(default_factory=dict)
    directory: Path | None = None
    log: Path | None = None
    sockets: tuple[int, ...] = ()
    last: bool = False  # ended after the others, because they need it


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0  # in a row
    ever_died: bool = False
    due: float | None = None  # when to start it again


class Supervisor:
    """A context manager: what is started inside is gone after it.

    One thread does all the spawning, because PR_SET_PDEATHSIG speaks of the thread that spawned, not of the process.
    """

    def __init__(self, grace: float = GRACE) -> None:
        self._grace = grace
        self._orders: queue.SimpleQueue[tuple[Program, Future[None]] | None] = queue.SimpleQueue()
        self._children: dict[str, _Child] = {}
        # A daemon: if we end without stopping it, it ends with us, and the kernel ends the children.
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._orders.put(None)
        self._thread.join()

    def start(self, program: Program) -> None:
        """Start a program and keep it running. Raises OSError if there is no such command or no memory."""
        started: Future[None] = Future()
        self._orders.put((program, started))
        started.result()

    def has_died(self, name: str) -> bool:
        """Did this program ever end by itself? While a stack starts, that is the end of it."""
        return self._children[name].ever_died

    def _run(self) -> None:
        try:
            while True:
                with suppress(queue.Empty):
                    order = self._orders.get(timeout=LOOK)
                    if order is None:
                        return
                    self._obey(*order)
                for child in self._children.values():
                    self._tend(child)
        finally:
            self._end_all()

    def _obey(self, program: Program, started: "Future[None]") -> None:
        try:
            self._children[program.name] = _Child(program, _spawn(program), time.monotonic())
            started.set_result(None)
        except Exception as error:  # whatever it is, it belongs to whoever waits for the answer
            started.set_exception(error)

    def _tend(self, child: _Child) -> None:
        """Notice a death, and start the program again when its time has come."""
        now = time.monotonic()
        if child.due is None and child.process.poll() is not None:
            _kill_group(child.process.pid)
            child.deaths = 1 if now - child.started > STEADY else child.deaths + 1
            child.ever_died = True
            delay = min(LATEST, SOONEST * 2 ** (child.deaths - 1))
            child.due = now + delay
            ended = (child.program.name, child.process.returncode, delay)
            log.warning("%s ended by itself (%d); starting it again in %.1f s", *ended)
        elif child.due is not None and now >= child.due:
            self._start_again(child, now)

    def _start_again(self, child: _Child, now: float) -> None:
        try:
            child.process, child.started, child.due = _spawn(child.program), now, None
        except OSError as error:
            child.due = now + LATEST
            log.warning("%s cannot be started: %s; trying again in %.0f s", child.program.name, error, LATEST)

    def _end_all(self) -> None:
        children = list(self._children.values())
        _end([child.process for child in children if not child.program.last], self._grace)
        _end([child.process for child in children if child.program.last], LAST_GRACE)


def become(program: Program) -> NoReturn:
    """Turn this process into the program, as `exec` in a shell does; its output and sockets stay ours."""
    if program.directory is not None:
        os.chdir(program.directory)
    os.execve(program.command[0], program.command, _environment(program))  # noqa: S606 - no shell is the point


def _environment(program: Program) -> dict[str, str]:
    changed = {**os.environ, **program.environment}  # noqa: TID251 - handed on, not read
    return {name: value for name, value in changed.items() if value is not None}


def bound(command: list[str]) -> list[str]:
    """The command for a child that the kernel kills when the thread that spawns it ends (Linux only)."""
    return [sys.executable, "-I", "-S", "-c", _BIND, str(os.getpid()), *command]


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    command = bound(program.command)
    output = None if program.log is None else _open_log(program.log)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(program),
            cwd=program.directory,
            pass_fds=program.sockets,
            start_new_session=True,  # so that Ctrl-C reaches us alone, and we can kill all that a child has started
        )
    finally:
        if output is not None:
            os.close(output)


def _open_log(path: Path) -> int:
    start_over = os.O_TRUNC if path.exists() and path.stat().st_size > LARGEST_LOG else 0
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | start_over, 0o600)


def _end(processes: list[subprocess.Popen[bytes]], grace: float) -> None:
    """SIGTERM to each, then SIGKILL to each one's whole group: its own children may have outlived it."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        _kill_group(process.pid)
        process.wait()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, for a group of zombies
        os.killpg(leader, signal.SIGKILL)
