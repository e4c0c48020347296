"""Reports of evaluations, and that nothing out of an upload can break them or speak through them."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from service import ci_reports, schemas
from tests.service import answers

HOSTILE = "a|b\n# c <script>`x`</script> [l](http://e) @all \x00\x1b \ud83d"


def check(verdict: schemas.Verdict, **changes: Any) -> schemas.Check:
    """A check that came out like this."""
    told: dict[str, Any] = {"rule": "min_score", "line": 0.5, "measured": answers.estimate(0.6)}
    return schemas.Check(**(told | {"verdict": verdict, "reason": f"It is a {verdict}."} | changes))


def gated(*checks: schemas.Check, **changes: Any) -> schemas.Evaluation:
    """A judged evaluation."""
    verdicts = {each.verdict for each in checks}
    verdict: schemas.Verdict = "fail" if "fail" in verdicts else "pass" if verdicts == {"pass"} else "inconclusive"
    gate = schemas.GateResult(
        verdict=verdict,
        reasons=[each.reason for each in checks],
        checks=list(checks),
        confidence=0.95,
        looks=9,
        level=0.99,
    )
    return answers.evaluation(result=answers.result(gate=gate, **changes))


def failed() -> schemas.Evaluation:
    """An evaluation that was not judged."""
    problem = schemas.ProblemBody(type="/problems/model-crashed", title="It crashed", status=422, detail="Three times.")
    return answers.evaluation("failed", problem=problem)


def cases(evaluation: schemas.Evaluation) -> list[ET.Element]:
    """The test cases of its JUnit report, whose totals are right."""
    suites = ET.fromstring(ci_reports.junit(evaluation))
    found = suites.findall("testsuite/testcase")
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suites.get(name) == str(sum(case.find(kind) is not None for case in found))
    assert suites.get("tests") == str(len(found))
    return found


def test_junit_has_a_case_for_each_check() -> None:
    """What is not certain is a failure too: CI must not show it green."""
    found = cases(gated(check("pass"), check("fail", rule="min_layer_score", site="conv1"), check("inconclusive")))
    assert [case.get("name") for case in found] == ["min_score", "min_layer_score conv1", "min_score"]
    kinds = [None if (failure := case.find("failure")) is None else failure.get("type") for case in found]
    assert kinds == [None, "fail", "inconclusive"]


def test_junit_without_a_verdict() -> None:
    """A score alone is a case that passes, a refused one is skipped, and what failed is an error."""
    [case] = cases(answers.evaluation())
    assert [child.tag for child in case] == []
    [case] = cases(answers.evaluation(result=answers.refused()))
    assert [child.tag for child in case] == ["skipped"]
    for evaluation in (failed(), answers.evaluation("cancelled")):
        [case] = cases(evaluation)
        assert [child.tag for child in case] == ["error"]


def test_markdown_shows_the_verdict_the_checks_and_the_curve() -> None:
    """The heading is the verdict; the chart's points lie on the curve, evenly spaced."""
    evaluation = gated(check("pass"), check("fail", line=0.7))
    text = ci_reports.markdown(evaluation)
    assert text.startswith("### ❌ Lesion: fail\n")
    assert "| ✅ | min\\_score | 0.5 | 0.600 [0.590, 0.610] | It is a pass. |" in text
    lines = re.findall(r"  line \[(.*)\]", text)
    heights = [float(each) for each in lines[0].split(", ")]
    assert evaluation.result is not None
    assert heights == pytest.approx([point.value for point in evaluation.result.curve], abs=0.001)
    assert np.allclose([float(each) for each in lines[1].split(", ")], evaluation.result.chance, atol=0.001)
    assert len(text) < 5000, "GitLab draws no longer charts, and GitHub shows summaries of 1 MiB"


def test_markdown_without_a_verdict() -> None:
    """A score alone has a heading with the score; what failed says why."""
    assert ci_reports.markdown(answers.evaluation()).startswith("### Lesion: score 0.612 [0.602, 0.622]\n")
    text = ci_reports.markdown(failed())
    assert "not judged" in text.splitlines()[0]
    assert "It crashed" in text


def test_nothing_out_of_an_upload_speaks_in_a_report() -> None:
    """Names of sites and warnings come from strangers: no markup, no tag, no second line, no broken XML."""
    evaluation = gated(check("fail", rule="min_layer_score", site=HOSTILE, reason=HOSTILE), warnings=[HOSTILE])
    [case] = cases(evaluation)
    assert "<script>" in str(case.get("name")), "shown as text"
    text = ci_reports.markdown(evaluation)
    assert [part for part in ("<script>", "\n# c", "`x`", "](http", "\x1b") if part in text] == []
    [row] = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    text.encode()
