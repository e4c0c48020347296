"""One request that must be refused, and how requests are put together."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.promises.bad_input.served import Served

MODELS, DATASETS, EVALUATIONS = "/v1/models", "/v1/datasets", "/v1/evaluations"
BOUNDARY = "a-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
NOBODY = "sha256:" + "0" * 64  # a digest of nothing that was uploaded
Answer = httpx2.Response | bytes


@dataclass(frozen=True)
class Asked:
    """What is sent, and the status, the problem's type and a word of the detail that must come back."""

    name: str
    send: Callable[[Served], Answer]
    status: int
    kind: str
    says: str


def post(path: str, content: Any, **headers: str) -> Callable[[Served], Answer]:
    """A POST of these bytes, or of what an iterator gives, which goes out in chunks."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda served: served.client.post(path, content=content() if callable(content) else content, headers=told)


def get(path: str, **headers: str) -> Callable[[Served], Answer]:
    """A GET."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda served: served.client.get(path, headers=told)


def raw(*parts: bytes) -> Callable[[Served], Answer]:
    """These very bytes over a socket."""
    return lambda served: served.sent(b"".join(parts))


def head(line: str, *headers: str, host: str = "Host: localhost") -> bytes:
    """A request's head."""
    return "\r\n".join([line, *([host] if host else []), *headers, "", ""]).encode("latin-1")


def form(*parts: tuple[str, bytes], end: bytes = b"", path: str = EVALUATIONS) -> Callable[[Served], Answer]:
    """A multipart body of parts: a Content-Disposition's parameters, and content."""
    return post(path, body(*parts) + end, **FORM)


def body(*parts: tuple[str, bytes], last: str = "--") -> bytes:
    """A multipart body."""
    made = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {told}\r\n\r\n".encode() + content + b"\r\n"
        for told, content in parts
    )
    return made + f"--{BOUNDARY}{last}\r\n".encode()


def file(name: str, content: bytes, file_name: str = "a.onnx") -> tuple[str, bytes]:
    """A part that is a file."""
    return f'name="{name}"; filename="{file_name}"', content


def digest(content: bytes, algorithm: str = "sha256") -> str:
    """A digest as RFC 9530 writes it."""
    return f":{base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}:"


def flood(piece: bytes, times: int) -> Callable[[], Iterator[bytes]]:
    """The same bytes again and again, in chunks."""
    return lambda: iter([piece] * times)
