"""The parent's side: start a child, ask it, check its answers, and end it. A context manager, one child a block."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from worker.formats.refusals import Refused
from worker.sandbox import frames
from worker.sandbox.frames import Array, BrokenFrameError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MIB = 1024**2
LABELS_LIMIT = 512 * MIB  # bytes of labels, 8 each
TAIL = 2000  # characters of what a crashed child had to say
# All that a child's environment has: nothing of ours, and nothing that makes runtimes talk to the network.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONNOUSERSITE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class Crashed(Exception):
    """The child died, or answered nonsense."""


class TimedOut(Exception):
    """The child took longer than it may, and was killed."""


class Child:
    """A fresh interpreter for one hostile file. Every method raises `Refused`, `Crashed` or `TimedOut`.

    Started with subprocess, never fork: it runs below a Celery pool process, which may not fork workers of its own. The
    child dies with the thread that makes this object, so make it in a thread that lasts.
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
        self._said = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed in close()
        self._ending = threading.Lock()
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
        with self._ending, suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the child and wait until it is gone."""
        self.kill()
        self._process.wait()
        self._socket.close()
        self._said.close()

    def open_model(self, path: Path) -> dict[str, Any]:
        """Read a model and run it once, on zeros; what was found in it. The child keeps it for `load`."""
        asked = {"do": "open_model", "threads": self._threads, "device": self._device}
        found, _ = self._ask(asked, files=[path])
        self._classes = int(found["output"]["classes"])
        return found

    def read_dataset(self, path: Path, inputs_out: Path) -> tuple[dict[str, Any], Ints]:
        """Unpack the inputs to `inputs_out` (raw, C order, little-endian); what was found, and the labels, int64[N].

        For a child that never sees a model: labels and models must not meet.
        """
        with inputs_out.open("r+b" if inputs_out.exists() else "w+b") as out:
            found, arrays = self._ask({"do": "read_dataset"}, files=[path], out=out.fileno(), limit=LABELS_LIMIT)
        self._expect(arrays, [("<i8", (found.get("examples"),))])
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

        means: float32[units] a site, for the clamp `mean`. May be called again, with other masks.
        """
        asked = {"do": "load", "shape": inputs_shape, "sites": list(sites), "clamp": clamp}
        self._ask(asked, means or [], files=[inputs_path])

    def intact(self, start: int, stop: int) -> Floats:
        """The intact network's outputs for the examples from start to stop: float32[stop - start, classes]."""
        return self._outputs({"do": "intact", "start": start, "stop": stop}, [], stop - start)

    def means(self, units: Sequence[int]) -> list[Floats]:
        """Each site's mean activations over the whole dataset (and space): float32[units] a site."""
        _, arrays = self._ask({"do": "means"}, limit=4 * sum(units))
        self._expect(arrays, [("<f4", (n,)) for n in units])
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

    def _expect(self, arrays: Sequence[Array], wanted: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        if [(array.dtype.str, array.shape) for array in arrays] != list(wanted):
            self.kill()
            raise Crashed("it answered with arrays of another shape than was asked for")

    def _ask(
        self,
        asked: dict[str, Any],
        arrays: Sequence[Array] = (),
        files: Sequence[Path] = (),
        out: int | None = None,
        limit: int = 0,
    ) -> tuple[dict[str, Any], list[Array]]:
        opened = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in files]
        try:
            self._socket.settimeout(self._seconds)
            frames.send(self._socket, asked, arrays, opened + ([] if out is None else [out]))
            header, answer, _ = frames.receive(self._socket, limit)
        except TimeoutError:
            self.kill()
            raise TimedOut(f"it was given {self._seconds:.0f} s") from None
        except (BrokenFrameError, OSError) as error:
            raise Crashed(self._post_mortem(error)) from error
        finally:
            for file in opened:
                os.close(file)
        return self._result(header), answer

    def _result(self, header: dict[str, Any]) -> dict[str, Any]:
        if "refused" in header:
            kind, detail = header["refused"]
            raise Refused(str(kind), str(detail))
        found = header.get("found")
        if not isinstance(found, dict):
            self.kill()
            raise Crashed("it answered something that is no answer")
        return found

    def _post_mortem(self, error: Exception) -> str:
        """Why the child is dead, as far as one can tell from outside."""
        self.kill()
        code = self._process.wait()
        self._said.seek(max(self._said.seek(0, os.SEEK_END) - TAIL, 0))
        said = self._said.read().decode("utf-8", "replace").strip()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        guess = ", perhaps out of memory" if code == -signal.SIGKILL else ""
        return f"{how}{guess} ({error})" + (f"; its last words: {said.splitlines()[-1]}" if said else "")


def _libraries() -> dict[str, str]:
    """Where CUDA's libraries are found, if that is set; nothing else is handed on."""
    path = os.environ.get("LD_LIBRARY_PATH")  # noqa: TID251 - not a setting of ours
    return {} if path is None else {"LD_LIBRARY_PATH": path}
