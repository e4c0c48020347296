"""The words by which compute processes and the service understand each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

from service import problems
from worker.formats.refusals import KINDS

WORKER = Path(__file__).parents[3] / "worker"


def kinds_that_are_raised() -> Iterator[str]:
    """The first argument of every `Refused(...)` in the worker's sources, where it is written out."""
    for path in WORKER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
                kind = node.args[0]
                if isinstance(kind, ast.Constant):
                    yield str(kind.value)


def test_refusals_are_problems() -> None:
    """Whatever a reader refuses a file as, the service has a problem of that type, with a title and a status."""
    raised = set(kinds_that_are_raised())
    assert {"model-malformed", "dataset-malformed", "unsupported-format"} <= raised <= KINDS
    assert problems.BY_TYPE.keys() >= KINDS


def test_refusals_are_the_files_fault() -> None:
    """A refusal blames the upload: no kind of it stands for a fault of ours."""
    assert {problems.BY_TYPE[kind].status for kind in KINDS} <= {413, 415, 422}
