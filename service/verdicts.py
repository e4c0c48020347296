"""A gate's verdict as others' tools read it: a statement about the model, of in-toto's type for results of tests.

https://github.com/in-toto/attestation, spec/predicates/test-result.md, version 0.1. It knows `PASSED`, `WARNED` and
`FAILED`, and policies let warnings through. So what is not certain counts as failed; what it was, `lesion` says, a
member that readers who do not know it pass over, as the specification asks.
"""

from typing import Any

from service import schemas

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PASSED, FAILED = "PASSED", "FAILED"


def statement(evaluation: dict[str, Any], result_digest: str) -> dict[str, Any] | None:
    """What is signed of a verdict; None for an evaluation without one. evaluation: as the API shows it, parsed."""
    gate = evaluation["result"]["gate"]
    if gate is None:
        return None
    passed = [_name(check) for check in gate["checks"] if check["verdict"] == "pass"]
    failed = [_name(check) for check in gate["checks"] if check["verdict"] != "pass"]
    return {
        "_type": STATEMENT,
        "subject": [_resource("model", evaluation["model"])],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": PASSED if gate["verdict"] == "pass" else FAILED,
            "configuration": [
                _resource("dataset", evaluation["dataset"]),
                _resource("config", schemas.digest(schemas.canonical(evaluation["config"]))),
            ],
            "passedTests": passed,
            "failedTests": failed,
            "lesion": {
                "evaluation": evaluation["id"],
                "ended_at": evaluation["ended_at"],
                "verdict": gate["verdict"],
                "policy": gate["policy"],
                "score": evaluation["result"]["score"],
                "result": result_digest,
            },
        },
    }


def _resource(name: str, digest: Any) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": str(digest).removeprefix("sha256:")}}


def _name(check: dict[str, Any]) -> str:
    """Such as `min_score`, or `min_layer_score conv1`."""
    return str(check["rule"]) if check["site"] is None else f"{check['rule']} {check['site']}"


def line(statement: dict[str, Any]) -> str:
    """A verdict's statement in a line."""
    told = statement["predicate"]["lesion"]
    score = told["score"]
    shown = "no score" if score is None else f"score {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
    by = "" if told["policy"] is None else f" by {told['policy']}"
    model = statement["subject"][0]["digest"]["sha256"]
    return f"{told['verdict']}{by}, {shown}, model {model[:12]}…, {told['evaluation']}, {told['ended_at']}"
