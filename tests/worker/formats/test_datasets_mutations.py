"""Damaged datasets of every format: read or refused, never anything else; and reading costs no more memory for more."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worker.formats.reading import reading, wanted
from tests.worker.formats.test_datasets_arrays import safetensors
from tests.worker.formats.test_datasets_images import FOLDERS, PICTURE, tarred, zipped
from tests.worker.formats.test_datasets_tables import CSV, LISTS, parquet
from tests.zoo.arrays import npz
from worker.formats.datasets import read
from worker.formats.refusals import KINDS, Refused

X, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1, 2, 0, 1, 2])
SEEDS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "npz": (npz(x=X, y=Y), wanted("x", 4)),
    "safetensors": (safetensors(x=X, y=Y), wanted("x", 4)),
    "parquet": (parquet(LISTS), wanted("x", 4)),
    "csv": (CSV.encode(), wanted("x", 2)),
    "zip": (zipped(FOLDERS), PICTURE),
    "tar": (tarred(FOLDERS), PICTURE),
    "tar.gz": (tarred(FOLDERS, "w:gz"), PICTURE),
}
ROOT = Path(__file__).parents[3]
MUTATIONS = 300  # of each format


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Bytes changed, cut out, doubled, or taken from elsewhere in the file."""
    made = bytearray(data)
    for _ in range(random.integers(1, 6)):
        a, b = sorted(random.integers(0, len(made), 2).tolist())
        b = min(b, a + 64)
        kind = random.integers(5)
        if kind == 0:
            made[a] = random.integers(256)
        elif kind == 1:
            made[a] ^= 1 << int(random.integers(8))
        elif kind == 2 and len(made) > b - a + 8:
            del made[a:b]
        elif kind == 3:
            made[a:a] = made[a:b]
        else:
            made[a : a + 4] = random.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x80\0\0\0"])
    return bytes(made)


def refusal_of(data: bytes, inputs: dict[str, Any]) -> Refused | None:
    try:
        read(io.BytesIO(data), io.BytesIO(), reading(inputs))
    except Refused as error:
        return error
    return None


@pytest.mark.parametrize("form", SEEDS)
def test_damaged_files_are_read_or_refused(form: str) -> None:
    """With a fixed seed; some of each are read, most are refused, with a typed refusal in words."""
    data, inputs = SEEDS[form]
    random = np.random.default_rng(11)
    refusals = [refusal for _ in range(MUTATIONS) if (refusal := refusal_of(mutated(data, random), inputs))]
    assert len(refusals) > MUTATIONS / 20
    assert all(each.kind in KINDS and 10 < len(each.detail) < 1200 for each in refusals)


# In an interpreter of its own, since memory that was once used is not seen to be given back. Its ru_maxrss would be
# ours: a process begins with the peak of the one that forks it.
PEAK = """
import sys, tempfile
from tests.worker.formats.reading import reading, wanted
from worker.formats.datasets import read

with open(sys.argv[1], "rb") as file, tempfile.TemporaryFile() as out:
    read(file, out, reading(wanted("x", 64)))
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def peak(path: Path) -> int:
    """Bytes of memory at most while a dataset is read into a file."""
    run = subprocess.run([sys.executable, "-c", PEAK, path], cwd=ROOT, check=True, capture_output=True, text=True)
    return int(run.stdout) * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")
@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_twenty_times_as_much_is_read_in_the_same_memory(form: str, tmp_path: Path) -> None:
    """10 MB against 200 MB, and a parquet file of one row group: what is held at a time is a piece."""
    peaks = []
    for rows in (40_000, 800_000):
        path = tmp_path / f"{rows}.{form}"
        x, y = np.random.default_rng(1).random((rows, 64), np.float32), np.zeros(rows, np.int8)
        if form == "npz":
            np.savez(path, x=x, y=y)
        else:
            fixed = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 64)
            pq.write_table(pa.table({"x": fixed, "y": y}), path, row_group_size=rows)
        peaks.append(peak(path))
    small, large = peaks
    labels = 800_000 * 32  # of each example its label is kept, on the way through a few types
    assert large < small + labels + 32 * 1024**2, (small, large)
