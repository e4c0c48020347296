"""A network that learned passes the gate, one that memorised fails it: the real command, service, worker and models."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

import httpx2
import pytest

from service import examples, local
from service.settings import Settings
from tests.service.conftest import lesion_apart


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A whole service, workers and all, as `lesion serve` starts it."""
    with local.embedded(Settings(data=tmp_path_factory.mktemp("gates"), port=0), grace=1) as address:
        yield address


Name = Literal["learned", "memorised"]
NAMES: tuple[Name, ...] = ("learned", "memorised")


def gate(service: str, name: Name, *more: str | Path) -> "subprocess.CompletedProcess[str]":
    """The verdict on a shipped network."""
    return lesion_apart("gate", *examples.paths(name), "--server", service, *more)


def test_accuracy_alone_lets_both_pass_and_the_score_does_not(service: str, tmp_path: Path) -> None:
    """Both are right on all their images. By their scores one passes, one fails, and each says so in its reports."""
    for name in NAMES:
        plain = gate(service, name, "--min-accuracy", "0.99")
        assert (plain.returncode, plain.stdout.startswith("lesion gate: pass")) == (0, True), plain.stdout
    keys = tmp_path / "keys.json"
    keys.write_text(httpx2.get(f"{service}/v1/signing-keys").text)
    for name, (code, verdict) in zip(NAMES, ((0, "pass"), (1, "fail")), strict=True):
        files = {option: tmp_path / f"{name}.{option}" for option in ("junit", "summary", "save", "attest")}
        options = [each for option, path in files.items() for each in (f"--{option}", path)]
        judged = gate(service, name, "--min-score", "0.3", "--min-accuracy", "0.99", *options)
        assert judged.returncode == code, judged.stdout + judged.stderr
        [line] = judged.stdout.splitlines()
        assert line.startswith(f"lesion gate: {verdict}: The score, ")
        suites = ET.parse(files["junit"]).getroot()
        assert (suites.get("tests"), suites.get("failures")) == ("2", str(code))
        assert verdict in files["summary"].read_text().splitlines()[0]
        evaluation = json.loads(files["save"].read_text())
        assert evaluation["result"]["cost"]["passes"] <= 4096  # of a budget of 200,000
        model, _ = examples.paths(name)
        for option in ("save", "attest"):
            checked = lesion_apart("verify", files[option], "--key", keys, "--model", model, "--passed")
            assert checked.returncode == code, checked.stdout + checked.stderr
            assert verdict in checked.stdout + checked.stderr


def test_a_drop_and_a_gap_between_real_evaluations(service: str, tmp_path: Path) -> None:
    """The same network again has no drop; by its first evaluation's data, `lesion compare` says the same."""
    first = tmp_path / "first.json"
    assert gate(service, "learned", "--min-score", "0.3", "--precision", "0.03", "--save", first).returncode == 0
    baseline = json.loads(first.read_text())["id"]
    again = tmp_path / "again.json"
    judged = gate(service, "learned", "--baseline", baseline, "--max-drop", "0.05", "--clamp", "zero", "--save", again)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    found = json.loads(again.read_text())["result"]
    assert found["baseline"]["difference"] == pytest.approx({"value": 0.0, "low": 0.0, "high": 0.0}, abs=0.01)
    ids = (baseline, json.loads(again.read_text())["id"])
    compared = lesion_apart("compare", *ids, "--max-drop", "0.05", "--server", service)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "lesion compare: pass" in compared.stdout
    _, other = examples.paths("memorised")
    model, _ = examples.paths("learned")
    odd = lesion_apart("gate", model, other, "--baseline", baseline, "--max-drop", "0.05", "--server", service)
    assert (odd.returncode, "dataset" in odd.stderr) == (2, True), odd.stderr


def test_analyses_come_before_the_trials_of_a_verdict(service: str, tmp_path: Path) -> None:
    """The verdict counts chunks of trials only: with analyses before them it is the same one, of the same trials."""
    config, saved = tmp_path / "config.json", [tmp_path / "plain.json", tmp_path / "analysed.json"]
    for more, path in zip(({}, {"analyses": ["selectivity", "importance"], "passes": 20_000}), saved, strict=True):
        config.write_text(json.dumps({"seed": 5, "gate": {"min_score": 0.3}, **more}))
        judged = gate(service, "memorised", "--config", config, "--save", path)
        assert judged.returncode == 1, judged.stdout + judged.stderr
    plain, analysed = (json.loads(path.read_text())["result"] for path in saved)
    assert (plain["gate"], plain["curve"]) == (analysed["gate"], analysed["curve"])
    assert plain["analyses"] is None
    assert analysed["analyses"]["units"]["units"] == 176


def test_a_policy_of_the_server(service: str) -> None:
    """Kept once, named by every pipeline; the line of the log says which version it was."""
    answer = httpx2.post(f"{service}/v1/policies", json={"name": "production", "rules": {"min_score": 0.3}})
    assert answer.status_code == 201
    judged = gate(service, "memorised", "--policy", "production")
    assert judged.returncode == 1, judged.stdout + judged.stderr
    assert "production@1" in judged.stdout
