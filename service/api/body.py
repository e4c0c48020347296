"""A request's body as it comes in, from callers that keep sending."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.requests import ClientDisconnect

from service import problems

PATIENCE = 15.0  # seconds without a byte, or since the start at less than SLOWEST, until a caller is dropped
SLOWEST = 1024  # bytes a second, on average: slower than any modem, and enough to outlast ten thousand idle connections


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body's bytes. Raises `RequestTimeout` for a caller that falls silent or only drips."""
    clock = asyncio.get_running_loop().time
    begun, came = clock(), 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                data = await anext(stream)
        except StopAsyncIteration:
            return
        except ClientDisconnect as error:  # nobody reads the answer; the log stays free of it
            raise problems.RequestTimeout("The connection ended before the body did. Send it again, whole.") from error
        except TimeoutError as error:
            raise problems.RequestTimeout(f"No byte came for {PATIENCE:g} s. Send the request again.") from error
        came += len(data)
        if (waited := clock() - begun) > PATIENCE and came < SLOWEST * waited:
            raise problems.RequestTimeout(f"{came:,} bytes came in {waited:.0f} s. Send the request again, faster.")
        yield data
