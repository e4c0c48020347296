"""Callers: connections that are kept, requests sent at set moments or one after another, and what came of each.

A generator of our own, since it shares two cores with what it measures: httptools parses, nothing else happens.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

LOST = 0  # the status of a request that got no answer


@dataclass
class Figures:
    """What became of the requests: seconds of the good ones and of those turned away, statuses of all."""

    good: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    unsaid: int = 0  # turned away without Retry-After
    seconds: float = 0.0

    def add(self, status: int, retry_after: bool, seconds: float) -> None:
        """One answer."""
        self.statuses[status] += 1
        if status in (429, 503):
            self.refused.append(seconds)
            self.unsaid += not retry_after
        elif 200 <= status < 400:
            self.good.append(seconds)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.good) / self.seconds if self.seconds else 0.0

    def shown(self) -> dict[str, Any]:
        """For people and for JSON."""
        told: dict[str, Any] = {"rate": round(self.rate, 1), **spread(self.good)}
        if self.refused:
            told["refused"] = {"count": len(self.refused), "without_retry_after": self.unsaid, **spread(self.refused)}
        return told | {"statuses": {str(status): count for status, count in sorted(self.statuses.items())}}


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    if not seconds:
        return {}
    line = sorted(seconds)
    at = {"p50": len(line) // 2, "p99": min(len(line) * 99 // 100, len(line) - 1), "max": len(line) - 1}
    return {f"{name}_ms": round(1000 * line[place], 2) for name, place in at.items()}


class Connection(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._parser: Any = None
        self.retry_after = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's has no such base class
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Some of the answer."""
        self._parser.feed_data(data)

    def on_header(self, name: bytes, _value: bytes) -> None:
        """One header."""
        if name.lower() == b"retry-after":
            self.retry_after = True

    def on_message_complete(self) -> None:
        """The whole answer is there."""
        self._settle(self._parser.get_status_code())

    def connection_lost(self, _error: Exception | None) -> None:
        """The other side has gone."""
        self.transport = None
        self._settle(LOST)

    def _settle(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.close()

    async def ask(self, request: bytes) -> int:
        """Send one request and wait for its status."""
        if self.transport is None:
            return LOST
        self.retry_after = False
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


async def connect(host: str, port: int) -> Connection:
    """A new connection."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return connection


async def paced(
    place: tuple[str, int], requests: Callable[[], bytes], rate: float, seconds: float, connections: int
) -> Figures:
    """So many requests a second, whatever the answers do: a request's time runs from the moment it was due.

    With all connections busy, it waits for one, and that counts.
    """
    figures, begun, count = Figures(), time.perf_counter(), int(rate * seconds)
    due = iter(range(count))

    async def caller() -> None:
        connection = await connect(*place)
        for number in due:
            at = begun + number / rate
            if (early := at - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            connection = await _asked(connection, place, requests(), at, figures)
        connection.close()

    await asyncio.gather(*(caller() for _ in range(connections)))
    figures.seconds = time.perf_counter() - begun
    await asyncio.sleep(0.1)  # for the connections to close
    return figures


async def busy(
    place: tuple[str, int], requests: Callable[[], bytes], seconds: float, connections: int, pause: float = 0.0
) -> Figures:
    """So many callers, each asking again as soon as it has its answer, or `pause` seconds after it was turned away."""
    figures, begun = Figures(), time.perf_counter()

    async def caller() -> None:
        connection = await connect(*place)
        while (at := time.perf_counter()) < begun + seconds:
            before = len(figures.refused)
            connection = await _asked(connection, place, requests(), at, figures)
            if pause and len(figures.refused) > before:
                await asyncio.sleep(pause)
        connection.close()

    await asyncio.gather(*(caller() for _ in range(connections)))
    figures.seconds = time.perf_counter() - begun
    await asyncio.sleep(0.1)  # for the connections to close
    return figures


async def _asked(
    connection: Connection, place: tuple[str, int], request: bytes, at: float, figures: Figures
) -> Connection:
    if connection.transport is None or connection.transport.is_closing():
        try:
            connection = await connect(*place)
        except OSError:
            figures.add(LOST, False, time.perf_counter() - at)
            return connection
    status = await connection.ask(request)
    figures.add(status, connection.retry_after, time.perf_counter() - at)
    return connection


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def in_turn(requests: list[bytes]) -> Callable[[], bytes]:
    """One request after another, and from the beginning again."""

    def numbers() -> Iterator[bytes]:
        while True:
            yield from requests

    turn = numbers()
    return lambda: next(turn)
