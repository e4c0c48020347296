"""docs/client.md, run from top to bottom against a live service."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from service import examples
from tests.pages import blocks, exchanged, played
from tests.service.registries.conftest import service

__all__ = ["service"]  # a fixture


@pytest.mark.timeout(300)
def test_every_example_runs(service: str, tmp_path: Path) -> None:
    """One program of all blocks; what it prints is what the page says it would."""
    for source, name in zip(examples.paths("learned"), ("model.onnx", "test.npz"), strict=True):
        shutil.copy(source, tmp_path / name)
    program = exchanged("\n".join(blocks("docs/client.md", "python")), {"http://127.0.0.1:8000": service})
    (tmp_path / "page.py").write_text(program)
    output = played([sys.executable, "page.py"], tmp_path, 280)
    assert re.search(r"^\d+ trials: 0\.\d\d to 0\.\d\d$", output, re.MULTILINE)
    assert "pass ['" in output
    assert "['production@1']" in output
    assert "True\n/problems/validation-error" in output
    assert (tmp_path / "lesion.xml").read_text().count("<testcase") == 2
