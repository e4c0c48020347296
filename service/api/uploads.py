"""Request bodies to staging files: streamed, counted against a limit, never held in memory."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from service import packing, problems
from service.api import body
from service.api.staging import Allowance, Staged, StagingFile

PIECE = 1024**2  # bytes gathered before they are hashed and written, in a thread
FIELD = 64 * 1024  # bytes a form field that is not a file may have
PARTS = packing.MOST_FILES + 8  # parts a form may have
AROUND = (
    16 * 1024**2
)  # bytes of a form beside its files: what leads each part, other fields, and what no parser looks at
NO_SEVERAL: frozenset[str] = frozenset()


@dataclass
class Form:
    """A multipart body: files by field name, and the other fields' texts."""

    files: dict[str, Staged] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def received(
    request: Request, folder: Path, limits: Mapping[str, int], several: frozenset[str] = NO_SEVERAL
) -> AsyncIterator[Form]:
    """The body as a form whose files live until the block ends, unless they are moved away.

    A multipart body gives its parts; any other body is one file under the only name in `limits`.
    `limits` says which files are taken, and how many bytes each may have. Those in `several` may come as several
    parts, whose bytes count together: they are packed into one zip.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    async with AsyncExitStack() as stack:
        if kind == b"multipart/form-data":
            reader = _FormReader(folder, limits, several, stack)
            yield await _form(request, reader, options.get(b"boundary"))
        else:
            [(name, limit)] = limits.items()
            yield Form(files={name: await _raw(request, folder, limit, stack)})


async def _raw(request: Request, folder: Path, limit: int, stack: AsyncExitStack) -> Staged:
    file = stack.enter_context(StagingFile(folder, Allowance(limit)))
    await _pump(request, limit, file.write)
    return file.done()


async def _form(request: Request, reader: "_FormReader", boundary: bytes | None) -> Form:
    if not boundary:
        raise problems.BadRequest("The multipart body has no boundary; let your HTTP library write the Content-Type.")
    try:
        parser = MultipartParser(boundary, reader.callbacks())
    except FormParserError as error:
        raise problems.BadRequest(
            "The boundary of the multipart body is too long; 70 letters are the limit."
        ) from error
    most = sum(reader.limits.values()) + AROUND

    def write(data: bytes) -> None:
        parser.write(data)

    try:
        await _pump(request, most, write)
        parser.finalize()
    except MultipartParseError as error:
        raise problems.BadRequest(f"The multipart body cannot be read: {error}.") from error
    if not reader.ended:
        raise problems.BadRequest("The multipart body ends too early; send it again, whole.")
    return await to_thread.run_sync(reader.form)


async def _pump(request: Request, most: int, write: Callable[[bytes], Any]) -> None:
    """Hand the body on in pieces of about a MiB, so that threads are entered rarely and the loop is never held up.

    One piece is hashed and written while the next one comes in.
    """
    pieces: list[bytes] = []
    gathered = 0
    writing: asyncio.Task[Any] | None = None
    try:
        async for data in body.pieces(request, most):
            pieces.append(data)
            gathered += len(data)
            if gathered >= PIECE:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(to_thread.run_sync(write, b"".join(pieces)))
                pieces, gathered = [], 0
    finally:
        if writing is not None:  # whatever happened: nobody may close the file under the thread
            await writing
    if gathered:
        await to_thread.run_sync(write, b"".join(pieces))


class _FormReader:
    """What the multipart parser calls: it starts a part, names it, fills it and ends it."""

    def __init__(self, folder: Path, limits: Mapping[str, int], several: frozenset[str], stack: AsyncExitStack) -> None:
        self.folder, self.several, self.stack = folder, several, stack
        self.limits = limits
        self.allowances = {name: Allowance(limit) for name, limit in limits.items()}
        self.files: defaultdict[str, dict[str, Staged]] = defaultdict(dict)  # by field, then by file name
        self.fields: dict[str, str] = {}
        self.ended = False
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header: list[bytearray] = []
        self._name = self._file_name = ""
        self._file: StagingFile | None = None
        self._text = bytearray()

    def form(self) -> Form:
        """What came, once it has ended: several files of one field packed into one."""
        return Form({name: self._one(name, files) for name, files in self.files.items()}, self.fields)

    def _one(self, name: str, files: dict[str, Staged]) -> Staged:
        if len(files) == 1:
            return next(iter(files.values()))
        for file_name in files:
            _checked(file_name)
        return self.stack.enter_context(StagingFile(self.folder, self.allowances[name])).packed(files)

    def callbacks(self) -> Any:
        """One function for each event of the parser."""
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
            raise problems.BadRequest(f"The form has more than {PARTS:,} parts; send {self._known()}, or a zip.")
        self._headers, self._header = {}, [bytearray(), bytearray()]
        self._file, self._text = None, bytearray()

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = [bytearray(), bytearray()]

    def _name_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        if self._name in self.allowances:
            self._refuse_again()
            self._file = self.stack.enter_context(StagingFile(self.folder, self.allowances[self._name]))
        elif self._name in self.fields:
            raise problems.BadRequest(f"The form has the field {self._name!r} twice; send it once.")
        elif self._name != "config":
            raise problems.Invalid(f"The form has a field {self._name!r}, which is not known; send {self._known()}.")

    def _refuse_again(self) -> None:
        before = self.files.get(self._name)
        if before and self._name not in self.several:
            raise problems.BadRequest(f"The form has the field {self._name!r} twice; send it once, or send a zip.")
        if before and self._file_name in before:
            raise problems.BadRequest(
                f"Two parts {self._name!r} have the file name {self._file_name!r}; of several files each needs its own."
            )

    def _fill(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
            return
        self._text.extend(data[start:end])
        if len(self._text) > FIELD:
            raise problems.ContentTooLarge(f"The field {self._name!r} may have at most {FIELD:,} bytes.")

    def _end_part(self) -> None:
        if self._file is not None:
            self.files[self._name][self._file_name] = self._file.done()
        else:
            self.fields[self._name] = self._decoded()

    def _decoded(self) -> str:
        try:
            return self._text.decode()
        except UnicodeDecodeError as error:
            raise problems.BadRequest(f"The field {self._name!r} is no UTF-8 text; mend its encoding.") from error

    def _end(self) -> None:
        self.ended = True

    def _known(self) -> str:
        return ", ".join([*self.allowances, "config"])


def _checked(file_name: str) -> None:
    try:
        packing.flat(file_name)
    except packing.UnfitNameError as error:
        raise problems.Invalid(str(error)) from error
