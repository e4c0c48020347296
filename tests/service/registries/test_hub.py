"""A repository on Hugging Face's hub, played by a server that answers as the hub does, redirects included."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.registries.checking import Plan, check
from service.registries.flavours import UnusableModelError
from service.registries.hub import Hub
from service.registries.names import read
from service.registries.versions import WentWrongError

COMMIT = "0123456789" * 4
NAMED = read(f"hf://me/digits@{COMMIT}")


@dataclass
class Repository:
    """The files of one commit, and what was asked for."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def repository() -> Iterator[Repository]:
    here = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked.append((self.path, self.headers.get("Authorization")))
            resolve, store = f"/me/digits/resolve/{COMMIT}/", "/store/"
            if self.path == f"/api/models/me/digits/revision/{COMMIT}":
                self.answer(200, json.dumps({"siblings": [{"rfilename": name} for name in here.files]}).encode())
            elif self.path.startswith(resolve):
                self.answer(302, b"", Location=store + self.path.removeprefix(resolve))
            elif self.path.startswith(store):
                self.answer(200, here.files[self.path.removeprefix(store)])
            else:
                self.answer(404, b"")

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    here.address = f"http://127.0.0.1:{server.server_port}"
    yield here
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub(repository: Repository, tmp_path: Path) -> Hub:
    return Hub(tmp_path / "reports", "hf_token", repository.address)


@pytest.mark.parametrize(
    ("files", "fetched"),
    [
        ({"model.onnx": b"..model.onnx_data..", "model.onnx_data": b"w"}, ["model.onnx", "model.onnx_data"]),
        ({"onnx/model.onnx": b"m", "onnx/model_int8.onnx": b"q", "pytorch_model.bin": b"p"}, ["model.onnx"]),
        ({"net.onnx": b"m", "other.data": b"x"}, ["net.onnx"]),
    ],
)  # fmt: skip
def test_the_model_is_found_among_the_files(hub, repository, tmp_path, files, fetched):
    """As exporters lay it out, with its weights; the pickles beside it are not even fetched."""
    repository.files = files
    found = hub.fetch(hub.version(NAMED), tmp_path)
    assert [file.name for file in found] == fetched
    assert all(key == "Bearer hf_token" for _, key in repository.asked[:2])
    assert not any(path.endswith(".bin") for path, _ in repository.asked)


@pytest.mark.parametrize(
    "files", [{}, {"pytorch_model.bin": b"p"}, {"a.onnx": b"", "b.onnx": b""}, {"../up.onnx": b""}]
)
def test_what_has_no_model_is_told_how_to_have_one(hub, repository, tmp_path, files):
    """None, or several that are called something else; and no file name leads out of the folder."""
    repository.files = files
    with pytest.raises(UnusableModelError, match=r"torch\.onnx\.export"):
        hub.fetch(hub.version(NAMED), tmp_path)


def test_the_verdict_is_kept_beside_the_inbox(hub, repository, tmp_path):
    """A model that cannot be evaluated is written down as not judged; nothing is written to the hub."""
    repository.files = {"pytorch_model.bin": b"p"}
    with Client("http://127.0.0.1:1") as nobody:
        checked = check(hub, nobody, NAMED, Plan(tmp_path / "test.npz"))
    assert checked.judged.code == 3
    told = json.loads((tmp_path / "reports" / "me--digits" / COMMIT / "verdict.json").read_text())
    assert told["verdict"] == "not judged"


def test_a_commit_that_is_not_there_may_come_yet(hub, tmp_path):
    """The hub tells of it before all of its machines know it."""
    with pytest.raises(WentWrongError, match="404"):
        hub.fetch(hub.version(read(f"hf://me/other@{COMMIT}")), tmp_path)
