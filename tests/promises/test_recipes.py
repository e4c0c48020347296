"""The recipes of examples/ci: their form by the schema of whoever reads them, and what they run, run for real."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from service import examples, local
from service.settings import Settings

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
BIN = Path(sys.executable).parent
SCHEMAS = {
    "github-action/action.yml": "vendor.github-actions",
    "github-action/workflow.yml": "vendor.github-workflows",
    "gitlab/gate.gitlab-ci.yml": "vendor.gitlab-ci",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A whole service, workers and all, as `lesion serve` starts it."""
    with local.embedded(Settings(data=tmp_path_factory.mktemp("recipes"), port=0), grace=1) as address:
        yield address


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_recipes_fit_the_schema_of_their_system(name: str, schema: str) -> None:
    """What GitHub and GitLab publish of their files, checked by check-jsonschema."""
    command: list[str | Path] = [BIN / "check-jsonschema", "--builtin-schema", schema, CI / name]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_recipe_is_in_its_readme() -> None:
    """And in the test above, if there is a schema."""
    folders = {path.name for path in CI.iterdir() if path.is_dir()}
    text = (CI / "README.md").read_text()
    assert [name for name in folders if f"[{name}/]({name}/)" not in text] == []
    assert {str(path.relative_to(CI)) for path in CI.rglob("*.yml")} == set(SCHEMAS)


def run(command: list[Any], folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A script of a recipe, in a folder of its own."""
    paths = {"PATH": f"{BIN}:{os.defpath}", "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=folder, env=paths | environment, capture_output=True, text=True, timeout=150)


@pytest.mark.parametrize(("name", "code", "verdict"), [("learned", 0, "pass"), ("memorised", 1, "fail")])
def test_curl_and_jq_gate_as_the_command_does(service: str, tmp_path: Path, name: Any, code: int, verdict: str) -> None:
    """The learned network passes, the memorised one fails, with the same exit codes."""
    script = [CI / "curl" / "gate.sh", *examples.paths(name), '{"min_score": 0.3}']
    judged = run(script, tmp_path, LESION_SERVER=service)
    assert (judged.returncode, judged.stdout.startswith(verdict)) == (code, True), judged.stdout + judged.stderr


def test_curl_and_jq_know_what_was_not_judged(service: str, tmp_path: Path) -> None:
    """A refused request and a service that is not there are 3; a gate that is no JSON is 2."""
    script = [CI / "curl" / "gate.sh", *examples.paths("learned")]
    assert run([*script, '{"max_drop": 0.3}'], tmp_path, LESION_SERVER=service).returncode == 3
    assert run([*script, '{"min_score": 0.3}'], tmp_path, LESION_SERVER="http://127.0.0.1:1").returncode == 3
    assert run([*script, "no JSON"], tmp_path, LESION_SERVER=service).returncode == 2


@pytest.mark.parametrize(("name", "code", "verdict"), [("learned", 0, "pass"), ("memorised", 1, "fail")])
def test_the_github_action_gates(service: str, tmp_path: Path, name: Any, code: int, verdict: str) -> None:
    """Its script, run as GitHub runs it, with `-e`: outputs, summary and exit code."""
    [step] = YAML(typ="safe").load(CI / "github-action" / "action.yml")["runs"]["steps"]
    model, dataset = examples.paths(name)
    given = {
        "LESION_KEY": "",
        "MODEL": str(model),
        "DATASET": str(dataset),
        "RULES": "--min-score 0.3 --min-accuracy 0.9",
        "SERVER": service,
        "TIMEOUT": "120",
    }
    assert set(given) == set(step["env"])
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    judged = run(shell, tmp_path, **given, **files)
    assert judged.returncode == code, judged.stdout + judged.stderr
    assert f"verdict={verdict}\n" in Path(files["GITHUB_OUTPUT"]).read_text()
    assert "xychart-beta" in Path(files["GITHUB_STEP_SUMMARY"]).read_text()
    assert {"lesion.xml", "lesion.json", "lesion-verdict.json"} <= {path.name for path in tmp_path.iterdir()}
    assert ("::error" in judged.stdout) == (code != 0)
