"""The house's own rules, kept by tests: who may import whom, how large a file may be, and that docs match the code."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from service import broker, problems
from service.app import create_app
from service.cli import app as cli
from service.settings import Settings

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("service", "worker") for path in sorted((ROOT / package).rglob("*.py"))]
LARGEST = 300  # lines of one module; the list below may only shrink
LARGER: dict[str, int] = {}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base", "misc", "service", "queue", "types", "models_"}
READ_ME = (ROOT / "README.md").read_text()


def test_imports_keep_the_contracts() -> None:
    """The shell stands on the kernel, the service knows no ML library, what runs beside a model knows no secret."""
    tool = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small_and_named_for_a_subject(path: Path) -> None:
    """A module has one subject, fits in a few screens, and says in its first line what it is."""
    text = path.read_text()
    assert len(text.splitlines()) <= LARGER.get(str(path.relative_to(ROOT)), LARGEST)
    assert path.stem not in FORBIDDEN_NAMES
    if text and "migrations/versions" not in str(path):
        assert text.startswith('"""'), "a module begins with what lives in it"


def test_one_place_commits() -> None:
    """Transactions end in store/session.py alone; nobody else calls commit."""
    committing = [path.name for path in SOURCES if re.search(r"\.commit\(\)", path.read_text())]
    assert committing == []


def test_what_hostile_files_are_read_with_is_not_in_the_worker() -> None:
    """A worker starts without any library that its children read models and datasets with: slow, and theirs alone."""
    libraries = "onnx onnx_ir onnxruntime sympy torch pyarrow PIL google.protobuf"
    code = f"import sys, worker.tasks; print(*set({libraries.split()}) & set(sys.modules))"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_environment_is_read_in_settings_alone() -> None:
    """Settings come from one class; others hand the environment on to child processes, or look for CUDA's libraries."""
    reading = {path.name for path in SOURCES if re.search(r"os\.environ|os\.getenv", path.read_text())}
    assert reading <= {"settings.py", "processes.py", "process.py", "landlock.py"}


def test_tasks_are_registered_under_the_names_that_are_sent() -> None:
    """The worker answers to the very names the service sends; the service itself never imports the worker."""
    import worker.tasks

    assert {broker.EVALUATE, broker.INSPECT} <= set(worker.tasks.app.tasks)


def routes() -> Iterator[str]:
    document = create_app(Settings()).openapi()
    yield from document["paths"]


@pytest.mark.parametrize("path", sorted(set(routes())))
def test_routes_are_in_the_readme(path: str) -> None:
    """Every address of the API is named in README.md."""
    shown = re.sub(r"\{[^}]*\}", "{}", path)
    assert shown in re.sub(r"\{[^}]*\}", "{}", READ_ME), path


def test_commands_are_in_the_readme() -> None:
    """Every command of the command line is named in README.md."""
    command = typer.main.get_command(cli)
    for name in command.commands:  # type: ignore[attr-defined]
        assert f"lesion {name}" in READ_ME, name


def test_settings_are_in_the_docs() -> None:
    """Every setting is in docs/settings.md."""
    text = (ROOT / "docs/settings.md").read_text()
    for name in Settings.model_fields:
        assert f"LESION_{name.upper()}" in text, name


def test_problems_say_what_they_are() -> None:
    """Every problem has a type of its own, a title, a status and a meaning."""
    kinds = problems.Problem.__subclasses__()
    assert len(problems.BY_TYPE) == len(kinds)
    for kind in kinds:
        assert kind.title
        assert kind.__doc__
        assert 400 <= kind.status < 600
        assert re.fullmatch(r"[a-z][a-z-]*", kind.type)
