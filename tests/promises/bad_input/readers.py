"""The real readers in their real child, watched: what they answer, the processor time it took, and the memory."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.promises.bad_input.case import Artifact, Case
from tests.zoo import datasets, models
from worker.formats.refusals import Refused
from worker.sandbox import conversion
from worker.sandbox.conversion import Converter
from worker.sandbox.parent import Child, Crashed, TimedOut
from worker.sandbox.process import Process

MIB = 1024**2
MEMORY = 768 * MIB  # of a child that reads
CONVERTING = 4096 * MIB  # of one with torch
# The beginnings of a CSV, a parquet, a safetensors file and a tar.
OTHER_READERS = (
    b"a,b,label\n1,2,0\n3,4,1\n",
    b"PAR1" + bytes(20) + b"PAR1",
    (2).to_bytes(8, "little") + b"{}",
    bytes(257) + b"ustar" + bytes(250),
)
SECONDS = 120  # wall clock, on a machine that does other things too


@dataclass(frozen=True)
class Verdict:
    """What became of a file: refused as `kind` (None: accepted), in so many processor seconds and so many MiB more."""

    kind: str | None
    detail: str
    seconds: float
    memory: float


class Readers:
    """A child for each kind of artifact, which lives on from one file to the next; a new one only after a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, Process] = {}

    def read(self, artifact: Artifact, case: Case) -> Verdict:
        """Give the file to the readers, as an inspection does."""
        return self.given(artifact, case.make(), case.reading)

    def given(self, artifact: Artifact, data: bytes, reading: Any = None) -> Verdict:
        """The same with bytes."""
        path = self._folder / "upload"
        path.write_bytes(data)
        program = conversion.kind_of(path) if artifact == "model" else None
        if program is not None:
            converter = self._child("program")
            assert isinstance(converter, Converter)
            made = self._folder / "made.onnx"
            verdict = self._watched("program", lambda: converter.convert(path, program, made))
            if verdict.kind is not None:
                return verdict
            path = made
        child = self._child(artifact)
        assert isinstance(child, Child)
        if artifact == "model":
            return self._watched(artifact, lambda: child.open_model(path))
        out = self._folder / "inputs" if reading else Path(os.devnull)
        return self._watched(artifact, lambda: child.read_dataset(path, out, reading))

    def close(self) -> None:
        """End all children."""
        for child in self._children.values():
            child.close()

    def _child(self, name: str) -> Process:
        """The child for this, warm: what it imports is no fault of the first file."""
        if name not in self._children:
            if name == "program":
                self._children[name] = converter = Converter(
                    memory_bytes=CONVERTING, seconds=SECONDS, scratch=self._folder
                )
                none = self._folder / "none"
                none.write_bytes(b"no program")
                for kind in ("pt2", "torchscript"):
                    with suppress(Refused):  # once torch is there
                        converter.convert(none, kind, self._folder / "made.onnx")
            else:
                self._children[name] = child = Child(
                    memory_bytes=MEMORY, seconds=SECONDS, threads=1, file_bytes=64 * MIB
                )
                good = self._folder / "good"
                good.write_bytes(models.good() if name == "model" else datasets.good())
                child.open_model(good) if name == "model" else child.read_dataset(good, Path(os.devnull))
                for other in OTHER_READERS if name == "dataset" else ():
                    good.write_bytes(other)
                    with suppress(Refused):  # once its reader is there
                        child.read_dataset(good, Path(os.devnull))
        return self._children[name]

    def _watched(self, name: str, ask: Callable[[], object]) -> Verdict:
        child = self._children[name]
        before, seconds = _rewound(child.pid), _seconds(child.pid)
        try:
            ask()
        except Refused as refused:
            found = refused.kind, refused.detail
        except (Crashed, TimedOut) as error:
            self._children.pop(name).close()
            return Verdict("model-crashed" if isinstance(error, Crashed) else "deadline-exceeded", str(error), 0, 0)
        else:
            return Verdict(None, "", _seconds(child.pid) - seconds, _peak(child.pid) - before)
        return Verdict(*found, _seconds(child.pid) - seconds, _peak(child.pid) - before)


def _seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _rewound(pid: int) -> float:
    """MiB that a process has now, from where its peak is counted from now on."""
    if not sys.platform.startswith("linux"):
        return 0.0
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def _peak(pid: int) -> float:
    return _status(pid, "VmHWM") if sys.platform.startswith("linux") else 0.0


def _status(pid: int, name: str) -> float:
    """A line of /proc/PID/status, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024
