"""The parent's side: start a child, ask it, check its answers, and end it. A context manager, one child a block."""

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
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from worker.formats.refusals import KINDS, Refused
from worker.sandbox import claims, frames
from worker.sandbox.frames import Array, BrokenFrameError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MIB = 1024**2
LABELS_LIMIT = 512 * MIB  # bytes of labels, 8 each
DENSEST = 1100  # bytes that one deflated byte can become; labels may be packed
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
}


class Crashed(Exception):
    """The child died, or answered nonsense. `signal` is what killed it, if a signal did."""

    def __init__(self, detail: str, signal: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.signal = signal


class TimedOut(Exception):
    """The child took longer than it may, and was killed."""


class Child:
    """A fresh interpreter for one hostile file. Every method raises `Refused`, `Crashed` or `TimedOut`.

    Started with subprocess, never fork: it runs below a Celery pool process, which may not fork workers of its own. The
    kernel kills the child when the *thread* that made this object ends (PR_SET_PDEATHSIG): make it in one that lasts.

    memory_bytes: heap and anonymous maps it may have. seconds: wall clock of one question and its answer. threads: of
    onnxruntime. file_bytes: size of a file it may write, its own stderr among them.
    """

    def __init__(
        self,
        *,
        memory_bytes: int,
        seconds: float,
        threads: int,
        device: Literal["cpu", "cuda"] = "cpu",
        file_bytes: int = MIB,
    ) -> None:
        self._seconds = seconds
        self._threads, self._device = threads, device
        self._classes: int | None = None
        self._exits: dict[str, int] = {}
        self._masked: list[str] = []
        self._said = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed in close()
        self._ending = threading.Lock()
        self._reaped = False
        self._socket, theirs = socket.socketpair()
        with theirs:
            walls = [str(os.getpid()), str(memory_bytes), str(file_bytes), device]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker.sandbox.child", str(theirs.fileno()), *walls],
                env=ENVIRONMENT | _libraries(),
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

    def _end(self) -> int:
        with self._ending:
            self._kill_group()
            self._reaped = True
            return self._process.wait()

    def open_model(self, path: Path) -> dict[str, Any]:
        """Read a model and run it once, on zeros; what was found in it. The child keeps it for `load`."""
        asked = {"do": "open_model", "threads": self._threads, "device": self._device}
        found, _ = self._ask(asked, files=[path])
        self._believe(claims.is_model(found))
        self._classes = found["output"]["classes"]
        self._exits = {site["site"]: site["exits"] for site in found["sites"]}
        return found

    def read_dataset(self, path: Path, inputs_out: Path) -> tuple[dict[str, Any], Ints]:
        """Unpack the inputs to `inputs_out` (raw, C order, little-endian); what was found, and the labels, int64[N].

        For a child that never sees a model: labels and models must not meet.
        """
        limit = min(LABELS_LIMIT, 8 * DENSEST * path.stat().st_size)
        with inputs_out.open("wb") as out:
            found, arrays = self._ask({"do": "read_dataset"}, files=[path], out=out.fileno(), limit=limit)
        self._believe(claims.is_dataset(found))
        self._expect(arrays, [("<i8", (found["examples"],))])
        return found, arrays[0]

    def load(
        self,
        inputs_path: Path,
        inputs_shape: tuple[int, ...],
        sites: Sequence[str],
        clamp: Literal["zero", "mean"],
        means: Sequence[Floats] | None = None,
    ) -> None:
        """Put masks at the named sites of the open model, over inputs float32[inputs_shape] in a raw file.

        means: as `means` gives them, for the clamp `mean`. May be called again, with other masks.
        """
        asked = {"do": "load", "shape": inputs_shape, "sites": list(sites), "clamp": clamp}
        self._ask(asked, means or [], files=[inputs_path])
        self._masked = list(sites)

    def intact(self, start: int, stop: int) -> Floats:
        """The intact network's outputs for the examples from start to stop: float32[stop - start, classes]."""
        return self._outputs({"do": "intact", "start": start, "stop": stop}, [], stop - start)

    def means(self, units: Sequence[int]) -> list[Floats]:
        """Mean activations over the whole dataset (and space) at the sites of `load`, which have so many units.

        float32[exits * units] a site: where its activations leave it at several places, one mean for each.
        """
        sizes = [n * self._exits[site] for site, n in zip(self._masked, units, strict=True)]
        _, arrays = self._ask({"do": "means"}, limit=4 * sum(sizes))
        self._expect(arrays, [("<f4", (size,)) for size in sizes])
        return arrays

    def outputs(self, examples: Ints, lesions: Ints, masks: Sequence[NDArray[np.bool_]]) -> Floats:
        """The ablated network's outputs, float32[T, classes]: trial t pushes examples[t] with its lesion.

        examples, lesions: int64[T]. masks: bool[L, units] a site, in the order of `load`'s sites; True = kept.
        """
        packed = [np.packbits(mask, axis=1) for mask in masks]
        asked = {"do": "outputs", "units": [mask.shape[1] for mask in masks]}
        return self._outputs(asked, [examples, lesions, *packed], len(examples))

    def _outputs(self, asked: dict[str, Any], arrays: Sequence[Array], trials: int) -> Floats:
        assert self._classes is not None, "open_model comes first"
        _, answer = self._ask(asked, arrays, limit=4 * trials * self._classes)
        self._expect(answer, [("<f4", (trials, self._classes))])
        return answer[0]

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
                raise Refused(kind, detail[:DETAIL_LIMIT])
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
        words = "".join(char if char.isprintable() else "?" for char in (lines or [""])[-1])[-300:]
        how = f"{_name_of(-code)}" if code < 0 else f"exit code {code}"
        guess = ", perhaps out of memory" if code == -signal.SIGKILL else ""
        detail = f"{how}{guess} ({error})" + (f"; its last words: {words}" if words else "")
        return Crashed(detail, -code if code < 0 else None)

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


def _name_of(number: int) -> str:
    names = {each.value: each.name for each in signal.Signals}
    return f"signal {names.get(number, number)}"


def _libraries() -> dict[str, str]:
    """Where CUDA's libraries are found, if that is set; nothing else is handed on."""
    path = os.environ.get("LD_LIBRARY_PATH")  # noqa: TID251 - not a setting of ours
    return {} if path is None else {"LD_LIBRARY_PATH": path}
