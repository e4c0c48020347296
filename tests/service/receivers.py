"""Real receivers of webhooks: HTTPS servers in threads, with certificates of an authority of the tests' own."""

import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "hooks.receiver.example"


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and the certificate of one receiver that it vouches for."""

    folder: Path

    @property
    def ca(self) -> Path:
        """What a sender has to trust."""
        return self.folder / "ca.pem"

    def issue(self, *names: str) -> None:
        """Make the authority, and a certificate for these names and addresses."""
        key, receiver = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        issuer = _name("Lesion's tests")
        basic = x509.BasicConstraints(ca=True, path_length=0)
        unsigned_ca = _certificate(issuer, issuer, key).add_extension(basic, critical=True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        ca = unsigned_ca.add_extension(usage, critical=True).sign(key, hashes.SHA256())
        alternatives = x509.SubjectAlternativeName(
            [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
        )
        unsigned = _certificate(_name("a receiver"), issuer, receiver).add_extension(alternatives, critical=False)
        self.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        private = receiver.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        signed = unsigned.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (self.folder / "receiver.pem").write_bytes(private + signed)

    @property
    def context(self) -> ssl.SSLContext:
        """What a receiver speaks TLS with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "receiver.pem")
        return context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))


@dataclass(frozen=True)
class Post:
    """One request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes


class Asked(BaseHTTPRequestHandler):
    """One request; what to do with it is the receiver's."""

    server: "Receiver"
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Shake hands in this request's own thread: a caller that does not would hold up the others."""
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.posts.append(Post(self.path, headers, body))
        self.server.behaviour(self)

    def answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        """An empty answer."""
        self.send_response(status)
        for name, value in {"content-length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the tests look at `posts`."""


Behaviour = Callable[[Asked], None]


def takes(asked: Asked) -> None:
    """The receiver that all is well with."""
    asked.answer(204)


@dataclass
class Receiver(ThreadingHTTPServer):
    """Listens on an address of loopback, and keeps what it was sent and how many connected at all."""

    behaviour: Behaviour = takes
    context: ssl.SSLContext | None = None
    address: str = "127.0.0.1"
    wanted_port: int = 0
    posts: list[Post] = field(default_factory=list)
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    daemon_threads = True
    request_queue_size = 64

    def __post_init__(self) -> None:
        super().__init__((self.address, self.wanted_port), Asked)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept, and count."""
        accepted, caller = super().get_request()
        self.connections += 1
        if self.context is not None:
            accepted = self.context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        return accepted, caller

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is what some tests are about."""


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    """Let it receive, until the end of the block."""
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()


def loopback() -> str:
    """Some address of loopback that no other test listens on."""
    return "127." + ".".join(str(1 + secrets.randbelow(250)) for _ in range(3))
