"""Files that an upload is written to until it is whole: counted, hashed on the way, gone if nobody takes them over."""

import errno
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from service import packing, problems


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
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"upload-{uuid.uuid4().hex}"
        self.size = 0
        self._allowance = allowance
        self._hash = hashlib.sha256()
        self._file = self.path.open("xb")

    def write(self, data: bytes | memoryview) -> None:
        """Append; raises `ContentTooLarge`, or `InsufficientStorage` if the disk is full."""
        self._allowance.spend(len(data))
        self.size += len(data)
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise storage(error) from error

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
        self._file.close()
        self.path.unlink(missing_ok=True)


def too_large(limit: int) -> problems.ContentTooLarge:
    """The upload is beyond its limit (bytes)."""
    return problems.ContentTooLarge(f"This upload may have at most {limit:,} bytes; send a smaller one.")


def storage(error: OSError) -> Exception:
    """What to raise for an error of the disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return problems.InsufficientStorage("The service has no room for this upload; try later, or tell its operator.")
    return error
