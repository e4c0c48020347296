"""A model that is no better than a constant answer has no score, and the evaluation says why."""

import json
from pathlib import Path

from service import broker
from tests.promises.misdeeds import MODEL, good, npz
from tests.promises.test_bad_input import post
from tests.stack import EVALUATIONS, running


def test_nothing_to_lose_is_a_finished_evaluation_without_score(tmp_path: Path, valkey: str) -> None:
    """A(0) too close to chance: the evaluation succeeds, has no score, and says why."""
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey) as stack:
        stack.worker(broker.INSPECTIONS)
        stack.worker(broker.EVALUATIONS)
        shifted = good() | {"y": (good()["y"] + 1) % 10}  # the model is wrong on nearly all of them
        model = [("model.onnx", MODEL.read_bytes())]
        answer = post(stack, model, npz(**shifted))
        assert answer.status_code == 202, answer.text
        body = stack.ended(answer.json()["id"])
        assert body["state"] == "succeeded"
        assert body["result"]["score"] is None
        assert "nothing to lose" in body["result"]["score_refused"]
        assert body["result"]["intact"]["value"] < 0.1
        assert json.loads(stack.client.get(f"{EVALUATIONS}/{body['id']}/curve.json").text)["curve"] == []
        # The worker that saw it is still at work.
        good_one = post(stack, model, npz(**good()), '{"precision": 0.1}')
        assert stack.ended(good_one.json()["id"])["result"]["score"]["value"] > 0
