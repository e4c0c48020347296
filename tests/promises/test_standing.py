"""Where a score stands, over HTTP with a real worker: a network of the very make of a shipped population is counted."""

import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.gallery import exports
from benchmarks.zoo import factors, nets
from benchmarks.zoo.score import SCORE
from service import broker
from service.standing import populations
from tests.stack import running

EXAMPLES = 1000
ROUNDS = 150  # of training, of the last layer alone
CONFIGS = {"alike": json.dumps(SCORE), "otherwise": json.dumps(SCORE | {"clamp": "mean"})}


def network(folder: Path) -> tuple[Path, Path]:
    """A network of the zoo's recipes and examples that it is right about: in seconds, and without a download.

    Its hidden layers are as they were drawn; the last one learns to tell ten clouds of points apart.
    """
    recipe = next(each for each in factors.grid("mlp") if each.width == 160 and each.depth == 1 and not each.norm)
    torch.manual_seed(recipe.seed)
    net = nets.build(recipe).eval()
    drawn = np.random.default_rng(recipe.seed)
    y = np.arange(EXAMPLES) % 10
    x = (drawn.normal(size=(10, nets.PIXELS))[y] + drawn.normal(size=(EXAMPLES, nets.PIXELS))).astype(np.float32)
    hidden = net[:-1](torch.from_numpy(x)).detach()
    optimizer = torch.optim.Adam(net[-1].parameters(), lr=0.02)
    for _ in range(ROUNDS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net[-1](hidden), torch.from_numpy(y)).backward()
        optimizer.step()
    model, dataset = folder / "net.onnx", folder / "train.npz"
    exports.legacy(net, [torch.from_numpy(x[:2])], model, ["x"])
    np.savez(dataset, x=x, y=y)
    return model, dataset


def test_a_score_of_a_kind_that_is_known_stands_among_it(tmp_path: Path, valkey: str) -> None:
    """Asked for as the population was, it is told how many of them it is higher than, and so is the report.

    Of the same network, scored otherwise, it is said why not.
    """
    model, dataset = network(tmp_path)
    kind = populations()[0]
    with running(tmp_path / "data", f"sqlite:///{tmp_path}/lesion.db", valkey) as stack:
        stack.worker()
        stack.worker(broker.INSPECTIONS)
        asked = {each: stack.submit(model, dataset, config) for each, config in CONFIGS.items()}
        ids = {each: answer.json()["id"] for each, answer in asked.items()}
        results = {each: stack.ended(id)["result"] for each, id in ids.items()}
        told = {each: stack.client.get(f"/v1/evaluations/{id}/standing").json() for each, id in ids.items()}
        report = stack.client.get(f"/v1/evaluations/{ids['alike']}/report.html").text
    alike, score = told["alike"], results["alike"]["score"]
    assert alike["reasons"] == []
    assert (alike["population"], alike["networks"]) == (kind.about, len(kind.scores))
    for end in ("value", "low", "high"):
        assert alike["higher_than"][end] == sum(one < score[end] for one in kind.scores) / len(kind.scores)
    assert alike["sentence"].startswith("Higher than ")
    assert alike["sentence"] in report
    assert told["otherwise"]["higher_than"] is None
    assert [reason.split()[:3] for reason in told["otherwise"]["reasons"]] == [["the", "clamp", "is"]]
