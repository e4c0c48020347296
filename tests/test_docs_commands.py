"""The commands of the documentation, run from top to bottom as a reader would, against a live service."""

import base64
import hmac
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import httpx2
import numpy as np
import onnx
import pytest
from PIL import Image

from service import examples
from tests.nets import net, node, noise
from tests.pages import blocks, exchanged, played
from tests.service.registries.conftest import service

__all__ = ["service"]  # a fixture
ADDRESS = "http://127.0.0.1:8000"
FIRST_ID = 'python -c \'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])\''
NEWEST = f"ID=$(curl -s {ADDRESS}/v1/evaluations?limit=1 | {FIRST_ID})"


def shell(
    folder: Path, steps: list[str], places: dict[str, str], files: Mapping[str, bytes] = MappingProxyType({})
) -> str:
    """What all steps print in one shell, beside the reader's own model.onnx and test.npz; each must succeed."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for source, name in zip(examples.paths("learned"), ("model.onnx", "test.npz"), strict=True):
        shutil.copy(source, folder / name)
    script = exchanged("\n".join(["set -eu", *steps]), places)
    (folder / "page.sh").write_text(script)
    return played(["bash", folder / "page.sh"], folder, 280)


@pytest.mark.timeout(300)
def test_gates(service: str, tmp_path: Path) -> None:
    """A gate, a comparison, reports, the signed verdict and a policy."""
    alone, over_http, others, reports, signed, policy = blocks("docs/gates.md", "sh")
    chosen = "cp model.onnx candidate.onnx; CHAMPION=$ID; CANDIDATE=$ID"
    steps = [alone, over_http, NEWEST, chosen, others, reports, signed, policy]
    output = shell(tmp_path, steps, {ADDRESS: service})
    assert output.count("lesion gate: pass") == 3
    assert "lesion compare: pass" in output
    assert "genuine: pass" in output
    assert '"id":"production@1"' in output
    assert "<testsuites" in output
    assert json.loads((tmp_path / "result.json").read_text())["result"]["gate"]["verdict"] == "pass"


@pytest.mark.timeout(300)
def test_analyses(service: str, tmp_path: Path) -> None:
    """An analysis by the command, and one by curl with its units in every form; then memorisation, and the digest."""
    by_command, by_curl, memorised, digest = blocks("docs/analyses.md", "sh")
    splits = "VALIDATION=$ID; TRAINING=$ID"
    steps = [f"ln -s {Path(sys.executable).parents[1]} .venv", by_command, by_curl, splits, memorised, digest]
    output = shell(tmp_path, steps, {ADDRESS: service})
    newest = httpx2.get(f"{service}/v1/evaluations?limit=1").json()["data"][0]
    assert newest["result"]["analyses"]["units"]["digest"].removeprefix("sha256:") in output
    assert (tmp_path / "units.csv").read_text().count("\n") == 177
    assert (tmp_path / "units.svg").read_text().startswith("<?xml")


@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("zip") is None, reason="the page packs pictures with zip")
def test_readme_on_pictures(service: str, tmp_path: Path) -> None:
    """Pictures in class folders, cut and scaled as the config says, by a network of 224 x 224 pixels."""
    [pictures] = [each for each in blocks("README.md", "sh") if "images.zip" in each]
    drawn = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(8):
            picture = Image.fromarray(drawn.integers(0, 256, (280, 300, 3), np.uint8))
            picture.save(tmp_path / name / f"{number}.png")
    output = shell(tmp_path, ["cp seeing.onnx model.onnx", pictures], {ADDRESS: service}, {"seeing.onnx": seeing()})
    assert '"state":"succeeded"' in output
    assert '"resize":256' in output


@pytest.mark.timeout(300)
def test_readme_on_weights_beside(service: str, tmp_path: Path) -> None:
    """Two files of one model, as two parts."""
    [beside] = [each for each in blocks("README.md", "sh") if "model.onnx.data" in each]
    model = onnx.load(examples.paths("learned")[0])
    onnx.save(model, tmp_path / "split.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    output = shell(tmp_path, ["cp split.onnx model.onnx", beside], {ADDRESS: service})
    assert '"state":"succeeded"' in output


def seeing() -> bytes:
    """A network of one convolution for pictures of 3 x 224 x 224, with two classes."""
    nodes = [
        node("Conv", "x w", "c", strides=[32, 32]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f v", "y"),
    ]
    weights = {"w": noise(0, 8, 3, 32, 32), "v": noise(1, 8, 2)}
    return net(nodes, weights, ["batch", 3, 224, 224], ["batch", 2])


@pytest.mark.timeout(300)
def test_readme(service: str, tmp_path: Path) -> None:
    """What the README does with one's own model: score it, check the signed result, gate it."""
    found = blocks("README.md", "sh")
    [scored] = [each for each in found if "lesion serve" in each]
    [verified] = [each for each in found if "keys.json" in each]
    [gated] = [each for each in found if "lesion gate" in each]
    scored = "\n".join(line for line in scored.splitlines() if "lesion serve" not in line)
    steps = [f"ln -s {Path(sys.executable).parents[1]} .venv", scored, NEWEST, verified, gated]
    output = shell(tmp_path, steps, {ADDRESS: service})
    assert "genuine: score" in output
    assert "lesion gate: pass" in output


def test_webhooks(service: str, tmp_path: Path) -> None:
    """A webhook is made and its deliveries are shown; the page's signature is that of Standard Webhooks."""
    made, signature, deliveries, _ = blocks("docs/webhooks.md", "sh")
    example = {
        "SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLlSw",
        "WEBHOOK_ID": "msg_1",
        "WEBHOOK_TIMESTAMP": "1614265330",
    }
    example["BODY"] = '{"test": 2432232314}'
    given = [f"{name}='{value}'" for name, value in example.items()]
    newest = f"ID=$(curl -s {ADDRESS}/v1/webhooks | {FIRST_ID})"
    places = {ADDRESS: service, "https://hooks.example.org/lesion": "https://1.1.1.1/lesion"}
    output = shell(tmp_path, [made, *given, signature, newest, deliveries], places)
    assert "whsec_" in output
    signed = ".".join((example["WEBHOOK_ID"], example["WEBHOOK_TIMESTAMP"], example["BODY"])).encode()
    key = base64.b64decode(example["SECRET"].removeprefix("whsec_"))
    assert base64.b64encode(hmac.digest(key, signed, "sha256")).decode() in output
    assert '{"data":[]' in output
