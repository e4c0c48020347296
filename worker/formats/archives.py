"""Archives of many files, zip or tar, as a reader of datasets wants them: bounded, in order, and never unpacked."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from worker.formats import zips
from worker.formats.tables import UNPACKED_LIMIT, malformed, too_large

FILE_LIMIT = 256 * 1024**2  # bytes of one file in an archive
MEMBERS_LIMIT = 5_000_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
LOCAL = struct.Struct("<4s22xHH")  # what comes before a stored member: its name's and its extra field's lengths at last
HIDDEN = (".", "__MACOSX")


@dataclass(frozen=True)
class Archive:
    """The plain files of an archive: what reads each whole, by name, in the order in which that is quick."""

    files: Mapping[str, Callable[[], bytes]]
    counted: "Budget"


@dataclass
class Budget:
    """Bytes that may still come out of an archive."""

    left: int = UNPACKED_LIMIT

    def spend(self, count: int) -> None:
        """Refuse what unpacks to more than any dataset may."""
        self.left -= count
        if self.left < 0:
            raise too_large(f"The archive unpacks to more than {UNPACKED_LIMIT:,} bytes.")


def of_zip(archive: zipfile.ZipFile) -> Archive:
    """The plain files of a zip."""
    budget = Budget()
    infos = dict(sorted(plain(archive).items()))

    def reader(info: zipfile.ZipInfo) -> Callable[[], bytes]:
        return lambda: _whole(archive, info, budget)

    return Archive({name: reader(info) for name, info in infos.items()}, budget)


def plain(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The visible plain files of a zip by name, each of which must be readable."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if (
            zips.is_folder(info)
            or hidden(info.filename)
            or stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG)
        ):
            continue
        if info.flag_bits & ENCRYPTED:
            raise malformed(f"{info.filename[:200]!r} is encrypted. Zip the files without a password.")
        if info.compress_type not in METHODS:
            raise malformed(f"{info.filename[:200]!r} is packed by another method than deflate. Zip it anew.")
        if info.filename in found:
            raise malformed(f"The archive holds {info.filename[:200]!r} twice. Pack it anew.")
        if len(found) >= MEMBERS_LIMIT:
            raise too_large(f"The archive holds more than {MEMBERS_LIMIT:,} files.")
        found[info.filename] = info
    return found


def of_tar(file: IO[bytes]) -> Archive:
    """The plain files of a tar, packed by gzip or not; links and devices in it are nothing to us."""
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source = _Bounded(gzip.GzipFile(fileobj=file) if zipped else file)
    found: dict[str, Callable[[], bytes]] = {}
    budget = Budget()
    try:
        archive: Any = tarfile.TarFile(fileobj=source, encoding="utf-8", errors="backslashreplace")
        for member in archive:
            if not 0 <= member.size <= FILE_LIMIT or member.issparse():
                raise too_large(f"{member.name[:200]} has more than {FILE_LIMIT:,} bytes, or holes. Leave it out.")
            name = member.name.removeprefix("./")
            if member.isreg() and not hidden(name):
                if name in found:
                    raise malformed(f"The archive holds {name[:200]!r} twice. Pack it anew.")
                found[name] = _reader(source, member.offset_data, member.size, name, budget)
            archive.members = []  # it keeps them all otherwise
            if len(found) > MEMBERS_LIMIT:
                raise too_large(f"The archive holds more than {MEMBERS_LIMIT:,} files.")
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        detail = str(error)[:100] if str(error) else "it ends too early"
        advice = "Pack the images' folders anew. A table that was only gzipped is read as what gunzip makes of it."
        raise malformed(f"The tar file cannot be read: {detail}. {advice}") from error
    # In a packed tar, going back means to unpack it from its beginning again.
    return Archive(found if zipped else dict(sorted(found.items())), budget)


def _reader(source: "_Bounded", start: int, size: int, name: str, budget: Budget) -> Callable[[], bytes]:
    def read() -> bytes:
        budget.spend(size)
        source.seek(start)
        data = source.read(size)
        if len(data) < size:
            raise malformed(f"{name[:200]} ends after {len(data):,} of its {size:,} bytes. The archive is damaged.")
        return data

    return read


def _whole(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> bytes:
    """A member, of which `zipfile` gives no more than the zip says that it holds."""
    if info.file_size > FILE_LIMIT:
        raise too_large(f"{info.filename[:200]} unpacks to more than {FILE_LIMIT:,} bytes. Leave it out.")
    budget.spend(info.file_size)
    with archive.open(info) as file:
        return file.read(FILE_LIMIT)


def hidden(name: str) -> bool:
    """Is a file one that the user does not mean: of a Mac's Finder, say?"""
    return any(part.startswith(HIDDEN) and part not in (".", "..") for part in name.split("/"))


class _Bounded(io.RawIOBase):
    """A file of which nothing can be asked for that is too large for memory, as a tar's own headers may try."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        if place > UNPACKED_LIMIT:
            raise too_large(f"The archive unpacks to more than {UNPACKED_LIMIT:,} bytes.")
        return int(self._file.seek(place, whence))

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= FILE_LIMIT:
            raise malformed(f"A header of the tar file has more than {FILE_LIMIT:,} bytes. Pack the folders anew.")
        data: bytes = self._file.read(size)
        return data


class Window(io.RawIOBase):
    """A part of a file as a file of its own, whose closing does not close it."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(place + {os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence, 0), 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), max(self._size - self._at, 0)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def kept(file: IO[bytes]) -> IO[bytes]:
    """The whole file, for a reader that closes what it is given."""
    return io.BufferedReader(Window(file, 0, file.seek(0, os.SEEK_END)))


def _stored(file: IO[bytes], info: zipfile.ZipInfo) -> IO[bytes]:
    """A stored member, read in place: `zipfile` itself would read all that lies before."""
    file.seek(info.header_offset)
    local = file.read(LOCAL.size)
    if len(local) < LOCAL.size or not local.startswith(b"PK\x03\x04") or info.compress_size != info.file_size:
        raise malformed(f"{info.filename[:200]!r} is not where the zip says. The file is damaged. Pack it anew.")
    _, name, extra = LOCAL.unpack(local)
    return io.BufferedReader(Window(file, info.header_offset + LOCAL.size + name + extra, info.file_size))


def opener(file: IO[bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    """What opens a member for reading here and there: in place where it is stored, else from memory."""

    def opened() -> IO[bytes]:
        if info.compress_type == zipfile.ZIP_STORED:
            return _stored(file, info)
        if info.file_size > FILE_LIMIT:
            raise too_large(
                f"{info.filename[:200]} is deflated and unpacks to more than {FILE_LIMIT:,} bytes. Store it: zip -0."
            )
        return io.BytesIO(_whole(archive, info, Budget()))

    return opened
