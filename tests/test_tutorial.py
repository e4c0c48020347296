"""docs/tutorial.md, run from top to bottom as a newcomer would; what it shows is what is printed."""

import re
import socket
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks, exchanged, played

PAGE = "docs/tutorial.md"
VARIES = re.compile(r"ev_[0-9a-z]+|\d+(?:\.\d+)?")  # ids, and numbers that another processor may round otherwise


def pattern(line: str) -> str:
    """What a line of the page must look like in what is printed: the same words, some number for each number."""
    words = VARIES.split(" ".join(line.split()))
    return r"[\w.]+".join(re.escape(each) for each in words)


@pytest.mark.timeout(500)
def test_the_tutorial_is_true(tmp_path: Path) -> None:
    """Every command works in one shell, and every line that is shown is printed, in order."""
    (tmp_path / "service").symlink_to(ROOT / "service")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    places = {"8000": str(port), ".venv/bin/": "", "scripts/demo": str(ROOT / "scripts" / "demo")}
    script = exchanged("set -eu\n" + "\n".join(blocks(PAGE, "sh")), places)
    printed = [" ".join(line.split()) for line in played(["bash", "-c", script], tmp_path, 480).splitlines()]
    left = iter(printed)
    for line in "\n".join(blocks(PAGE, "text")).split("\n"):
        if not line:
            continue
        wanted = re.compile(pattern(line))
        assert any(wanted.fullmatch(one) for one in left), (line, printed)


def test_the_step_into_ci_is_the_recipes_own() -> None:
    """The lines for GitHub stand in the workflow of examples/ci, word by word."""
    [step] = blocks(PAGE, "yaml")
    recipe = (ROOT / "examples/ci/github-action/workflow.yml").read_text()
    for line in step.splitlines():
        assert line.strip() in recipe
