"""Comparisons over HTTP: the difference, its verdict, and every reason not to compare. Tests play the worker."""

import csv
import io
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from service.client import Client, Refused
from service.commands import compare
from tests.service.api.conftest import Api
from tests.service.api.simulated import FRAGILE, ROBUST, SITES, evaluated
from tests.service.scoring import simulation


def compared(api: Api, baseline: str, candidate: str, **asked: Any) -> Any:
    return api.client.post("/v1/comparisons", json={"baseline": baseline, "candidate": candidate, **asked})


def test_a_difference_has_an_interval_and_a_verdict(api: Api) -> None:
    """A fragile candidate is lower by the true difference, and fails where no such drop is allowed."""
    one, other = (evaluated(api, net, name, precision=0.03) for net, name in ((ROBUST, b"one"), (FRAGILE, b"other")))
    true = simulation.truth(FRAGILE).score - simulation.truth(ROBUST).score
    answer = compared(api, one, other, max_drop=0.02)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["difference"]["low"] <= true <= found["difference"]["high"] < 0
    assert found["paired"]
    assert found["verdict"] == "fail"
    assert "less robust" in found["summary"]
    turned = compared(api, other, one, max_drop=0.02).json()
    assert turned["verdict"] == "pass"
    assert turned["difference"]["value"] == -found["difference"]["value"]
    assert compared(api, one, other).json()["verdict"] is None


def test_a_verdict_that_is_not_certain_is_inconclusive(api: Api) -> None:
    """While the interval lies across the line there is neither pass nor fail, and the reason says what to do."""
    one, other = (evaluated(api, ROBUST, b"one", seed=seed, precision=0.05) for seed in (1, 2))
    found = compared(api, one, other, max_drop=0.0).json()
    assert not found["paired"]
    assert found["verdict"] == "inconclusive"
    assert "precision" in found["reasons"][0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"clamp": "mean"}, "clamp"),
        ({"scope": "layer"}, "scope"),
        ({"split": "test"}, "split"),
        ({"estimator": "grid", "precision": None, "orderings": 2, "fractions": 5}, "estimator"),
    ],
)
def test_what_measures_different_things_is_not_compared(api: Api, changed: dict[str, Any], told: str) -> None:
    """Another clamp, scope, split or estimator is another quantity; the refusal names it."""
    one = evaluated(api, ROBUST, b"one", precision=0.05)
    other = evaluated(api, FRAGILE, b"other", **({"precision": 0.05} | changed))
    answer = compared(api, one, other)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/not-comparable"
    assert told in answer.json()["detail"]


def test_other_datasets_are_not_compared(api: Api) -> None:
    """Scores on different datasets differ for reasons that are none of the models'."""
    one = evaluated(api, ROBUST, b"one", precision=0.05)
    other = evaluated(api, FRAGILE, b"other", dataset=b"another", precision=0.05)
    assert "dataset" in compared(api, one, other).json()["detail"]


def test_one_model_is_held_against_itself_on_examples_it_was_trained_on(api: Api) -> None:
    """`memorisation`: split and dataset may differ, the draws are not paired, the true difference is inside."""
    config: dict[str, Any] = {"precision": 0.03}
    unseen = evaluated(api, FRAGILE, b"one", **config)
    trained = evaluated(api, ROBUST, b"one", dataset=b"another", split="train", **config)
    assert compared(api, unseen, trained).status_code == 422
    found = compared(api, unseen, trained, memorisation=True).json()
    true = simulation.truth(ROBUST).score - simulation.truth(FRAGILE).score
    assert found["difference"]["low"] <= true <= found["difference"]["high"]
    assert found["difference"]["low"] > 0
    assert not found["paired"]
    assert "trained on withstand more" in found["summary"]
    again = Client(http=api.client).compare(trained, unseen, memorisation=True)
    assert "trained on withstand less" in again.summary
    same = evaluated(api, FRAGILE, b"one", seed=5, split="train", **config)
    assert "No difference is shown" in compared(api, unseen, same, memorisation=True).json()["summary"]
    other = evaluated(api, FRAGILE, b"other", **config)
    refused = compared(api, unseen, other, memorisation=True)
    assert refused.status_code == 422
    assert "model (" in refused.json()["detail"]
    clamped = evaluated(api, FRAGILE, b"one", clamp="mean", **config)
    assert "clamp (" in compared(api, unseen, clamped, memorisation=True).json()["detail"]


def test_a_comparison_has_an_address_and_is_a_file(api: Api) -> None:
    """As JSON what POST says; as CSV both scores, the difference and both curves; as pictures the same in words."""
    one, other = (evaluated(api, net, name, precision=0.05) for net, name in ((ROBUST, b"one"), (FRAGILE, b"other")))
    client = Client(http=api.client)
    how: Any = {"max_drop": 0.02, "confidence": 0.9, "memorisation": None}
    posted = compared(api, one, other, max_drop=0.02, confidence=0.9).json()
    assert json.loads(client.comparison(one, other, **how)) == posted
    rows = list(csv.DictReader(io.StringIO(client.comparison(one, other, "csv", **how).decode())))
    assert [(row["side"], row["quantity"]) for row in rows[:3]] == [
        ("baseline", "score"),
        ("candidate", "score"),
        ("difference", "score"),
    ]
    assert [float(rows[2][name]) for name in ("value", "low", "high")] == list(posted["difference"].values())
    for side, id in (("baseline", one), ("candidate", other)):
        curve = api.client.get(f"/v1/evaluations/{id}").json()["result"]["curve"]
        told = [row for row in rows if (row["side"], row["quantity"]) == (side, "curve")]
        assert [float(row["value"]) for row in told] == [point["value"] for point in curve]
    drawn = client.comparison(one, other, "svg", **how)
    said = " ".join(ElementTree.fromstring(drawn).itertext())
    assert f"difference {posted['difference']['value']:+.3f}" in said
    assert f"candidate, score {posted['candidate']['score']['value']:.3f}" in said
    assert "The candidate is less robust, with 90% confidence" in said
    assert drawn == client.comparison(one, other, "svg", **how)
    with Image.open(io.BytesIO(client.comparison(one, other, "png"))) as picture:
        assert len(picture.convert("RGB").getcolors(100_000) or []) > 50
    lost = api.client.get(f"/v1/evaluations/{one}/comparison.svg")
    assert (lost.status_code, lost.json()["type"]) == (422, "/problems/validation-error")
    assert api.client.get(f"/v1/evaluations/{one}/comparison.svg?baseline={other}&drop=1").status_code == 422


def test_no_score_no_difference(api: Api) -> None:
    """An evaluation whose score was refused has nothing to compare."""
    hopeless = simulation.needs("hopeless", SITES, chance=0.97, wrong=0.02)
    one, other = evaluated(api, ROBUST, b"one", precision=0.05), evaluated(api, hopeless, b"other", precision=0.05)
    answer = compared(api, one, other)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-comparable")
    assert "nothing to lose" in answer.json()["detail"]


def test_what_has_not_ended_is_not_compared_yet(api: Api) -> None:
    """A queued evaluation answers 409 and says how to wait; a cancelled one never can be compared."""
    one = evaluated(api, ROBUST, b"one", precision=0.05)
    queued = api.client.post("/v1/evaluations", json=api.uploaded()).json()["id"]
    answer = compared(api, one, queued)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-ready")
    api.client.delete(f"/v1/evaluations/{queued}")
    assert compared(api, one, queued).json()["type"] == "/problems/not-comparable"
    assert compared(api, one, "ev_none").status_code == 404


def test_the_client_compares(api: Api) -> None:
    """`Client.compare` gives the same answer, and raises with the service's reason."""
    one, other = (evaluated(api, net, name, precision=0.05) for net, name in ((ROBUST, b"one"), (FRAGILE, b"other")))
    client = Client(http=api.client)
    assert client.compare(one, other, max_drop=0.02).verdict == "fail"
    with pytest.raises(Refused, match="No such thing"):
        client.compare(one, "ev_none")


def test_the_command_keeps_the_comparison(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lesion compare --memorisation --charts FOLDER`: in the words of that, as CSV and as SVG."""
    unseen = evaluated(api, FRAGILE, b"one", precision=0.05)
    trained = evaluated(api, ROBUST, b"one", split="train", precision=0.05)
    monkeypatch.setattr(compare, "reached", lambda *_: nullcontext(Client(http=api.client)))
    folder = tmp_path / "new"
    assert compare.run(compare.Order(unseen, trained, memorisation=True, charts=folder)) == 0
    assert "trained on withstand more" in capsys.readouterr().out
    assert (folder / "comparison.csv").read_text().startswith("side,quantity,fraction,")
    assert "trained on withstand more" in " ".join((folder / "comparison.svg").read_text().split())
