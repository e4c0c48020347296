"""Results are signed, and whatever is changed afterwards is found, offline."""

import base64
import copy
import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service import cli, schemas, signing
from service.settings import Settings
from tests.service import answers

SIGNED = ("id", "model", "dataset", "config", "ended_at", "result")


@pytest.fixture
def signer(tmp_path: Path) -> signing.Signer:
    """With a key of its own."""
    return signing.signer(Settings(data=tmp_path / "data"))


def shown(signer: signing.Signer) -> dict[str, Any]:
    """An evaluation as a caller saves it."""
    evaluation = answers.evaluation(result=answers.result())
    evaluation.signature = signer.signed(evaluation)
    body: dict[str, Any] = json.loads(evaluation.model_dump_json())
    return body


def test_what_was_signed_is_genuine(signer: signing.Signer) -> None:
    """And the statement names model and dataset, as in-toto's tools look for them."""
    evaluation = shown(signer)
    statement = signing.verify(evaluation, [signer.public])
    assert [each["digest"]["sha256"] for each in statement["subject"]] == [
        evaluation[name].removeprefix("sha256:") for name in ("model", "dataset")
    ]
    assert statement["predicate"]["score"] == evaluation["result"]["score"]


def test_the_same_evaluation_has_the_same_signature(signer: signing.Signer, tmp_path: Path) -> None:
    """Also after a restart, which takes the key that is there; it is for this user alone."""
    again = signing.signer(Settings(data=tmp_path / "data"))
    assert shown(signer) == shown(again)
    assert stat.S_IMODE((tmp_path / "data" / signing.KEY_FILE).stat().st_mode) == 0o600
    assert len(list((tmp_path / "data").iterdir())) == 1


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to all numbers, texts and nulls of a JSON value."""
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in leaves(each, (*path, name))]
    if isinstance(value, list):
        return [leaf for place, each in enumerate(value) for leaf in leaves(each, (*path, place))]
    return [path]


def test_no_figure_can_be_changed(signer: signing.Signer) -> None:
    """Each number and text of model, dataset, config and result, one after another; but for the seconds it took."""
    evaluation = shown(signer)
    signed = [path for path in leaves(evaluation) if path[0] in SIGNED]
    assert len(signed) > 50
    for path in signed:
        forged = copy.deepcopy(evaluation)
        place = forged
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = "sha256:" + "0" * 64 if path[0] in ("model", "dataset") else 0.123
        if path == ("result", "cost", "seconds"):
            signing.verify(forged, [signer.public])
        else:
            with pytest.raises(signing.ForgedError, match="was changed"):
                signing.verify(forged, [signer.public])


def resigned(evaluation: dict[str, Any], tmp_path: Path) -> None:
    """By another key, that calls itself by the same name."""
    other = signing.signer(Settings(data=tmp_path / "other"))
    forged = other.signed(schemas.Evaluation.model_validate(evaluation))
    assert forged is not None
    forged.signatures[0].keyid = evaluation["signature"]["signatures"][0]["keyid"]
    evaluation["signature"] = forged.model_dump()


def retold(evaluation: dict[str, Any], _: Path) -> None:
    """Another payload under the old signature."""
    payload = json.loads(base64.b64decode(evaluation["signature"]["payload"]))
    payload["predicate"]["ended_at"] = "never"
    evaluation["signature"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


FORGERIES: dict[str, Callable[[dict[str, Any], Path], object]] = {
    "no signature": lambda evaluation, _: evaluation.pop("signature"),
    "null": lambda evaluation, _: evaluation.update(signature=None),
    "no base64": lambda evaluation, _: evaluation["signature"].update(payload="?"),
    "no signatures": lambda evaluation, _: evaluation["signature"].update(signatures=[]),
    "another type": lambda evaluation, _: evaluation["signature"].update(payloadType="text/plain"),
    "another key": resigned,
    "another payload": retold,
    "no result": lambda evaluation, _: evaluation.update(result=None),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_forgeries_are_found(
    forge: Callable[[dict[str, Any], Path], object], signer: signing.Signer, tmp_path: Path
) -> None:
    """Whatever is wrong, it is said, and nothing else is raised."""
    evaluation = shown(signer)
    forge(evaluation, tmp_path)
    with pytest.raises(signing.ForgedError):
        signing.verify(evaluation, [signer.public])


def test_the_command_says_it_in_a_line(signer: signing.Signer, tmp_path: Path) -> None:
    """Exit codes 0, 1 and 2, with either form of key."""
    files = {name: tmp_path / f"{name}.json" for name in ("result", "forged", "keys")}
    evaluation = shown(signer)
    files["result"].write_text(json.dumps(evaluation))
    evaluation["result"]["chance"] = 0.99
    files["forged"].write_text(json.dumps(evaluation))
    files["keys"].write_text(schemas.SigningKeys(data=[signer.published()]).model_dump_json())
    pem = tmp_path / "key.pem"
    pem.write_text(signer.published().public_key)

    def verified(file: Path, key: Path) -> tuple[int, str]:
        run = CliRunner().invoke(cli.app, ["verify", str(file), "--key", str(key)])
        return run.exit_code, run.output

    for key in (pem, files["keys"]):
        code, said = verified(files["result"], key)
        assert (code, said.startswith("genuine: ")) == (0, True), said
        code, said = verified(files["forged"], key)
        assert code == 1
        assert "it was changed after it was signed: result." in said
    assert verified(pem, files["keys"])[0] == 2
    assert verified(files["result"], files["result"])[0] == 2


def test_a_key_of_ones_own(tmp_path: Path) -> None:
    """As openssl makes it; another kind is refused with what to do."""
    key = tmp_path / "own.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    assert signing.signer(Settings(data=tmp_path, signing_key=key)).published().algorithm == "ed25519"
    subprocess.run(["openssl", "genpkey", "-algorithm", "x25519", "-out", str(key)], check=True)
    with pytest.raises(signing.UnusableKeyError, match="openssl genpkey"):
        signing.signer(Settings(data=tmp_path, signing_key=key))


def judged(signer: signing.Signer, verdict: schemas.Verdict) -> dict[str, Any]:
    """An evaluation with a verdict, as a caller saves it."""
    checks = [
        schemas.Check(rule="min_score", line=0.5, measured=None, verdict=verdict, reason="So it is."),
        schemas.Check(rule="min_layer_score", line=0.5, site="fc1", measured=None, verdict="pass", reason="It is."),
    ]
    gate = schemas.GateResult(verdict=verdict, reasons=[], checks=checks, confidence=0.95, looks=1, level=0.95)
    evaluation = answers.evaluation(result=answers.result(gate=gate))
    evaluation.signature, evaluation.verdict_signature = signer.signed(evaluation), signer.signed_verdict(evaluation)
    body: dict[str, Any] = json.loads(evaluation.model_dump_json())
    return body


@pytest.mark.parametrize(
    ("verdict", "result", "failed"),
    [("pass", "PASSED", []), ("fail", "FAILED", ["min_score"]), ("inconclusive", "FAILED", ["min_score"])],
)
def test_a_verdict_is_a_test_result_about_the_model(
    signer: signing.Signer, verdict: schemas.Verdict, result: str, failed: list[str]
) -> None:
    """In-toto's own type, with the model as the one subject; what is not certain is no pass."""
    evaluation = judged(signer, verdict)
    statement = signing.opened(evaluation["verdict_signature"], [signer.public])
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert [each["digest"]["sha256"] for each in statement["subject"]] == [evaluation["model"].removeprefix("sha256:")]
    predicate = statement["predicate"]
    assert (predicate["result"], predicate["failedTests"]) == (result, failed)
    assert predicate["passedTests"][-1] == "min_layer_score fc1"
    assert predicate["lesion"]["verdict"] == verdict
    signing.verify(evaluation, [signer.public])


def test_a_verdict_cannot_be_exchanged(signer: signing.Signer) -> None:
    """That of another evaluation is genuine, but not this one's; neither may it be left out."""
    failed, passed = judged(signer, "fail"), judged(signer, "pass")
    for forged in (passed["verdict_signature"], None):
        with pytest.raises(signing.ForgedError):
            signing.verify(failed | {"verdict_signature": forged}, [signer.public])
