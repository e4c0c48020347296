"""`lesion gate` and `lesion compare`: each exit code, the line for the log, and the files. Tests play the worker."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from service import problems, schemas, signing
from service.cli import app
from service.settings import Settings
from tests.service import answers
from tests.service.conftest import Finish, Server

GATE = ("--min-score", "0.5")


def lesion(*arguments: str | Path, **environment: str) -> Result:
    """Run the command in this process, without a terminal."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def said(text: str) -> list[str]:
    """What the command said; the service in this process logs as well."""
    return [line for line in text.splitlines() if line.startswith("lesion gate:")]


def judged(verdict: schemas.Verdict, **changes: Any) -> schemas.Result:
    """A result whose gate says so."""
    check = schemas.Check(
        rule="min_score", line=0.5, measured=answers.estimate(0.6), verdict=verdict, reason=f"The score is a {verdict}."
    )
    gate = schemas.GateResult(
        verdict=verdict, reasons=[check.reason], checks=[check], confidence=0.95, looks=9, level=0.994
    )
    return answers.result(gate=gate, **changes)


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 5)])
def test_the_exit_code_is_the_verdicts(
    files: tuple[Path, Path], server: Server, worker: Finish, verdict: schemas.Verdict, code: int
) -> None:
    """And stdout is one line that says which, why, and of which evaluation."""
    finishing = worker(judged(verdict))
    found = lesion("gate", *files, *GATE, "--server", server.address)
    finishing.join()
    assert found.exit_code == code, found.output
    [line] = said(found.stdout)
    assert line.startswith(f"lesion gate: {verdict}: The score is a {verdict}. digits.onnx, ev_")


@pytest.mark.parametrize(
    ("problem", "code"),
    [(problems.ModelCrashed("It died."), 3), (problems.DeadlineExceeded("These seconds are over."), 4)],
)
def test_what_fails_was_not_judged(
    files: tuple[Path, Path], server: Server, worker: Finish, tmp_path: Path, problem: problems.Problem, code: int
) -> None:
    """3, or 4 if its time was over; the report for CI has an error, which is neither passed nor failed."""
    finishing = worker(problem)
    found = lesion("gate", *files, *GATE, "--server", server.address, "--junit", tmp_path / "junit.xml")
    finishing.join()
    assert (found.exit_code, said(found.stdout)) == (code, [])
    assert "not judged" in found.stderr
    assert problem.detail in found.stderr
    suites = ET.parse(tmp_path / "junit.xml").getroot()
    assert (suites.get("errors"), suites.get("failures")) == ("1", "0")


def test_nobody_there_is_safe_to_try_again(files: tuple[Path, Path]) -> None:
    """A service that does not answer has judged nothing."""
    found = lesion("gate", *files, *GATE, "--server", "http://127.0.0.1:1")
    assert found.exit_code == 3


def test_a_verdict_that_does_not_come_in_time(files: tuple[Path, Path], server: Server) -> None:
    """4, and the evaluation goes on: asking again finds it."""
    found = lesion("gate", *files, *GATE, "--server", server.address, "--timeout", "0.2")
    assert found.exit_code == 4
    assert "timed out" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no rule"),
        (("--min-score", "2"), "--min-score"),
        (("--max-drop", "0.1"), "baseline"),
        (("--min-layer-score", "0.1"), "scope `layer`"),
        (("--min-score", "0.1", "--trials", "1"), "--trials"),
        (("--min-score", "0.1", "--server", "http://127.0.0.1:1", "--data", "here"), "--data"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    files: tuple[Path, Path], arguments: tuple[str, ...], told: str
) -> None:
    """2, with the option that is wrong."""
    found = lesion("gate", *files, *arguments)
    assert (found.exit_code, told in found.stderr) == (2, True), found.stderr


@pytest.mark.parametrize("arguments", [("--policy", "production"), ("--max-drop", "0.1", "--baseline", "ev_0")])
def test_what_the_service_does_not_know_is_wrong_usage(
    files: tuple[Path, Path], server: Server, arguments: tuple[str, ...]
) -> None:
    """2: the same command would never succeed."""
    found = lesion("gate", *files, *arguments, "--server", server.address)
    assert found.exit_code == 2
    assert "No such thing" in found.stderr


def test_files_for_those_who_show_them(
    files: tuple[Path, Path], server: Server, worker: Finish, settings: Settings, tmp_path: Path
) -> None:
    """JUnit, Markdown behind what the job's summary has already, the evaluation, and the signed verdict."""
    names = {name: tmp_path / name for name in ("junit", "save", "attest")}
    summary = tmp_path / "summary.md"
    summary.write_text("# Before\n")
    options = [each for name, path in names.items() for each in (f"--{name}", path)]
    finishing = worker(judged("fail"))
    found = lesion("gate", *files, *GATE, "--server", server.address, *options, GITHUB_STEP_SUMMARY=str(summary))
    finishing.join()
    assert found.exit_code == 1, found.output
    case = ET.parse(names["junit"]).getroot().find("testsuite/testcase")
    assert case is not None
    assert case.get("name") == "min_score"
    assert case.find("failure") is not None
    text = summary.read_text()
    assert text.startswith("# Before\n### ❌ Lesion: fail")
    assert "xychart-beta" in text
    key = tmp_path / "key.pem"
    key.write_text(signing.signer(settings).published().public_key)
    for name in ("save", "attest"):
        verified = lesion("verify", names[name], "--key", key, "--model", files[0])
        assert (verified.exit_code, verified.output.startswith("genuine: fail")) == (0, True), verified.output
        assert lesion("verify", names[name], "--key", key, "--model", files[1]).exit_code == 1
        assert lesion("verify", names[name], "--key", key, "--passed").exit_code == 1
    told = json.loads(names["save"].read_text())
    told["result"]["gate"]["verdict"] = "pass"
    names["save"].write_text(json.dumps(told))
    assert lesion("verify", names["save"], "--key", key).exit_code == 1


def test_compare_says_what_the_service_says(server: Server) -> None:
    """A refusal is 3, and without a place to look there is nothing to compare."""
    assert lesion("compare", "ev_1", "ev_2").exit_code == 2
    found = lesion("compare", "ev_1", "ev_2", "--server", server.address)
    assert (found.exit_code, "No such thing" in found.stderr) == (3, True)
