"""Folders for a piece of work: there while it lasts, swept away once their owner is dead, and never before."""

import subprocess
import sys
import threading
from pathlib import Path

from tests.conftest import wait_until
from worker import scratch

DYING = """
import os, signal, sys
from pathlib import Path
from worker import scratch
with scratch.folder(Path(sys.argv[1])) as folder:
    (folder / "inputs").write_text("much")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_owner_left_is_swept(tmp_path: Path) -> None:
    """A folder whose owner was killed goes; so does one that was killed before it could say whose it was."""
    subprocess.run([sys.executable, "-P", "-c", DYING, tmp_path], check=False)
    (tmp_path / "work-that-nobody-owns").mkdir()
    with scratch.folder(tmp_path) as mine:
        assert len(list(tmp_path.iterdir())) == 3
        scratch.sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [mine]


def test_sweeping_takes_no_folder_that_is_just_being_made(tmp_path: Path) -> None:
    """However the two meet, who is given a folder has it until the end."""
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            scratch.sweep(tmp_path)

    sweeping = threading.Thread(target=sweep)
    sweeping.start()
    try:
        for _ in range(1000):
            with scratch.folder(tmp_path) as folder:
                assert (folder / scratch.LOCK).exists()
    finally:
        done.set()
        sweeping.join()
    wait_until(lambda: list(tmp_path.iterdir()) == [], "nothing is left")
