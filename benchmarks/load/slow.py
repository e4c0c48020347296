"""Callers who hold on to connections without using them, beside others who want their answers."""

import asyncio
import time
from typing import Any

import uvloop

from benchmarks.load import callers
from benchmarks.load.callers import spread
from benchmarks.load.site import Site, read
from benchmarks.load.traffic import status_reads

SLOW = 500
GOOD_RATE = 200  # reads a second beside them
DROP = 1.0  # seconds between the bytes of those who drip
LONGEST = 60.0  # seconds until a connection that is still open counts as never dropped

HEAD = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
WAYS: dict[str, tuple[bytes, bytes]] = {  # what is sent at once, and what drips
    "says nothing": (b"", b""),
    "half a head": (HEAD[:40], b""),
    "a dripping head": (HEAD[:-2], b"x"),
    "half a body": (HEAD + b"x" * 100, b""),
    "a dripping body": (HEAD, b"x"),
}


def slow(place: Site, seconds: float, count: int = SLOW) -> dict[str, Any]:
    """Reads alone, then beside slow callers of every way; and how long each of those was let."""
    asked = status_reads(place)

    async def both() -> tuple[callers.Figures, callers.Figures, list[tuple[str, float]], int]:
        await callers.paced(place.address, asked, GOOD_RATE, 1, 8)
        alone = await callers.paced(place.address, asked, GOOD_RATE, seconds, 8)
        names = [name for name, _ in zip(_over_and_over(list(WAYS)), range(count), strict=False)]
        held = [asyncio.create_task(_hold(place.address, name)) for name in names]
        await asyncio.sleep(1)
        open_files = read(place.api).descriptors
        beside = await callers.paced(place.address, asked, GOOD_RATE, seconds, 8)
        return alone, beside, list(zip(names, await asyncio.gather(*held), strict=True)), open_files

    alone, beside, let, open_files = uvloop.run(both())
    longest = {way: round(max(lasted for name, lasted in let if name == way), 1) for way in WAYS}
    return {
        "alone": alone.shown(),
        "beside": beside.shown(),
        "times_p99": round(spread(beside.good)["p99_ms"] / spread(alone.good)["p99_ms"], 2),
        "longest_s": longest,
        "fds_then": open_files,
        "fds_after": read(place.api).descriptors,
    }


def _over_and_over(names: list[str]) -> Any:
    while True:
        yield from names


async def _hold(address: tuple[str, int], way: str) -> float:
    """Seconds until the service hung up on a slow caller."""
    begun = time.perf_counter()
    first, drip = WAYS[way]
    reader, writer = await asyncio.open_connection(*address)
    writer.write(first)
    dripping = asyncio.create_task(_drip(writer, drip)) if drip else None
    try:
        async with asyncio.timeout(LONGEST):
            while await reader.read(65536):
                pass
    except (ConnectionError, TimeoutError):
        pass
    if dripping is not None:
        dripping.cancel()
    writer.close()
    return time.perf_counter() - begun


async def _drip(writer: asyncio.StreamWriter, drop: bytes) -> None:
    while not writer.is_closing():
        await asyncio.sleep(DROP)
        writer.write(drop)
