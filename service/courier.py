"""Takes one request to where a webhook may go, and brings back how it went. It follows nothing and keeps nothing."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpcore2

from service import targets
from service.problems import WebhookUrlForbidden
from service.settings import Allowed
from service.targets import Address, Names, Target

SECONDS = 5.0  # from looking the name up to the answer's status
TRIED = 3  # addresses of one name
READ = 64 * 1024  # bytes of an answer, which are thrown away; after that the connection is cut


@dataclass(frozen=True)
class Answer:
    """What a receiver answered, or the error for which there is no status."""

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None  # seconds

    @property
    def taken(self) -> bool:
        """Did the receiver take it?"""
        return self.status is not None and 200 <= self.status < 300


class _Pinned(httpcore2.AnyIOBackend):
    """Connects to addresses that were judged, whatever name it is asked for."""

    def __init__(self, addresses: list[Address]) -> None:
        self._addresses = addresses[:TRIED]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        error: Exception = httpcore2.ConnectError("no address")
        for address in self._addresses:
            try:
                return await super().connect_tcp(str(address), port, SECONDS / (len(self._addresses) + 1))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as refused:
                error = refused
        raise error


def trusting(ca: Path | None) -> ssl.SSLContext:
    """TLS that trusts the system's authorities, and those in a file; raises `ValueError` if that cannot be read."""
    context = ssl.create_default_context()
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except OSError as error:
        raise ValueError(f"LESION_WEBHOOK_CA: there are no certificates in PEM to be read in {ca}.") from error
    return context


class Courier:
    """Posts to receivers: one connection a request, to a judged address, without redirects and without proxies."""

    def __init__(self, names: Names, allowed: Allowed, tls: ssl.SSLContext) -> None:
        self._names = names
        self._allowed = allowed
        self._tls = tls

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post once, for `SECONDS` at most. Never raises for what a receiver, its name or its network does."""
        came: list[Answer] = []
        try:
            async with asyncio.timeout(SECONDS):
                target = targets.read(url, self._allowed)
                addresses = await targets.judged(target, self._names, self._allowed)
                await self._exchange(target, addresses, headers, body, came)
        except WebhookUrlForbidden as error:
            return Answer(error=error.detail)
        except (TimeoutError, httpcore2.TimeoutException):
            error_text = f"There was no answer within {SECONDS:.0f} s."
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError, UnicodeError) as error:
            error_text = _explained(error)
        else:
            return came[0]
        return came[0] if came else Answer(error=error_text)  # whose status came has answered, however it went on

    async def _exchange(
        self, target: Target, addresses: list[Address], headers: Mapping[str, str], body: bytes, came: list[Answer]
    ) -> None:
        url = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        sent = {"Host": target.authority, "Accept": "*/*", "Connection": "close", **headers}
        async with (
            httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=_Pinned(addresses)) as pool,
            pool.stream("POST", url, headers=list(sent.items()), content=body) as response,
        ):
            came.append(_answer(response))
            read = 0
            async for piece in response.aiter_stream():
                read += len(piece)
                if read >= READ:
                    break


def _answer(response: httpcore2.Response) -> Answer:
    error = "It answered with a redirect; they are not followed." if 300 <= response.status < 400 else None
    after = [value for name, value in response.headers if name.lower() == b"retry-after"]
    return Answer(response.status, error, _seconds(after[0].decode("latin-1")) if after else None)


def _seconds(retry_after: str) -> float | None:
    """Retry-After in seconds, as a number or as a date; None if it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _explained(error: BaseException) -> str:
    """What went wrong, in words of our own: those of libraries may hold the URL or an inner address."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"Its certificate was not accepted: {inner.verify_message}."
        if isinstance(inner, ssl.SSLError):
            return "It does not speak TLS as it should."
        inner = inner.__cause__ or inner.__context__
    if isinstance(error, httpcore2.ConnectError):
        return "It could not be connected to."
    if isinstance(error, httpcore2.ProtocolError):
        return "Its answer was no HTTP."
    if isinstance(error, httpcore2.NetworkError):
        return "It closed the connection before it answered."
    return "Its name leads to no address."
