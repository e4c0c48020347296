"""What a connection may send before there is a request, and how one that sends something else is refused.

uvicorn itself bounds neither the head of a request nor the time it may take, and answers what it cannot read in plain
text.
"""

import re
import uuid
from asyncio import TimerHandle
from collections.abc import Mapping
from typing import Any

import uvicorn
from starlette.datastructures import State
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service import descriptors, problems
from service.api.admission import BUSY, READING, REFUSAL, Crowds
from service.api.headers import ALWAYS, NOTHING
from service.api.observing import ID, Counted

HEAD_LIMIT = 64 * 1024  # bytes of a request's line and headers, or of whatever else is no body
HEAD_SECONDS = (
    14.0  # a second less than we promise: from a request's first byte, or from connecting, until its head is whole
)
HOST = re.compile(rb"(\[[\w:.%]+\]|[\w.~%-]*)(:\d{0,5})?", re.ASCII)
REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
AGAIN = {"retry-after": "1"}
UNREADABLE = "This is no HTTP/1.1 request that can be read: mend its first line, its headers or its chunks."


def config(app: ASGIApp, state: State | None = None, **options: Any) -> uvicorn.Config:
    """How the application is served: all that uvicorn takes, over connections of ours.

    With the application's state, reads that are too much for its `crowds` are turned away by the connection.
    """
    kind = (
        Connection
        if state is None
        else type("Crowded", (Connection,), {"crowds": state.crowds, "counted": state.counted})
    )
    return uvicorn.Config(app, http=kind, access_log=False, server_header=False, **options)


class Connection(HttpToolsProtocol):
    """uvicorn's, with bounded heads, a deadline for them, one sane Host, and refusals as every other one is."""

    crowds: Crowds | None = None
    counted: Counted | None = None
    _deadline: TimerHandle | None = None
    _head = 0  # bytes of the line and the headers so far
    _fruitless = 0  # bytes since anything came of them
    _in_body = False
    _problem: problems.Problem | None = None

    def connection_made(self, transport: Any) -> None:
        """A caller, who is to ask something soon."""
        super().connection_made(transport)
        if len(self.connections) > descriptors.connections():  # this one among them
            self._refuse(_too_many())
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, whoever ended it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a head, of a body or of neither."""
        if self.transport.is_closing():
            return  # refused already; what still comes is not read
        rested = self.timeout_keep_alive_task is not None
        self._fruitless += len(data)
        super().data_received(data)
        if self._fruitless > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(_too_long())
        elif rested and self._deadline is None and self.cycle is not None and self.cycle.response_complete:
            self._wait()  # blank lines end a rest and begin no request

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head = 0
        if self._deadline is None:
            self._wait()

    def on_url(self, url: bytes) -> None:
        """The address, or a part of it."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or what trails a body in chunks."""
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: begin to answer."""
        self._stop_waiting()
        self._fruitless, self._in_body = 0, True
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._raise(problems.BadRequest(f"The request has {len(hosts)} headers Host, and needs one."))
        if hosts and not HOST.fullmatch(hosts[0]):
            self._raise(problems.BadRequest("The header Host is no name or address, with or without a port."))
        if self._too_much():
            self._turn_away()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a body."""
        self._fruitless = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._fruitless, self._in_body = 0, False
        if self.cycle.response_complete:
            self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered. Who was refused before all was sent may go on for a while, to be able to read why."""
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read; called by uvicorn, for what was raised above too."""
        self._refuse(self._problem or problems.BadRequest(UNREADABLE))

    def _too_much(self) -> bool:
        """Is this a plain read, on a connection that was answered before, with all places taken?

        The framework would take a fifth of a millisecond to say no, and at three times the load nothing else got done.
        """
        if self.crowds is None or self.cycle is None or not self.cycle.response_complete:
            return False
        method, path = self.parser.get_method().decode(), self.url.partition(b"?")[0].decode("latin-1")
        if method not in READING or not self.crowds.full(method, path):
            return False
        return not any(name in (b"content-length", b"transfer-encoding", b"upgrade") for name, _ in self.headers)

    def _turn_away(self) -> None:
        """Answer as `Admission` does."""
        method = self.parser.get_method().decode()
        keep = self.parser.should_keep_alive()
        told = {**REFUSAL, **ALWAYS, "content-security-policy": NOTHING, ID: uuid.uuid4().hex}
        if not keep:
            told["connection"] = "close"
        self.transport.write(_head(problems.Busy.status, told) + (b"" if method == "HEAD" else BUSY))
        if self.counted is not None:
            self.counted.refused(method, problems.Busy.status)
        if keep:
            self.on_response_complete()
        else:
            self.transport.close()

    def _count(self, *parts: bytes) -> None:
        self._head += sum(map(len, parts))
        if self._head > HEAD_LIMIT:
            self._raise(_too_long())

    def _raise(self, problem: problems.Problem) -> None:
        self._problem = problem
        raise problem  # through the parser, which wraps it

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._in_body:
            self.transport.close()
        elif not self.transport.is_closing():
            detail = f"The request's headers were not whole after {HEAD_SECONDS:g} s. Send the request again."
            self._refuse(problems.RequestTimeout(detail))

    def _refuse(self, problem: problems.Problem) -> None:
        """Say why, and hang up."""
        body = problem.json()
        told = {"content-type": problems.MEDIA, "content-length": str(len(body)), "connection": "close", **ALWAYS}
        told |= problem.headers
        self.transport.write(_head(problem.status, told) + body)
        self.transport.close()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return b"HTTP/1.1 %d %s\r\n%s\r\n" % (status, REASONS[status], "".join(lines).encode())


def _too_many() -> problems.Problem:
    return problems.Busy("The service has as many connections as it can. Connect again in a second.", headers=AGAIN)


def _too_long() -> problems.Problem:
    return problems.HeadersTooLarge(
        f"The request's line and headers have more than {HEAD_LIMIT:,} bytes. Send fewer or shorter headers, and large "
        "things in the body."
    )
