"""Gates over HTTP: each rule passes, fails and is unsure where it should be; a config that means nothing is refused.

Tests play the worker, on networks whose score is known by arithmetic.
"""

from typing import Any

import pytest

from tests.service.api.conftest import Api
from tests.service.api.simulated import FRAGILE, ROBUST, SITES, evaluated, uploaded
from tests.service.scoring import simulation

TRUE = simulation.truth(ROBUST).score
LESS = simulation.truth(FRAGILE).score
LAYERED = simulation.needs("layered", [(16, 12, 1, 2), (24, 16, 9, 14)], separate=True)


def result(api: Api, evaluation: str) -> Any:
    """What an evaluation found."""
    return api.client.get(f"/v1/evaluations/{evaluation}").json()["result"]


def verdict(api: Api, network: simulation.Needs = ROBUST, model: bytes = b"one", **config: Any) -> Any:
    """The gate's part of the result."""
    return result(api, evaluated(api, network, model, **config))["gate"]


def refused(api: Api, config: dict[str, Any], model: bytes = b"one") -> dict[str, Any]:
    """The problem of a config that is not taken."""
    answer = api.client.post("/v1/evaluations", json=uploaded(api, model) | {"config": config})
    assert answer.status_code >= 400, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_score_far_from_the_line_is_judged_early(api: Api) -> None:
    """Two chunks are enough where the line is far away; the interval that was read lies on one side of it."""
    for line, expected in ((TRUE - 0.15, "pass"), (TRUE + 0.15, "fail")):
        id = evaluated(api, ROBUST, b"one", gate={"min_score": line})
        found = result(api, id)
        assert found["gate"]["verdict"] == expected
        assert found["cost"]["passes"] == 1024
        [check] = found["gate"]["checks"]
        assert (check["measured"]["low"] >= line) == (expected == "pass")
        assert check["measured"]["low"] <= TRUE <= check["measured"]["high"]
        assert found["gate"]["level"] > found["gate"]["confidence"] == 0.95
        assert f"{line:g}" in found["gate"]["reasons"][0]


def test_a_score_near_the_line_takes_more_trials_and_then_says_so(api: Api) -> None:
    """The budget is spent, no further; what is not certain then is inconclusive, and the reason says what to raise."""
    id = evaluated(api, ROBUST, b"one", gate={"min_score": round(TRUE, 6)}, limits={"trials": 4096})
    found = result(api, id)
    assert found["gate"]["verdict"] == "inconclusive"
    assert found["cost"]["passes"] == 4096
    assert "limits.trials" in found["gate"]["reasons"][0]
    nearer = evaluated(api, ROBUST, b"one", gate={"min_score": TRUE - 0.015})
    assert result(api, nearer)["gate"]["verdict"] == "pass"
    assert 1024 < result(api, nearer)["cost"]["passes"] < 100_000


def test_precision_beside_a_gate_is_reached_as_well(api: Api) -> None:
    """A certain verdict does not end an evaluation whose caller wants the score exactly."""
    found = result(api, evaluated(api, ROBUST, b"one", gate={"min_score": TRUE - 0.2}, precision=0.01))
    assert found["score"]["high"] - found["score"]["low"] <= 0.02
    assert found["cost"]["passes"] > 1024


def test_accuracy_is_held_against_its_interval(api: Api) -> None:
    """A(0) is 0.99 of 1,000 examples: 0.95 passes, 1 fails, and 0.985 only more examples could tell, so no trials."""
    for line, expected in ((0.95, "pass"), (1.0, "fail"), (0.985, "inconclusive")):
        found = result(api, evaluated(api, ROBUST, b"one", gate={"min_accuracy": line}))
        assert found["gate"]["verdict"] == expected, line
        assert found["cost"]["passes"] == 1024
    assert "more examples" in found["gate"]["reasons"][0]


def test_every_site_must_reach_the_layer_score(api: Api) -> None:
    """One weak layer fails the gate, and is named; the others are told as well."""
    known = simulation.truth(LAYERED)
    scores = [known.scaled(area) for area in known.aucs]
    low, high = min(scores), max(scores)
    assert high - low > 0.05
    found = verdict(api, LAYERED, scope="layer", gate={"min_layer_score": (low + high) / 2})
    assert found["verdict"] == "fail"
    assert [check["verdict"] for check in found["checks"]].count("fail") == 1
    assert f"s{scores.index(low)}" in found["reasons"][0]
    assert verdict(api, LAYERED, scope="layer", gate={"min_layer_score": low - 0.1})["verdict"] == "pass"


def test_a_drop_against_the_baseline(api: Api) -> None:
    """Paired where both have one seed; the difference is in the result, with or without a rule."""
    baseline = evaluated(api, ROBUST, b"one", precision=0.03)
    worse = result(api, evaluated(api, FRAGILE, b"two", baseline=baseline, gate={"max_drop": 0.02}))
    assert worse["gate"]["verdict"] == "fail"
    difference = worse["baseline"]["difference"]
    assert worse["baseline"]["paired"]
    assert difference["low"] <= LESS - TRUE <= difference["high"]
    same = verdict(api, ROBUST, b"three", baseline=baseline, gate={"max_drop": 0.05})
    assert same["verdict"] == "pass"
    plain = result(api, evaluated(api, FRAGILE, b"two", baseline=baseline, precision=0.03))
    assert plain["gate"] is None
    assert plain["baseline"]["id"] == baseline


def test_a_baseline_with_too_few_trials_costs_no_more_than_it_can_tell(api: Api) -> None:
    """Paired trials end where the baseline's end; the evaluation does not go on to its budget."""
    baseline = evaluated(api, ROBUST, b"one", precision=0.05)
    trials = result(api, baseline)["cost"]["passes"]
    other = simulation.needs("a little less", [(16, 12, 3, 6), (24, 16, 4, 7)])
    line = TRUE - simulation.truth(other).score
    found = result(api, evaluated(api, other, b"two", baseline=baseline, gate={"max_drop": round(line, 6)}))
    assert found["gate"]["verdict"] == "inconclusive"
    assert found["cost"]["passes"] <= 2 * trials
    assert "precision" in found["gate"]["reasons"][0]


def test_a_gap_between_training_and_validation(api: Api) -> None:
    """The training split's evaluation of the same model: far apart fails, close together passes."""
    training = evaluated(api, ROBUST, b"one", dataset=b"training", precision=0.02)
    memorised = verdict(api, FRAGILE, training=training, gate={"max_gap": 0.1})
    assert memorised["verdict"] == "fail"
    assert memorised["checks"][0]["measured"]["value"] == pytest.approx(TRUE - LESS, abs=0.1)
    assert verdict(api, ROBUST, training=training, gate={"max_gap": 0.1}, seed=3)["verdict"] == "pass"


def test_what_has_nothing_to_lose_never_passes(api: Api) -> None:
    """Without a score there is no pass: inconclusive, and the reason is the refusal's."""
    hopeless = simulation.needs("hopeless", SITES, chance=0.97, wrong=0.02)
    found = verdict(api, hopeless, gate={"min_score": -10, "min_accuracy": 0.5})
    assert found["verdict"] == "inconclusive"
    assert "nothing to lose" in found["reasons"][0]
    assert [check["verdict"] for check in found["checks"]] == ["inconclusive", "pass"]


def test_a_grid_is_judged_at_its_end(api: Api) -> None:
    """The paper's protocol has one look, so its interval is the one asked for."""
    grid: dict[str, Any] = {"estimator": "grid", "orderings": 4, "fractions": 11}
    found = verdict(api, gate={"min_score": TRUE - 0.2}, **grid)
    assert (found["verdict"], found["looks"], found["level"]) == ("pass", 1, 0.95)


def test_all_rules_must_hold(api: Api) -> None:
    """One that fails is enough, and its reason comes first."""
    found = verdict(api, gate={"min_accuracy": 0.5, "min_score": 0.99})
    assert found["verdict"] == "fail"
    assert found["reasons"][0].startswith("The score")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"gate": {}}, "without a rule"),
        ({"gate": {"min_score": None}}, "without a rule"),
        ({"gate": {"min_score": 2}}, "/gate/min_score"),
        ({"gate": {"max_loss": 0.1}}, "/gate/max_loss"),
        ({"gate": {"max_drop": 0.1}}, "baseline"),
        ({"gate": {"max_gap": 0.1}}, "training"),
        ({"gate": {"min_layer_score": 0.1}}, "scope `layer`"),
        ({"gate": {"min_layer_score": 0.1}, "scope": "layer", "site": "fc1"}, "no `site`"),
        ({"gate": {"min_accuracy": 0.1}, "metric": "agreement"}, "min_accuracy"),
        ({"gate": {"policy": "No such name"}}, "/gate/policy"),
        ({"baseline": "none"}, "/baseline"),
    ],
)
def test_a_gate_that_means_nothing_is_refused(api: Api, config: dict[str, Any], told: str) -> None:
    """Before anything is queued: a rule that nothing could be held against must not pass later."""
    problem = refused(api, config)
    assert problem["type"] == "/problems/validation-error"
    assert told in problem["detail"]


def test_what_a_gate_refers_to_must_be_there_and_comparable(api: Api) -> None:
    """Unknown, not ended, of another clamp, dataset or model, or the very same split: refused, saying why."""
    assert refused(api, {"baseline": "ev_0"})["type"] == "/problems/not-found"
    assert refused(api, {"gate": {"policy": "production"}})["type"] == "/problems/not-found"
    queued = api.client.post("/v1/evaluations", json=uploaded(api, b"one")).json()["id"]
    assert refused(api, {"baseline": queued})["type"] == "/problems/not-ready"
    one = evaluated(api, ROBUST, b"one", precision=0.05)
    problem = refused(api, {"baseline": one, "clamp": "mean"})
    assert (problem["type"], "clamp" in problem["detail"]) == ("/problems/not-comparable", True)
    elsewhere = evaluated(api, ROBUST, b"one", dataset=b"another", precision=0.05)
    assert "dataset" in refused(api, {"baseline": elsewhere})["detail"]
    assert "another model" in refused(api, {"training": elsewhere}, b"two")["detail"]
    assert "very split" in refused(api, {"training": one})["detail"]
