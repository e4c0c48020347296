"""A request's body as it comes in, from callers that keep sending, held against what its headers say of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from service import problems
from service.api import admission, json_text
from service.api.digests import Promised

# Seconds without a byte, or since the start at less than SLOWEST, until a caller is dropped; one less than we promise.
PATIENCE = 14.0
SLOWEST = 1024  # bytes a second, on average: slower than any modem, and enough to outlast ten thousand idle connections
SMALL = 64 * 1024  # bytes of a body that is kept in memory
T = TypeVar("T", bound=BaseModel)
LONGEST_NUMBER = 18  # digits of a Content-Length that is looked at


async def pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body's bytes. Raises `RequestTimeout` for a caller that falls silent or only drips, `ContentTooLarge` beyond
    `most` bytes (at once, where the request declares more), `DigestMismatch` at the end."""
    promised = Promised(request)
    _check(request, most)
    clock = asyncio.get_running_loop().time
    begun, came = clock(), 0
    stream = request.stream()
    while True:
        try:
            with admission.aside():
                async with asyncio.timeout(PATIENCE):
                    data = await anext(stream)
        except StopAsyncIteration:
            promised.check()
            return
        except ClientDisconnect as error:  # nobody reads the answer; the log stays free of it
            raise problems.RequestTimeout("The connection ended before the body did. Send it again, whole.") from error
        except TimeoutError as error:
            raise problems.RequestTimeout(f"No byte came for {PATIENCE:g} s. Send the request again.") from error
        came += len(data)
        if came > most:
            raise too_large(most)
        if (waited := clock() - begun) > PATIENCE and came < SLOWEST * waited:
            raise problems.RequestTimeout(f"{came:,} bytes came in {waited:.0f} s. Send the request again, faster.")
        promised.update(data)
        yield data


def _check(request: Request, most: int) -> None:
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise problems.UnsupportedMediaType(
            "Bodies with a Content-Encoding are not unpacked; send the file's own bytes, without that header."
        )
    if request.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise problems.UnsupportedMediaType("Of the transfer codings only `chunked` is read; send the body by it.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > LONGEST_NUMBER or int(declared) > most):
        raise too_large(most)


def too_large(limit: int) -> problems.ContentTooLarge:
    """The upload is beyond its limit (bytes)."""
    return problems.ContentTooLarge(f"This upload may have at most {limit:,} bytes; send a smaller one.")


async def small(request: Request) -> bytes:
    """The whole of a body that may not be large."""
    whole = bytearray()
    async for data in pieces(request, SMALL):
        whole.extend(data)
    return bytes(whole)


def parsed(schema: type[T], text: bytes, place: str = "") -> T:
    """JSON as a schema; raises `Invalid` with a pointer to each offending field."""
    json_text.check(text, place)
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        raise problems.invalid(error.errors(include_url=False, include_context=False), place) from error
