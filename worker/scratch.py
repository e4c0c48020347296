"""Folders for one piece of work: gone at its end, and swept away later if their owner was killed."""

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = "owner"
LEAST_ROOM = 1024**2  # bytes; a disk with less is full


@contextmanager
def folder(root: Path) -> Iterator[Path]:
    """A new folder under `root`. A lock that dies with this process tells others that it is in use."""
    path, lock = _owned(root)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _owned(root: Path) -> tuple[Path, int]:
    while True:
        path = root / f"work-{uuid.uuid4().hex}"
        path.mkdir(parents=True)
        try:
            lock = os.open(path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # swept away while it was empty
            continue
        except OSError:  # no room
            path.rmdir()
            raise
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return path, lock
        os.close(lock)  # swept away before it was locked


def check_room(folder: Path, error: Exception) -> None:
    """Raise OSError if the disk is full: then that, and not the file it read, is why a child failed.

    Asked of the kernel, since a child can be made to say anything.
    """
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < LEAST_ROOM:
        raise OSError(errno.ENOSPC, f"no room in the scratch folder ({error})") from error


def is_full(error: OSError) -> bool:
    """Is it the disk that is full?"""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def sweep(root: Path) -> int:
    """Remove the folders of dead owners. Returns how many."""
    return sum(_swept(path) for path in root.glob("work-*"))


def _swept(path: Path) -> bool:
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # being made or removed at this moment, or its owner died right then
        with suppress(OSError):
            path.rmdir()
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(path, ignore_errors=True)
        return True
    finally:
        os.close(lock)
