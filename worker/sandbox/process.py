"""A child process as its parent sees it: started, asked, believed no more than can be checked, and ended."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from worker.ablation.devices import FAULT, Device
from worker.formats.refusals import KINDS, Refused
from worker.sandbox import frames
from worker.sandbox.frames import Array, BrokenFrameError

MIB = 1024**2
TAIL = 2000  # bytes of what a crashed child had to say
LAST_WORDS = 2.0  # seconds that a dying child gets to say them
DETAIL_LIMIT = 4000  # characters of a refusal's detail
# All that a child's environment has: nothing of ours, and nothing that makes runtimes talk to the network.
# Nor may it write the byte code of what it imports: cut short by its own limit, that would break every later child.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as nvidia-smi and NVML count
}


class Crashed(Exception):
    """The child died, or answered nonsense. `signal` is what killed it, if a signal did."""

    def __init__(self, detail: str, signal: int | None = None, *, of_device: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.signal = signal
        self.of_device = of_device  # it says that its GPU is not there, or has failed


class TimedOut(Exception):
    """The child took longer than it may, and was killed."""


class Process:
    """A fresh interpreter that runs MODULE, for one hostile file. Methods raise `Refused`, `Crashed` or `TimedOut`.

    Started with subprocess, never fork: it runs below a Celery pool process, which may not fork workers of its own. The
    kernel kills the child when the *thread* that made this object ends (PR_SET_PDEATHSIG): make it in one that lasts.

    memory_bytes: heap and anonymous maps it may have. seconds: wall clock of one question and its answer.
    file_bytes: size of a file it may write, its own stderr among them. scratch: where to make the one folder in which
    it may write files; None: it may not.
    """

    MODULE: ClassVar[str]  # takes FD PARENT MEMORY_BYTES FILE_BYTES DEVICE, and a folder if it may write

    def __init__(
        self,
        *,
        memory_bytes: int,
        seconds: float,
        device: Device = "cpu",
        file_bytes: int = MIB,
        scratch: Path | None = None,
    ) -> None:
        self._seconds = seconds
        self._said = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed in close()
        self._scratch = (
            None if scratch is None else tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True)
        )
        self._ending = threading.Lock()
        self._reaped = False
        self._socket, theirs = socket.socketpair()
        with theirs:
            walls = [str(os.getpid()), str(memory_bytes), str(file_bytes), device]
            own = {}
            if self._scratch is not None:
                walls.append(self._scratch.name)
                own = {"TMPDIR": self._scratch.name, "HOME": self._scratch.name}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self.MODULE, str(theirs.fileno()), *walls],
                env=ENVIRONMENT | _of_the_gpu() | own,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """End the child at once; whoever waits for its answer gets `Crashed`. May be called from another thread."""
        with self._ending:
            self._kill_group()

    def _kill_group(self) -> None:
        # Never after it was reaped, when its number may be somebody else's; and even if it is dead already, for what it
        # may have started.
        if not self._reaped:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the child and wait until it is gone."""
        self._end()
        self._socket.close()
        self._said.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _end(self) -> int:
        with self._ending:
            self._kill_group()
            self._reaped = True
            return self._process.wait()

    def _expect(self, arrays: Sequence[Array], wanted: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        self._believe([(array.dtype.str, array.shape) for array in arrays] == list(wanted))

    def _believe(self, sane: bool) -> None:
        if not sane:
            self.kill()
            raise Crashed("it answered something else than was asked for")

    def _ask(
        self,
        asked: dict[str, Any],
        arrays: Sequence[Array] = (),
        files: Sequence[Path] = (),
        out: int | None = None,
        limit: int = 0,
    ) -> tuple[dict[str, Any], list[Array]]:
        opened = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in files]
        until = time.monotonic() + self._seconds
        try:
            frames.send(self._socket, asked, arrays, opened + ([] if out is None else [out]), until)
            header, answer, _ = frames.receive(self._socket, limit, until=until)
        except TimeoutError:
            self.kill()
            raise TimedOut(f"it was given {self._seconds:.0f} s") from None
        except (BrokenFrameError, OSError) as error:
            raise self._post_mortem(error) from error
        finally:
            for file in opened:
                os.close(file)
        return self._result(header), answer

    def _result(self, header: dict[str, Any]) -> dict[str, Any]:
        found = header.get("found")
        match header.get("refused"):
            case [str(kind), str(detail)] if kind in KINDS:
                raise Refused(kind, "".join(map(_plain, detail[:DETAIL_LIMIT])))
            case None if isinstance(found, dict):
                return found
        self.kill()
        raise Crashed("it answered something that is no answer")

    def _post_mortem(self, error: Exception) -> Crashed:
        """Why the child is dead, as far as one can tell from outside."""
        self._await_end(LAST_WORDS)
        code = self._end()
        self._said.seek(max(self._said.seek(0, os.SEEK_END) - TAIL, 0))
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        words = "".join(map(_plain, (lines or [""])[-1]))[-300:]
        how = f"{_name_of(-code)}" if code < 0 else f"exit code {code}"
        guess = ", perhaps out of memory" if code == -signal.SIGKILL else ""
        detail = f"{how}{guess} ({error})" + (f"; its last words: {words}" if words else "")
        return Crashed(detail, -code if code < 0 else None, of_device=code == FAULT)

    def _await_end(self, seconds: float) -> None:
        """Wait until the child has ended by itself, and leave it unreaped."""
        if sys.platform == "linux" and not self._reaped:
            handle = os.pidfd_open(self._process.pid)
            try:
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                poll.poll(seconds * 1000)
            finally:
                os.close(handle)


def _plain(char: str) -> str:
    """Nothing that a terminal obeys or a database refuses."""
    return char if char.isprintable() or char == "\n" else "?"


def _name_of(number: int) -> str:
    names = {each.value: each.name for each in signal.Signals}
    return f"signal {names.get(number, number)}"


HANDED_ON = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")  # where CUDA's libraries are, and which GPUs are this worker's


def _of_the_gpu() -> dict[str, str]:
    """Those of them that are set; nothing else is handed on."""
    return {name: os.environ[name] for name in HANDED_ON if name in os.environ}  # noqa: TID251 - no settings of ours


def visible_gpu() -> str:
    """The first of the GPUs that CUDA shows to this process and its children: its number, or the id of it."""
    return _of_the_gpu().get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or "none"
