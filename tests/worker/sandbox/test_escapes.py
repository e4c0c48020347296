"""Forty ways out of the child, each tried by real code behind the real walls; none leads out, and each is recorded."""

import os
import signal
import socket
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.worker.sandbox import escaping
from worker.sandbox import landlock, seccomp, selftest
from worker.sandbox.process import MIB, Crashed, Process, TimedOut

pytestmark = pytest.mark.skipif(
    landlock.abi() < 4 or not seccomp.available(), reason="this kernel has no Landlock of ABI 4 or newer, or no seccomp"
)
KILLED = {
    "traces the parent",
    "reads the parent's memory",
    "makes a namespace of its own",
    "mounts",
    "uses io_uring",
    "loads a BPF program",
}


class Escaping(Process):
    """A child that tries one way out."""

    MODULE: ClassVar[str] = "tests.worker.sandbox.escaping"

    def tried(self, attempt: str, given: Path) -> dict[str, Any]:
        found, _ = self._ask({"do": attempt, "given": str(given)})
        return found


@pytest.fixture
def given(tmp_path: Path) -> Any:
    """A folder with what is somebody else's: an upload, and a socket that somebody listens at; open to everybody."""
    (tmp_path / "blob").write_text("secret")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder not in (Path("/"), Path("/tmp")):
            folder.chmod(0o755)
    tmp_path.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listening:
        short = Path(f"/proc/self/fd/{os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)}/sock")
        listening.bind(str(short))
        listening.listen()
        (tmp_path / "sock").chmod(0o777)
        yield tmp_path
    os.close(int(short.parts[4]))


@pytest.mark.parametrize("attempt", escaping.ATTEMPTS)
def test_nothing_gets_out(attempt: str, given: Path) -> None:
    """Refused by the kernel, killed by it, or ended by the parent: as a record that says which."""
    before = sorted(given.iterdir())
    seconds = 3 if attempt == "never ends" else 60
    with Escaping(memory_bytes=512 * MIB, seconds=seconds) as child:
        if attempt == "never ends":
            with pytest.raises(TimedOut):
                child.tried(attempt, given)
        elif attempt in KILLED:
            with pytest.raises(Crashed) as caught:
                child.tried(attempt, given)
            assert caught.value.signal == signal.SIGSYS
        else:
            found = child.tried(attempt, given)
            assert set(found) == {"stopped"}, found
    assert sorted(given.iterdir()) == before
    assert not Path("/tmp/lesion-escape").exists()


def test_the_self_test_finds_no_leak() -> None:
    """What a worker asks before it takes work."""
    assert selftest.leaks("cpu") == []


@pytest.mark.parametrize(
    ("wall", "leak"), [("landlock", "reads files of the machine"), ("seccomp", "opens network sockets")]
)
def test_the_self_test_sees_what_is_missing(wall: str, leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of the walls, it says which promise does not hold."""
    monkeypatch.setattr(selftest.Probe, "MODULE", f"tests.worker.sandbox.without_{wall}")
    assert leak in selftest.leaks("cpu")


def test_the_way_out_is_open_without_walls(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts are real: with the walls down, they get through."""
    monkeypatch.setattr(Escaping, "MODULE", "tests.worker.sandbox.unwalled")
    for attempt in (
        "reads /etc/passwd",
        "reads an upload of somebody else",
        "writes a file",
        "forks",
        "sends over UDP",
    ):
        with Escaping(memory_bytes=512 * MIB, seconds=60) as child:
            assert set(child.tried(attempt, given)) == {"escaped"}, attempt
