"""Connections on which no whole request comes are dropped; who was refused may still read why."""

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from service import connections, descriptors
from tests.conftest import wait_until
from tests.service.conftest import Server

HEAD = b"GET /healthz HTTP/1.1\r\nHost: lesion\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)


def connected(server: Server) -> socket.socket:
    address = urlsplit(server.address)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=60)


def all_of(caller: socket.socket) -> bytes:
    """What comes until the service hangs up."""
    came = b""
    while data := caller.recv(65536):
        came += data
    return came


@pytest.mark.parametrize("begun", [b"", b"GET /hea", HEAD, HEAD + b"X: y\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(server: Server, begun: bytes) -> None:
    """Silence after connecting, or within a head, ends in a typed problem and a closed connection."""
    with connected(server) as caller:
        caller.sendall(begun)
        head, _, body = all_of(caller).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["type"] == "/problems/request-timeout"


def test_a_head_that_drips_is_not_waited_for(server: Server) -> None:
    """The deadline is for the head as a whole."""
    with connected(server) as caller:
        caller.sendall(HEAD)
        caller.settimeout(0.1)
        deadline, said = time.monotonic() + 60, b""
        while not said and time.monotonic() < deadline:
            caller.sendall(b"X: y\r\n")
            try:
                said = caller.recv(65536)
            except TimeoutError:
                continue
    assert said.startswith(b"HTTP/1.1 408 ")


def test_blank_lines_keep_no_connection(server: Server) -> None:
    """After an answer, what begins no request does not end the deadline for the next one."""
    with connected(server) as caller:
        caller.sendall(HEAD + b"\r\n")
        assert caller.recv(65536).startswith(b"HTTP/1.1 200 ")
        caller.sendall(b"\r\n")
        assert all_of(caller).startswith(b"HTTP/1.1 408 ")


def test_waiting_for_an_answer_is_not_silence(server: Server) -> None:
    """A request that is whole may take as long as it takes; the connection then serves the next one."""
    with connected(server) as caller:
        for _ in range(3):
            caller.sendall(HEAD + b"\r\n")
            assert caller.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_who_is_refused_can_read_why_and_not_send_for_ever(server: Server) -> None:
    """A body that is refused by its head is not read, and the connection not kept for it."""
    size = 3 * 1024**3
    with connected(server) as caller:
        caller.sendall(b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nabc" % size)
        assert caller.recv(65536).startswith(b"HTTP/1.1 413 ")
        assert all_of(caller) == b""


def test_one_connection_too_many_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can take the descriptors that the service itself needs: who comes on top is told to come again, and those
    who are there are served. Once one has left, there is room."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 30.0)
    monkeypatch.setattr(descriptors, "connections", lambda: 3)
    first, *others = [connected(server) for _ in range(3)]
    with connected(server) as surplus:
        head, _, body = all_of(surplus).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1" in head
    assert json.loads(body)["type"] == "/problems/busy"
    for caller in others:
        caller.close()
    first.sendall(HEAD + b"Connection: close\r\n\r\n")
    assert all_of(first).startswith(b"HTTP/1.1 200 ")
    first.close()

    def answered() -> bool:
        with connected(server) as caller:
            caller.sendall(HEAD + b"Connection: close\r\n\r\n")
            return all_of(caller).startswith(b"HTTP/1.1 200 ")

    wait_until(answered, "there is room again")


def test_a_kept_connection_is_turned_away_by_itself(server: Server) -> None:
    """Reads beyond the limit hear the same whether the framework refuses them or, later on, the connection does; it is
    kept, and serves what comes once there is room."""
    read = b"GET /v1/evaluations/none?wait=1 HTTP/1.1\r\nHost: localhost\r\n"
    crowds, counted = server.api.state.crowds, server.api.state.counted
    with connected(server) as caller:
        said = []
        for most in (0, 0, 1):
            crowds.reads.most = most
            caller.sendall(read + b"\r\n")
            said.append(answer(caller))
        assert [status for status, _, _ in said] == [503, 503, 404]
        (_, first, why), (_, second, again) = said[:2]
        assert why == again
        for headers in (first, second):
            assert len(headers.pop(b"x-request-id")) == 32
        assert first == second
        assert [path for path in server.asked if path.startswith("/v1/")] == ["/v1/evaluations/none"] * 2
        crowds.reads.most = 0
        caller.sendall(read + b"Connection: close\r\n\r\n")
        assert b"\r\nconnection: close\r\n" in all_of(caller)
    assert counted.requests.labels("GET", "none", "503")._value.get() == 3


def test_what_has_a_body_is_refused_by_who_can_read_it(server: Server) -> None:
    """The connection turns away plain reads alone: a body would be taken for the next request."""
    crowds = server.api.state.crowds
    with connected(server) as caller:
        caller.sendall(HEAD + b"\r\n")
        assert answer(caller)[0] == 200
        crowds.reads.most = crowds.writes.most = 0
        for method in (b"GET", b"POST"):
            caller.sendall(method + b" /v1/evaluations HTTP/1.1\r\nHost: lesion\r\nContent-Length: 2\r\n\r\n{}")
            assert answer(caller)[0] == 503
    assert server.asked.count("/v1/evaluations") == 2


def answer(caller: socket.socket) -> tuple[int, dict[bytes, bytes], bytes]:
    """One answer with a Content-Length: status, headers, body."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += caller.recv(65536)
    head, _, body = came.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    pairs = (line.partition(b": ") for line in lines)
    headers = {name.lower(): value for name, _, value in pairs if name.lower() != b"date"}
    while len(body) < int(headers[b"content-length"]):
        body += caller.recv(65536)
    return int(first.split()[1]), headers, body
