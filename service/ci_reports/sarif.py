"""SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), as code scanning shows it: what keeps a model back.

A result for each check that does not pass, an error if it fails, a warning if that cannot be told; one for what was not
judged at all. Checks that pass are no findings: who reads results shows each of them as an alert.
"""

import hashlib
import json
from typing import Any

from service import __version__
from service.schemas import Check, Evaluation

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
NOT_JUDGED = "not-judged"
RULES = {
    "min_score": "The robustness score is high enough.",
    "min_accuracy": "The intact network is accurate enough.",
    "min_layer_score": "Each site alone is robust enough.",
    "max_drop": "The score has not dropped too far below the baseline's.",
    "max_gap": "The scores of training and validation split lie close together.",
    NOT_JUDGED: "The model was judged.",
}
LEVELS = {"fail": "error", "inconclusive": "warning"}


def sarif(evaluation: Evaluation) -> bytes:
    """The report; the same evaluation gives the same bytes."""
    rules = [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()]
    run = {
        "tool": {"driver": {"name": "Lesion", "version": __version__, "rules": rules}},
        "automationDetails": {"id": "lesion/gate/"},
        "invocations": [{"executionSuccessful": evaluation.result is not None}],
        "artifacts": [
            {"location": _place(digest), "hashes": {"sha-256": digest.removeprefix("sha256:")}}
            for digest in (evaluation.model, evaluation.dataset)
        ],
        "results": _results(evaluation),
        "properties": {"evaluation": evaluation.id, "verdict": _verdict(evaluation)},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2).encode() + b"\n"


def _verdict(evaluation: Evaluation) -> str:
    gate = None if evaluation.result is None else evaluation.result.gate
    return "none" if gate is None else gate.verdict


def _results(evaluation: Evaluation) -> list[dict[str, Any]]:
    if evaluation.result is None:
        problem = evaluation.problem
        why = f"The evaluation has {evaluation.state}." if problem is None else f"{problem.title}: {problem.detail}"
        return [_result(evaluation, NOT_JUDGED, "error", why, None)]
    checks = [] if evaluation.result.gate is None else evaluation.result.gate.checks
    return [_checked(evaluation, check) for check in checks if check.verdict in LEVELS]


def _checked(evaluation: Evaluation, check: Check) -> dict[str, Any]:
    return _result(evaluation, check.rule, LEVELS[check.verdict], check.reason, check.site)


def _result(evaluation: Evaluation, rule: str, level: str, text: str, site: str | None) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {**_place(evaluation.model), "index": 0}}}
    if site is not None:
        location["logicalLocations"] = [{"name": _whole(site), "kind": "member"}]
    # The same rule at the same site is the same alert, whichever model it was this time.
    same = hashlib.sha256(json.dumps([rule, site]).encode()).hexdigest()
    return {
        "ruleId": rule,
        "ruleIndex": list(RULES).index(rule),
        "level": level,
        "message": {"text": _whole(text)},
        "locations": [location],
        "partialFingerprints": {"lesion/v1": same},
    }


def _place(digest: str) -> dict[str, str]:
    """The service knows no names of files; a path below the repository, as GitHub wants one."""
    return {"uri": f"lesion/{digest.removeprefix('sha256:')}"}


def _whole(text: str) -> str:
    """Names of sites come out of uploads: half a surrogate pair cannot be written as UTF-8 by who reads this."""
    return text.encode("utf-8", "replace").decode()
