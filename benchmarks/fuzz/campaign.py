"""A run of cases through a reader: what each came to, what it took, and which failed."""

import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.fuzz import cases
from benchmarks.fuzz.application import Forms, Requests
from benchmarks.fuzz.readers import GIB, MEMORY, Datasets, Models, Programs, Reader
from benchmarks.fuzz.seeds import ROOT, Seed
from service import problems
from worker.formats.refusals import KINDS, Refused
from worker.sandbox.parent import Crashed, TimedOut

READERS: dict[str, type[Reader]] = {
    **dict.fromkeys(("onnx", "bundle"), Models),
    **dict.fromkeys(("pt2", "torchscript"), Programs),
    **dict.fromkeys(("npz", "safetensors", "parquet", "csv", "images", "tar"), Datasets),
    "json": Requests,
    "form": Forms,
}
SECONDS = 5.0  # of processor time that a verdict may take; the machine may be busy, so no clock is asked
CONVERSION = 120.0  # of a program that is converted, which sound ones take several of: what an inspection may last
LONGEST = 2000  # characters of a refusal
RESIDENT = 1 * GIB  # that libraries and mapped files may add to what a limit counts
# What Python says of a fault in our own code, which a reader may have taken for damage.
DRESSED = re.compile(
    r"index out of range|has no attribute|not subscriptable|unsupported operand|not iterable|must be (str|real|int)"
    r"|takes \d+ positional|not (callable|hashable)|unhashable|local variable|required positional|KeyError"
)
ADDRESS = re.compile(r"0x[0-9a-f]{9,}")  # longer than a CRC, which a damaged zip or tar is told apart by
OURS = (
    str(ROOT),
    sys.prefix,
    tempfile.gettempdir() + "/",
    "site-packages",
    "onnxruntime_src",
    "Traceback",
)
VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[\d,.]*\d|\b[0-9a-f]{8,}\b")
# How the outermost parser of each format begins to say no: whoever is told this came no further.
SHALLOW = re.compile(
    "|".join(
        (
            r"This is (no|a damaged|an? \w+ file|a pickle|a picture|a web page|a single)",
            r"There is no (network|\.onnx file)",
            r"The file (does not say|is empty|is damaged|is not UTF-8)",
            r"The zip cannot be read",
            r"'[^']*' (is no ONNX model|is in the|in the zip)",
            r"The TorchScript file is no sound",
            r"The \.pt2 cannot be read: (it is no sound|its members|.* is no JSON)",
            r"The header (says|cannot be read)",
            r"The first line",
            r"The parquet file cannot be read: (Parquet|Couldn't|Invalid base64)",
            r"The tar file cannot be read",
            r"The dataset is damaged",
            r"The multipart body",
            r"Mend these fields and send the request again. /(config)?: Invalid JSON",
        )
    )
)


@dataclass
class Outcome:
    """What one case came to. fault: what is wrong with that; empty if nothing is."""

    word: str
    detail: str
    fault: str
    seconds: float
    memory: int


@dataclass
class Tally:
    """What a run came to."""

    form: str
    words: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    shallow: int = 0
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[int, int] = (0, -1)
    faults: list[tuple[int, Outcome]] = field(default_factory=list)

    def add(self, number: int, outcome: Outcome) -> None:
        """Count one case."""
        self.words[outcome.word] += 1
        self.reasons[f"{outcome.word}: {VARIABLE.sub('_', outcome.detail)[:90]}"] += 1
        self.shallow += SHALLOW.match(outcome.detail) is not None
        self.slowest = max(self.slowest, (round(outcome.seconds, 2), number))
        self.largest = max(self.largest, (outcome.memory, number))
        if outcome.fault:
            self.faults.append((number, outcome))

    @property
    def total(self) -> int:
        """How many cases were run."""
        return self.words.total()


def run(
    tally: Tally, seed: int, numbers: Iterable[int], told: Callable[[int, Seed, Outcome], None] | None = None
) -> Tally:
    """Run these cases of the tally's format, and count them there.

    told: is called for each that failed, once it was tried again in a fresh process.
    """
    form, folder = tally.form, Path(tempfile.mkdtemp(prefix="lesion-fuzz-"))
    try:
        reader = READERS[form](folder)
        for number in numbers:
            made = cases.case(form, seed, number)
            outcome = judged(reader, made)
            if outcome.fault:
                reader.renew()
                again = judged(reader, made)
                reader.renew()
                outcome.fault += "" if again.fault else " (not alone in a fresh process)"
                if told is not None:
                    told(number, made, outcome)
            tally.add(number, outcome)
            reader.count()
        reader.renew()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def judged(reader: Reader, case: Seed) -> Outcome:
    """Read one file, and find fault with how that went."""
    started, before = time.monotonic(), _computed(reader)
    word, detail, fault = "accepted", "", ""
    try:
        detail = reader.read(case)
    except Refused as error:
        word, detail = error.kind, error.detail
        fault = _of_words(error)
    except Crashed as error:
        word, detail = "crashed", error.detail
        fault = f"crashed: {error.detail}"
        reader.renew()
    except TimedOut as error:
        word, detail = "timed-out", str(error)
        fault = f"timed out: {error}"
        reader.renew()
    except Exception as error:  # the worker's own process would have failed
        word, detail = "raised", repr(error)[:500]
        fault = f"raised in the parent: {detail}"
        reader.renew()
    seconds = _computed(reader) - before if time.monotonic() - started > 1 else 0.0
    memory = max((_peak(child.pid) for child in reader.children.values()), default=0)
    limit = CONVERSION if isinstance(reader, Programs) else SECONDS
    if not fault and seconds > limit:
        fault = f"took {seconds:.1f} s"
    if not fault and memory > (2 if isinstance(reader, Programs) else 1) * MEMORY + RESIDENT:
        fault = f"took {memory:,} bytes of memory"
    if not fault and (strange := _strange_files(reader)):
        fault = f"left files: {strange}"
    return Outcome(word, detail, fault, max(seconds, 0.0), memory)


def _of_words(error: Refused) -> str:
    """What is wrong with a refusal's words."""
    if error.kind not in KINDS | problems.BY_TYPE.keys():
        return f"an unknown kind, {error.kind}"
    if len(error.detail) > LONGEST or len(error.detail) < 10:
        return f"{len(error.detail)} characters: {error.detail[:100]}"
    if not all(sign.isprintable() or sign == "\n" for sign in error.detail):
        return f"signs that cannot be printed: {error.detail!a}"
    if ADDRESS.search(error.detail):
        return f"an address in memory: {error.detail[:300]}"
    # torch says such things of the program, which has attributes and indices of its own.
    if (dressed := DRESSED.search(error.detail)) and not error.detail.startswith("torch cannot"):
        return f"a fault of ours dressed as damage ({dressed[0]}): {error.detail[:300]}"
    found = next((word for word in OURS if word in error.detail), None)
    return f"tells of the server ({found}): {error.detail[:300]}" if found else ""


def _computed(reader: Reader) -> float:
    """Seconds of processor time of a reader's children, or of this process if it has none."""
    total = 0.0
    for process in [child.pid for child in reader.children.values()] or [os.getpid()]:
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(process).cpu_times()
            total += times.user + times.system
    return total


def _peak(process: int) -> int:
    """The most resident memory that a process has had."""
    with suppress(OSError, IndexError, ValueError), open(f"/proc/{process}/status") as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")), 0)
    return 0


def _strange_files(reader: Reader) -> list[str]:
    """What lies in the folder that nobody of ours put there."""
    known = {"file", "inputs", "out", "converted.onnx", "nobody.sock"}
    return [
        path.name
        for path in reader.folder.iterdir()
        if path.name not in known and not path.name.startswith(("tmp", "data"))
    ]
