"""The recipes of examples/ci: their form by the schema of whoever reads them, and what they run, run for real."""

import os
import re
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
    assert folders == {"github-action", "gitlab", "jenkins", "argo", "airflow", "kubeflow", "curl"}


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


def gates(command: str, folder: Path, name: Any, code: int, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a recipe's shell script on one of the shipped networks, and hold its exit code against what is expected."""
    for source, file in zip(examples.paths(name), ("model.onnx", "test.npz"), strict=True):
        (folder / file).symlink_to(source)
    judged = run(["sh", "-c", command], folder, **environment)
    assert judged.returncode == code, judged.stdout + judged.stderr
    return judged


BOTH = pytest.mark.parametrize(("name", "code"), [("learned", 0), ("memorised", 1)])


def jenkins_script() -> str:
    """The shell script in the Jenkinsfile, as Groovy's triple quotes hand it on."""
    [text] = re.findall(r"sh '''(.*?)'''", (CI / "jenkins" / "Jenkinsfile").read_text(), re.DOTALL)
    return str(text)


@BOTH
def test_jenkins_gates(service: str, tmp_path: Path, name: Any, code: int) -> None:
    """Its step passes and fails as it should, and leaves the report that `junit` reads."""
    text = (CI / "jenkins" / "Jenkinsfile").read_text()
    assert [text.count(bracket) for bracket in "{(["] == [text.count(bracket) for bracket in "})]"]
    given = {"MODEL": "model.onnx", "DATASET": "test.npz", "RULES": "--min-score 0.3", "SERVER": service}
    assert set(re.findall(r"name: '(\w+)'", text)) == set(given)
    gates(jenkins_script(), tmp_path, name, code, **given)
    assert "<testcase" in (tmp_path / "lesion.xml").read_text()


def test_jenkins_tries_again_what_was_not_judged(tmp_path: Path) -> None:
    """Three times, and then it fails; no other code is tried again."""
    lesion = tmp_path / "bin" / "lesion"
    lesion.parent.mkdir()
    given = {"MODEL": "m", "DATASET": "d", "RULES": "", "SERVER": "s", "PATH": f"{lesion.parent}:{os.defpath}"}
    for code, calls in ((3, 3), (5, 1), (0, 1)):
        lesion.write_text(f"#!/bin/sh\necho called >> {tmp_path}/{code}\nexit {code}\n")
        lesion.chmod(0o755)
        assert run(["sh", "-c", jenkins_script()], tmp_path, **given).returncode == code
        assert (tmp_path / str(code)).read_text().count("called") == calls


def argo() -> dict[str, Any]:
    """The one template of the recipe for Argo."""
    found: dict[str, Any] = YAML(typ="safe").load(CI / "argo" / "gate.yaml")
    return found


def unknown(written: Any, read: Any, path: str = "") -> list[str]:
    """Fields of a file that did not come back from the types it was read into."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [
            fault
            for key, value in written.items()
            for fault in (unknown(value, read[key], f"{path}.{key}") if key in read else [f"{path}.{key}"])
        ]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [fault for one, other in zip(written, read, strict=True) for fault in unknown(one, other, path)]
    return []


def test_argos_template_fits_argos_types() -> None:
    """Hera has Argo's API as types: all is of the right type, and no field is one that Argo does not know."""
    from hera.workflows.models import WorkflowTemplate

    read = WorkflowTemplate.model_validate(argo()).model_dump(by_alias=True, exclude_none=True)
    assert unknown(argo(), read) == []
    assert unknown({"spec": {"templtes": []}}, WorkflowTemplate.model_validate(argo()).model_dump(by_alias=True)) != []


@BOTH
def test_argo_gates(service: str, tmp_path: Path, name: Any, code: int) -> None:
    """The script of its template, with what its variables stand for."""
    [template] = argo()["spec"]["templates"]
    assert {each["name"] for each in template["script"]["env"]} == {"RULES", "SERVER", "LESION_KEY"}
    gates(template["script"]["source"], tmp_path, name, code, RULES="--min-score 0.3", SERVER=service)
    assert {"lesion.json", "lesion-verdict.json"} <= {path.name for path in tmp_path.iterdir()}


def apart(script: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A Python program where Airflow and Kubeflow are installed, and `lesion` is on the PATH."""
    tools = ROOT / ".venv-recipes" / "bin" / "python"
    if not tools.exists():
        pytest.skip("scripts/recipes has not been run")
    return run([tools, "-W", "ignore", "-c", script], folder, AIRFLOW_HOME=str(folder), **environment)


AIRFLOW = """
import sys
sys.path.insert(0, {folder!r})
import lesion_gate as recipe
from airflow.sdk.exceptions import AirflowException, AirflowFailException
dag = recipe.lesion_gate()
assert dag.task_dict["deploy"].upstream_task_ids == {{"gate"}}, dag.task_dict
assert dag.task_dict["gate"].retries == 2
for rules, server in ((["--min-score", "0.3"], {service!r}), (["--min-score", "0.3"], "http://127.0.0.1:1")):
    try:
        print("PASSED", recipe.gate.function({model!r}, {dataset!r}, rules, server))
    except AirflowFailException as error:
        print("FAILED", error)
    except AirflowException as error:
        print("AGAIN", error)
"""


@pytest.mark.parametrize(("name", "verdict"), [("learned", "PASSED"), ("memorised", "FAILED")])
def test_airflow_gates(service: str, tmp_path: Path, name: Any, verdict: str) -> None:
    """Airflow's own library builds the DAG; its task passes, fails for good, or asks to be tried again."""
    model, dataset = map(str, examples.paths(name))
    told = apart(AIRFLOW.format(folder=str(CI / "airflow"), service=service, model=model, dataset=dataset), tmp_path)
    assert told.returncode == 0, told.stderr[-3000:]
    lines = [line for line in told.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "AGAIN"))]
    assert [line.split()[0] for line in lines] == [verdict, "AGAIN"], told.stdout


def test_kubeflow_compiles_and_gates(service: str, tmp_path: Path) -> None:
    """Kubeflow's own compiler takes the pipeline; the command that it writes gates; `deploy` comes after it."""
    told = apart((CI / "kubeflow" / "pipeline.py").read_text(), tmp_path)
    assert told.returncode == 0, told.stderr[-3000:]
    written = YAML(typ="safe").load(tmp_path / "gate.yaml")
    tasks = written["root"]["dag"]["tasks"]
    assert "gate" in tasks["deploy"]["dependentTasks"]
    container = written["deploymentSpec"]["executors"]["exec-gate"]["container"]
    model, dataset = map(str, examples.paths("memorised"))
    places = {
        "inputs.artifacts['model'].path": model,
        "inputs.artifacts['dataset'].path": dataset,
        "inputs.parameters['rules']": "--min-score 0.3",
        "inputs.parameters['server']": service,
        "outputs.artifacts['evaluation'].path": f"{tmp_path}/out/evaluation/data",
        "outputs.artifacts['verdict'].path": f"{tmp_path}/out/verdict/data",
    }
    arguments = [places[each.removeprefix("{{$.").removesuffix("}}")] for each in container["args"]]
    judged = run([*container["command"], *arguments], tmp_path)
    assert judged.returncode == 1, judged.stderr
    assert judged.stdout.startswith("lesion gate: fail")
    assert (tmp_path / "out" / "verdict" / "data").exists()
