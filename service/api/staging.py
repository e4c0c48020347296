"""Files that an upload is written to until it is whole: counted, hashed on the way, gone if nobody takes them over."""

import errno
import fcntl
import hashlib
import os
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from service import packing, problems
from service.api.body import too_large

AHEAD = 16 * 1024**2  # bytes between two calls to the disk


@dataclass(frozen=True)
class Staged:
    """An upload in a file of its own, complete."""

    file: Path
    digest: str
    size: int


class Allowance:
    """How many bytes all files of one field may have together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def spend(self, size: int) -> None:
        """Count bytes that came in; raises `ContentTooLarge`."""
        self.used += size
        if self.used > self.limit:
            raise too_large(self.limit)


class StagingFile:
    """A file that is being written; leaving the block removes it, unless the blob store has taken it over."""

    def __init__(self, folder: Path, allowance: Allowance) -> None:
        self.size = 0
        self._allowance = allowance
        self._hash = hashlib.sha256()
        self._begun = 0  # bytes that the disk is at work on
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path, self._file = _owned(folder)
            self._lock = os.dup(self._file.fileno())  # held when the file is closed: its form may still be coming in
        except OSError as error:
            raise storage(error) from error

    def write(self, data: bytes | memoryview) -> None:
        """Append; raises `ContentTooLarge`, or `InsufficientStorage` if the disk is full."""
        self._allowance.spend(len(data))
        self.size += len(data)
        self._hash.update(data)
        try:
            self._file.write(data)
            if self.size - self._begun >= AHEAD:
                self._begin()
        except OSError as error:
            raise storage(error) from error

    def _begin(self) -> None:
        """Let the disk begin with what is there, so that the wait for it at the end is short."""
        if sys.platform == "linux":  # there this advice starts the writing, and forgets what is written already
            self._file.flush()
            os.posix_fadvise(self._file.fileno(), self._begun, self.size - self._begun, os.POSIX_FADV_DONTNEED)
        self._begun = self.size

    def done(self) -> Staged:
        """All is written; raises `Invalid` if that was nothing."""
        if self.size == 0:
            raise problems.Invalid("The upload is empty; send the file's bytes, as curl -T FILE URL does.")
        try:
            self._file.close()
        except OSError as error:
            raise storage(error) from error
        return Staged(self.path, f"sha256:{self._hash.hexdigest()}", self.size)

    def packed(self, files: Mapping[str, Staged]) -> Staged:
        """These files in this one instead, as a zip (service.packing); they are counted already, and removed."""
        try:
            packing.pack({name: staged.file for name, staged in files.items()}, self._file)
            self._file.close()
            for staged in files.values():
                staged.file.unlink(missing_ok=True)
            with self.path.open("rb") as whole:
                digest = hashlib.file_digest(whole, "sha256").hexdigest()
        except OSError as error:
            raise storage(error) from error
        return Staged(self.path, f"sha256:{digest}", self.path.stat().st_size)

    def __enter__(self) -> "StagingFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # what it still holds finds no room either, and nobody wants it
            self._file.close()
        self.path.unlink(missing_ok=True)
        os.close(self._lock)


def sweep(folder: Path) -> int:
    """Remove what processes that were killed left in the folder. Returns how many files."""
    swept = 0
    for path in folder.glob("upload-*"):
        with suppress(FileNotFoundError), path.open("rb") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            swept += 1
    return swept


def _owned(folder: Path) -> tuple[Path, IO[bytes]]:
    """A new file. A lock that dies with this process tells `sweep` that it is in use."""
    while True:
        path = folder / f"upload-{uuid.uuid4().hex}"
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # swept away before it was locked


def storage(error: OSError) -> Exception:
    """What to raise for an error of the disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return problems.InsufficientStorage("The service has no room for this upload; try later, or tell its operator.")
    return error
