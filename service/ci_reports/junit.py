"""JUnit XML as Jenkins, GitLab and GitHub's actions read it: a test case a check. What is not certain is a failure."""

import re
from xml.etree import ElementTree as ET

from service.schemas import Check, Evaluation

# What XML 1.0 cannot hold, not even escaped; names of sites come out of uploads.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(evaluation: Evaluation) -> bytes:
    """The report; the same evaluation gives the same bytes."""
    cases = _cases(evaluation)
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{_seconds(evaluation):.3f}",
    }
    suites = ET.Element("testsuites", {"name": "lesion", **counts})
    suite = ET.SubElement(
        suites, "testsuite", {"name": _name(evaluation), **counts, "timestamp": evaluation.created_at.rstrip("Z")}
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _told(evaluation).items():
        ET.SubElement(properties, "property", {"name": name, "value": _spoken(value)})
    suite.extend(cases)
    ET.indent(suites)
    text: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _spoken(text: str) -> str:
    return _UNSPEAKABLE.sub("?", text)


def _name(evaluation: Evaluation) -> str:
    gate = evaluation.config.gate
    return "lesion gate" if gate is None or gate.policy is None else f"lesion gate {gate.policy}"


def _seconds(evaluation: Evaluation) -> float:
    return (evaluation.result.cost.seconds if evaluation.result is not None else None) or 0.0


def _told(evaluation: Evaluation) -> dict[str, str]:
    told = {"evaluation": evaluation.id, "model": evaluation.model, "dataset": evaluation.dataset}
    if (result := evaluation.result) is not None:
        told["intact"] = f"{result.intact.value:g}"
        if result.score is not None:
            told["score"] = f"{result.score.value:g} [{result.score.low:g}, {result.score.high:g}]"
        if result.gate is not None:
            told["verdict"] = result.gate.verdict
    return told


def _cases(evaluation: Evaluation) -> list[ET.Element]:
    result = evaluation.result
    if result is None:
        case = _case(evaluation, "evaluation")
        problem = evaluation.problem
        kind = evaluation.state if problem is None else problem.type.rpartition("/")[2]
        message = f"The evaluation has {evaluation.state}." if problem is None else f"{problem.title}: {problem.detail}"
        _add(case, "error", kind, message)
        return [case]
    if result.gate is not None:
        return [_checked(evaluation, check) for check in result.gate.checks]
    case = _case(evaluation, "score")
    if result.score is None:
        ET.SubElement(case, "skipped", {"message": _spoken(result.score_refused or "There is no score.")})
    return [case]


def _checked(evaluation: Evaluation, check: Check) -> ET.Element:
    case = _case(evaluation, check.rule if check.site is None else f"{check.rule} {check.site}")
    if check.verdict == "pass":
        ET.SubElement(case, "system-out").text = _spoken(check.reason)
    else:
        _add(case, "failure", check.verdict, check.reason)
    return case


def _case(evaluation: Evaluation, name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": "lesion", "name": _spoken(name), "time": f"{_seconds(evaluation):.3f}"})


def _add(case: ET.Element, kind: str, type_: str, message: str) -> None:
    ET.SubElement(case, kind, {"type": type_, "message": _spoken(message)}).text = _spoken(message)
