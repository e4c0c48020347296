"""Container files and lock files, checked without a container engine."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
LOCKS = sorted((ROOT / "lock").glob("*.txt"))
OURS = ("api", "worker", "inspector", "worker-gpu")


def dockerfile() -> list[str]:
    """The Dockerfile's instructions, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def compose() -> dict[str, Any]:
    services: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    return services


def pins(lock: Path) -> dict[str, set[str]]:
    """Versions by package; a package may have several, each for other platforms or Pythons."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def commands() -> list[list[str]]:
    """Every `lesion ...` that a container runs."""
    from_images = [json.loads(line[4:]) for line in dockerfile() if line.startswith("CMD [")]
    from_services = [service["command"] for service in compose().values() if "command" in service]
    return [command for command in from_images + from_services if command[0] == "lesion"]


def complaints(program: str, *options: str) -> str:
    """What a checker from our environment says about the repository; nothing if it is content."""
    done = subprocess.run([str(BIN / program), *options], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_hadolint_finds_nothing():
    """The Dockerfile follows the usual advice, rule by rule."""
    assert complaints("hadolint", "Dockerfile") == ""


def test_compose_file_is_valid():
    """docker-compose.yml obeys the compose specification."""
    assert complaints("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml") == ""


def test_what_is_copied_exists_and_is_not_ignored():
    """Each COPY from the repository names something that is there and that .dockerignore lets through."""
    lets_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line.split()[1:-1] for line in dockerfile() if line.startswith("COPY ") and "--from" not in line]
    sources = {source for sources in copied for source in sources}
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in lets_through, source


def test_what_containers_run_is_a_command_of_ours():
    """Each `lesion ...` in an image or a service parses as the command line itself would parse it."""
    from service.cli import app

    known: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    for _, name, *options in commands():
        assert name in known, name
        known[name].make_context(name, options)
    assert {"api", "worker"} <= {command[1] for command in commands()}


def test_compose_uses_targets_of_the_dockerfile():
    """Each image that compose builds is a stage of the Dockerfile, and the settings it gives are settings of ours."""
    from service.settings import Settings

    stages = {line.split(" AS ")[1] for line in dockerfile() if line.startswith("FROM ")}
    settings = {f"LESION_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        service = compose()[name]
        assert service["build"]["target"] in stages
        assert set(service["environment"]) <= settings


def test_settings_in_images_are_settings_of_ours():
    """A LESION_ variable of an image that Lesion no longer reads would be a lie."""
    from service.settings import Settings

    named = {name for line in dockerfile() if line.startswith("ENV ") for name in re.findall(r"(LESION_\w+)=", line)}
    assert named
    assert named <= {f"LESION_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("name", compose())
def test_every_service_is_locked_down(name):
    """Not root, nothing writable but what is named, no capabilities, bounded; and only loopback is published."""
    service = compose()[name]
    user = service["user"].split(":")[0]
    assert user.isdigit()
    assert user != "0"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["networks"] == (["outside", "inside"] if name == "api" else ["inside"])


def test_images_do_not_run_as_root():
    """The last USER of each image that can be asked for is our own, by number, as orchestrators want it."""
    stage, users = "", {}
    for line in dockerfile():
        if line.startswith("FROM "):
            stage = line.split(" AS ")[1]
        elif line.startswith("USER "):
            users[stage] = line.split()[1]
    assert users == dict.fromkeys(("api", "worker", "worker-gpu"), "10001:10001")


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock.name != "recipes.txt"], ids=lambda lock: lock.name)
def test_locks_agree(lock):
    """A package has the same version whatever is installed; what is tested is what runs."""
    reference = pins(ROOT / "lock" / "dev.txt")
    for name, versions in pins(lock).items():
        assert versions == reference.get(name, versions), name


def test_locks_hold_what_the_project_asks_for():
    """Each pin of pyproject.toml stands in the lock of what needs it; the API's lock holds no ML library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "api": [],
        "otel": extras["otel"],
        "worker": extras["worker"],
        "worker-gpu": extras["worker-gpu"],
        "demo": extras["worker"] + extras["embedded"],
        "dev": extras["worker"] + extras["embedded"] + extras["dev"],
    }
    for name, more in wanted.items():
        locked = pins(ROOT / "lock" / f"{name}.txt")
        for asked in map(Requirement, project["dependencies"] + more):
            if asked.name != "lesion":
                versions = locked[canonicalize_name(asked.name)]
                assert any(asked.specifier.contains(version) for version in versions), f"{asked} in {name}.txt"
    assert not pins(ROOT / "lock" / "api.txt").keys() & {"torch", "onnx", "onnx-ir", "onnxruntime"}
    assert pins(ROOT / "lock" / "worker-gpu.txt").keys() >= {"nvidia-cublas", "nvidia-cudnn-cu13"}, "CUDA comes with it"


def test_setup_builds_with_what_the_project_builds_with():
    """lock/setup.txt pins the build backend that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (backend,) = map(Requirement, project["build-system"]["requires"])
    (version,) = pins(ROOT / "lock" / "setup.txt")[backend.name]
    assert backend.specifier.contains(version)


def uncommented(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_hash_every_package_and_name_no_index(lock):
    """Nothing but torch is installed unhashed, and where packages come from is the user's own setting."""
    text = lock.read_text()
    if lock.name == "torch.txt":
        assert {canonicalize_name(Requirement(line).name) for line in uncommented(text)} == {"torch"}
        return
    for entry in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        assert "--hash=sha256:" in entry, entry[:80]
    assert "://" not in text
    assert "index" not in text
    assert "torch" not in pins(lock)
