"""Pages of the documentation, run as a reader would run them: their blocks, in order, in one shell."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, *languages: str) -> list[str]:
    """The text of a page's blocks in these languages."""
    found = BLOCK.findall((ROOT / page).read_text())
    return [text for language, text in found if language in languages]


def exchanged(text: str, places: dict[str, str]) -> str:
    """A text with what the reader has put in the place of what is written; each must be there."""
    for written, here in places.items():
        assert written in text, written
        text = text.replace(written, here)
    return text


def played(command: list[str | Path], folder: Path, seconds: float, **environment: str) -> str:
    """What a program writes, with our commands on its PATH; it must end well, and nothing is left of it."""
    bins = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | {"PATH": bins, **environment}, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output[-4000:]
    return output
