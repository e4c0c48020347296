"""The bytes of uploads, by tenant, kind and digest: a folder, S3, Google or Azure, by the scheme of one URL."""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from service.store.tenants import DEFAULT

PART = 8 * 1024**2  # bytes of one part of a multipart upload, and of one read
PARTS_AT_ONCE = 2  # an upload to S3 holds so many parts in memory
PART_SUFFIX = ".part"
KEY = re.compile(r"(tenants/(?P<tenant>[^/]+)/)?(?P<kind>model|dataset)s/[0-9a-f]{2}/(?P<name>[0-9a-f]{64})")


@dataclass(frozen=True)
class Blob:
    """Something in the store: where it lies, whose bytes it holds, if it is whole, and seconds since it was written."""

    path: str
    artifact: tuple[str, Literal["model", "dataset"], str] | None
    age: float


@dataclass(frozen=True)
class Blobs:
    """Where uploads lie. A blob is written whole or not at all, and never changes."""

    store: ObjectStore

    def put(self, tenant: str, kind: str, digest: str, file: Path) -> None:
        """Take over a finished file as a blob, which no loss of power takes away. The file is gone afterwards."""
        folder = self._folder()
        if folder is None:
            obstore.put(self.store, _key(tenant, kind, digest), file, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)
            file.unlink()
            return
        target = folder / _key(tenant, kind, digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            flush(file)
            file.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            near = target.with_suffix(PART_SUFFIX)  # copied beside the target first, so that nobody sees half a blob
            try:
                shutil.copyfile(file, near)
                flush(near)
                near.replace(target)
            finally:
                near.unlink(missing_ok=True)  # there is one only where the disk is full
            file.unlink()
        for above in (target.parent, *target.parent.parents):
            flush(above)
            if above == folder:
                break

    def fetch(self, tenant: str, kind: str, digest: str, scratch: Path) -> Path:
        """A local file with the blob's bytes: the blob itself where it is local, else a copy under `scratch`.

        Raises FileNotFoundError if there is no such blob.
        """
        folder = self._folder()
        if folder is not None:
            path = folder / _key(tenant, kind, digest)
            path.stat()
            return path
        path = scratch / f"{kind}-{digest.removeprefix('sha256:')}"
        with path.open("wb") as file:
            for part in obstore.get(self.store, _key(tenant, kind, digest)).stream(min_chunk_size=PART):
                file.write(part)
        return path

    def holds(self, tenant: str, kind: str, digest: str) -> bool:
        """Is there such a blob?"""
        folder = self._folder()
        if folder is not None:
            return (folder / _key(tenant, kind, digest)).is_file()
        try:
            obstore.head(self.store, _key(tenant, kind, digest))
        except FileNotFoundError:
            return False
        return True

    def delete(self, tenant: str, kind: str, digest: str) -> None:
        """Remove a blob; it need not exist."""
        folder = self._folder()
        if folder is not None:
            (folder / _key(tenant, kind, digest)).unlink(missing_ok=True)
        else:
            obstore.delete(self.store, _key(tenant, kind, digest))

    def listing(self) -> Iterator["Blob"]:
        """All blobs, and the parts of some that a process left when it was killed."""
        for lot in obstore.list(self.store):
            for meta in lot:
                age = time.time() - meta["last_modified"].timestamp()
                if meta["path"].endswith(PART_SUFFIX):
                    yield Blob(meta["path"], None, age)
                elif (found := KEY.fullmatch(meta["path"])) is not None:
                    kind: Any = found["kind"]
                    yield Blob(meta["path"], (found["tenant"] or DEFAULT, kind, f"sha256:{found['name']}"), age)

    def discard(self, blob: "Blob") -> None:
        """Remove what `listing` gave; it need not exist any more."""
        with suppress(FileNotFoundError):
            obstore.delete(self.store, blob.path)

    def reachable(self) -> None:
        """Raise if the store does not answer."""
        for _ in obstore.list(self.store, chunk_size=1):
            break

    def _folder(self) -> Path | None:
        if not isinstance(self.store, LocalStore):
            return None
        assert self.store.prefix is not None, "made by open_blobs, always with a folder"
        return Path(self.store.prefix)


def flush(path: Path) -> None:
    """Wait until the disk has what was written to a file, or which names were given in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_blobs(url: str) -> Blobs:
    """The store at a URL such as file:///folder or s3://bucket/prefix (credentials from the environment, as AWS_*)."""
    if url.startswith("file://"):
        return Blobs(LocalStore(url.removeprefix("file://"), mkdir=True))
    return Blobs(from_url(url))


def _key(tenant: str, kind: str, digest: str) -> str:
    """Where a blob lies. Digests come from our own hashing or match `schemas.Digest`, so no name can escape.

    Those of the tenant that was the only one once lie where they lay then.
    """
    name = digest.removeprefix("sha256:")
    own = "" if tenant == DEFAULT else f"tenants/{tenant}/"
    return f"{own}{kind}s/{name[:2]}/{name}"
