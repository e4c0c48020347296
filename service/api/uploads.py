"""Request bodies to staging files: streamed, hashed on the way, counted against a limit, never held in memory."""

import errno
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from service import problems

PIECE = 1024**2  # bytes gathered before they are hashed and written, in a thread
FIELD = 64 * 1024  # bytes a form field that is not a file may have
PARTS = 8  # parts a form may have


@dataclass(frozen=True)
class Staged:
    """An upload in a file of its own, complete."""

    file: Path
    digest: str
    size: int


@dataclass
class Form:
    """A multipart body: files by field name, and the other fields' texts."""

    files: dict[str, Staged] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


class _File:
    """A staging file that is being written."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"upload-{uuid.uuid4().hex}"
        self.limit = limit
        self.size = 0
        self._hash = hashlib.sha256()
        self._file = self.path.open("xb")

    def write(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        if self.size > self.limit:
            raise too_large(self.limit)
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise _storage(error) from error

    def done(self) -> Staged:
        if self.size == 0:
            raise problems.Invalid("The upload is empty; send the file's bytes, as curl -T FILE URL does.")
        self._file.close()
        return Staged(self.path, f"sha256:{self._hash.hexdigest()}", self.size)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the file, unless the blob store has taken it over."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def too_large(limit: int) -> problems.ContentTooLarge:
    """The upload is beyond its limit (bytes)."""
    return problems.ContentTooLarge(f"This upload may have at most {limit:,} bytes; send a smaller one.")


def _storage(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return problems.InsufficientStorage("The service has no room for this upload; try later, or tell its operator.")
    return error


@asynccontextmanager
async def received(request: Request, folder: Path, limits: Mapping[str, int]) -> AsyncIterator[Form]:
    """The body as a form whose files live until the block ends, unless they are moved away.

    A multipart body gives its parts; any other body is one file under the only name in `limits`.
    `limits` says which files are taken, and how many bytes each may have.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    async with AsyncExitStack() as stack:
        if kind == b"multipart/form-data":
            yield await _form(request, folder, limits, options.get(b"boundary"), stack)
        else:
            [(name, limit)] = limits.items()
            yield Form(files={name: await _raw(request, folder, limit, stack)})


async def _raw(request: Request, folder: Path, limit: int, stack: AsyncExitStack) -> Staged:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    file = stack.enter_context(_File(folder, limit))
    await _pump(request, file.write)
    return file.done()


async def _form(
    request: Request, folder: Path, limits: Mapping[str, int], boundary: bytes | None, stack: AsyncExitStack
) -> Form:
    if not boundary:
        raise problems.BadRequest("The multipart body has no boundary; let your HTTP library write the Content-Type.")
    reader = _FormReader(folder, limits, stack)
    parser = MultipartParser(boundary, reader.callbacks())

    def write(data: bytes) -> None:
        parser.write(data)

    try:
        await _pump(request, write)
        parser.finalize()
    except MultipartParseError as error:
        raise problems.BadRequest(f"The multipart body cannot be read: {error}.") from error
    if not reader.ended:
        raise problems.BadRequest("The multipart body ends too early; send it again, whole.")
    return reader.form


async def _pump(request: Request, write: Callable[[bytes], Any]) -> None:
    """Hand the body on in pieces of about a MiB, so that threads are entered rarely and the loop is never held up."""
    pieces: list[bytes] = []
    gathered = 0
    async for data in request.stream():
        pieces.append(data)
        gathered += len(data)
        if gathered >= PIECE:
            await to_thread.run_sync(write, b"".join(pieces))
            pieces, gathered = [], 0
    if gathered:
        await to_thread.run_sync(write, b"".join(pieces))


class _FormReader:
    """What the multipart parser calls: it starts a part, names it, fills it and ends it."""

    def __init__(self, folder: Path, limits: Mapping[str, int], stack: AsyncExitStack) -> None:
        self.folder, self.limits, self.stack = folder, limits, stack
        self.form = Form()
        self.ended = False
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header: list[bytearray] = []
        self._name = ""
        self._file: _File | None = None
        self._text = bytearray()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._name_part,
            "on_part_data": self._fill,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS:
            raise problems.BadRequest(f"The form has more than {PARTS} parts; send {self._known()}.")
        self._headers, self._header = {}, [bytearray(), bytearray()]
        self._file, self._text = None, bytearray()

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = [bytearray(), bytearray()]

    def _name_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name in self.form.files or self._name in self.form.fields:
            raise problems.BadRequest(f"The form has the field {self._name!r} twice; send it once.")
        if self._name in self.limits:
            self._file = self.stack.enter_context(_File(self.folder, self.limits[self._name]))
        elif self._name != "config":
            raise problems.Invalid(f"The form has a field {self._name!r}, which is not known; send {self._known()}.")

    def _fill(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
            return
        self._text.extend(data[start:end])
        if len(self._text) > FIELD:
            raise problems.ContentTooLarge(f"The field {self._name!r} may have at most {FIELD:,} bytes.")

    def _end_part(self) -> None:
        if self._file is not None:
            self.form.files[self._name] = self._file.done()
        else:
            self.form.fields[self._name] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True

    def _known(self) -> str:
        return ", ".join([*self.limits, "config"])
