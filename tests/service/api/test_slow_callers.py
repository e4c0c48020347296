"""Callers that keep connections without using them are dropped; those that send are not. And what browsers are told."""

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from service.api import body
from tests.service.conftest import Server

HEAD = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


def connected(server: Server) -> socket.socket:
    """A connection whose request has begun."""
    address = urlsplit(server.address)
    caller = socket.create_connection((address.hostname or "", address.port or 0), timeout=60)
    caller.sendall(HEAD)
    return caller


def answer(caller: socket.socket) -> bytes:
    """All that comes until the service hangs up."""
    came = b""
    while data := caller.recv(65536):
        came += data
    return came


def staged(server: Server, settings_data: Path) -> list[Path]:
    return [path for path in (settings_data / "scratch").rglob("*") if path.is_file()]


def test_silence_is_dropped(server: Server, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a typed problem, a closed connection, and no file left."""
    monkeypatch.setattr(body, "PATIENCE", 0.5)
    with connected(server) as caller:
        caller.sendall(b"x" * 100)
        said = answer(caller)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/request-timeout" in said
    assert staged(server, settings.data) == []


def test_a_drip_is_dropped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no connection."""
    monkeypatch.setattr(body, "PATIENCE", 0.5)
    with connected(server) as caller:
        deadline = time.monotonic() + 60
        caller.settimeout(0.1)
        said = b""
        while not said and time.monotonic() < deadline:
            caller.sendall(b"x")
            try:
                said = caller.recv(65536)
            except TimeoutError:
                continue
    assert said.startswith(b"HTTP/1.1 408 ")


def test_idle_connections_hold_nobody_up(server: Server) -> None:
    """A hundred that say nothing, and one that wants an answer."""
    idle = [connected(server) for _ in range(100)]
    assert httpx2.get(f"{server.address}/healthz", timeout=30).status_code == 200
    for caller in idle:
        caller.close()


@pytest.mark.parametrize(
    "path", ["/healthz", "/docs", "/openapi.json", "/v1/evaluations", "/v1/evaluations/none", "/no"]
)
def test_browsers_may_run_nothing_from_elsewhere(server: Server, path: str) -> None:
    """No answer may load, frame or be guessed to be anything; the documentation runs what is our own."""
    headers = httpx2.get(f"{server.address}{path}", timeout=30).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "http:" not in policy
    assert "https:" not in policy
    assert headers["x-content-type-options"] == "nosniff"
