"""Folders for one piece of work: gone at its end, and swept away later if their owner was killed."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "owner"


@contextmanager
def folder(root: Path) -> Iterator[Path]:
    """A new folder under `root`. A lock that dies with this process tells others that it is in use."""
    path = root / f"work-{uuid.uuid4().hex}"
    path.mkdir(parents=True)
    lock = os.open(path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def sweep(root: Path) -> int:
    """Remove the folders of dead owners. Returns how many."""
    swept = 0
    for path in root.glob("work-*"):
        try:
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # being made or removed at this moment
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
        finally:
            os.close(lock)
    return swept
