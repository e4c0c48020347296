"""docs/mlflow.md, run from top to bottom as a reader would, against a live MLflow and a live Lesion."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.registries.conftest import TELL_NOBODY, mlflow_server, service

__all__ = ["mlflow_server", "service"]  # fixtures
ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(400)
def test_every_command_of_the_page_works(mlflow_server, service, tmp_path):
    """All blocks in one shell, in order; the webhook of the page then brings a verdict to the next version."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    steps = ["set -eu", "ln -s " + str(ROOT / "service") + " service"]
    for language, text in BLOCK.findall((ROOT / "docs/mlflow.md").read_text()):
        steps.append(text if language == "sh" else f"python -W ignore - <<'END'\n{text}END")
    steps += ["python -W ignore - <<'END'", NEXT, "END", "kill $!"]
    script = "\n".join(steps)
    page = tmp_path / "page.sh"
    for written, here in {
        "http://127.0.0.1:5000": mlflow_server,
        "http://127.0.0.1:8000": service,
        "8100": str(port),
    }.items():
        assert written in script
        script = script.replace(written, here)
    page.write_text(script)
    environment = os.environ | TELL_NOBODY | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shell = subprocess.Popen(
        ["bash", page], cwd=tmp_path, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = shell.communicate(timeout=380)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, output[-4000:]
    assert "PASS  models:/digits/1" in output
    assert "genuine: pass" in output
    assert re.search(r"^0\.[2-6]\d+$", output, re.MULTILINE), "the evaluator printed a score"
    assert "verdict of version 2: pass" in output


NEXT = """
import time
import mlflow, mlflow.onnx, onnx
with mlflow.start_run():
    mlflow.onnx.log_model(onnx.load("service/examples/learned.onnx"), name="model", registered_model_name="digits")
for _ in range(300):
    tags = mlflow.MlflowClient().get_model_version("digits", "2").tags
    if "lesion.verdict" in tags:
        break
    time.sleep(0.3)
print("verdict of version 2:", tags.get("lesion.verdict"))
"""
