"""Analyses' chunks in real child processes, against plain loops with PyTorch hooks and against numpy."""

import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from service import schemas, scoring
from tests import nets
from tests.nets import noise
from tests.worker.hooked_nets import Reader, Recurrent, Residual, loop, made
from tests.worker.test_computing import Start, opened, starting
from worker import analysing, survey
from worker.computing import Computing
from worker.findings import Findings

EXAMPLES = 24
KINDS: list[Any] = [Residual, Reader, Recurrent]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as one:
        yield one


def found(computing: Computing) -> tuple[schemas.Analyses, list[schemas.Unit]]:
    """The analyses' chunks one after another; what they found."""
    course = opened(computing)
    assert course.survey is not None
    while course.next == 0 or not course.survey.done:
        course.take({course.next: schemas.canonical(dict(computing.compute(course, course.next)))})
    findings = course.findings()
    assert isinstance(findings, Findings)
    lines = findings.lines()
    return findings.summary(lines), [schemas.Unit.model_validate_json(line) for line in lines]


def exported(kind: Any) -> tuple[bytes, dict[str, NDArray[Any]], NDArray[np.int64]]:
    """A network of a kind as a file, its examples, and labels of which it gets four in five right."""
    net, inputs, labels = made(kind, EXAMPLES)
    file, names, examples = io.BytesIO(), list(kind.inputs), tuple(each[:2] for each in inputs.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        axes = {name: {0: "batch"} for name in names}
        torch.onnx.export(net, examples, file, dynamo=False, opset_version=17, input_names=names, dynamic_axes=axes)
    return file.getvalue(), {name: each.numpy() for name, each in inputs.items()}, labels.numpy()


def plain_importance(kind: Any, labels: NDArray[np.int64]) -> list[tuple[float, float, dict[int, float]]]:
    """Accuracy lost, nats added and accuracy lost by each class, of every unit, by a loop of hooks."""
    net, inputs, _ = made(kind, EXAMPLES)
    every, sizes = np.arange(EXAMPLES), [site.units for site in kind.sites]
    before = loop(net, inputs, every, 0 * every, [np.ones((1, size), np.bool_) for size in sizes])
    told = []
    for site, size in enumerate(sizes):
        for unit in range(size):
            masks = [np.ones((1, each), np.bool_) for each in sizes]
            masks[site][0, unit] = False
            after = loop(net, inputs, every, 0 * every, masks)
            right = [np.argmax(each, axis=1) == labels for each in (before, after)]
            cost = [
                torch.nn.functional.cross_entropy(torch.from_numpy(each).double(), torch.from_numpy(labels)).item()
                for each in (before, after)
            ]
            by_class = {
                int(label): float(right[0][labels == label].mean() - right[1][labels == label].mean())
                for label in np.unique(labels)
            }
            told.append((float(right[0].mean() - right[1].mean()), cost[1] - cost[0], by_class))
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_importance_is_that_of_a_loop_of_hooks(start: Start, kind: Any) -> None:
    """Every unit of a residual CNN, a transformer and an LSTM alone: accuracy, cross-entropy to 1e-6, each class."""
    model, inputs, labels = exported(kind)
    _, units = found(start({**inputs, "y": labels}, model, analyses=["importance"], labels="y"))
    plain = plain_importance(kind, labels)
    assert len(units) == len(plain)
    for unit, (lost, added, by_class) in zip(units, plain, strict=True):
        assert unit.importance is not None
        assert unit.importance.accuracy_lost.value == pytest.approx(lost, abs=1e-6)
        assert unit.importance.cross_entropy_added.value == pytest.approx(added, abs=1.5e-6)  # rounded to six digits
        told = {each.label: each.accuracy_lost.value for each in unit.importance.classes}
        assert {label: told.get(label, 0.0) for label in by_class} == pytest.approx(by_class, abs=1e-6)
    assert sum(unit.importance.cross_entropy_added.value != 0 for unit in units if unit.importance) > len(units) / 2


def hooked(kind: Any) -> dict[str, NDArray[np.float64]]:
    """What hooks see at each site: float64[examples, units, places]."""
    net, inputs, _ = made(kind, EXAMPLES)
    seen: dict[str, NDArray[np.float64]] = {}

    def hook(name: str) -> Any:
        # `update` gives None: a hook that gives anything else changes what its module gave.
        return lambda _module, _given, x: seen.update({name: x.double().numpy().reshape(*x.shape[:2], -1)})

    for site in kind.sites:
        dict(net.named_modules())[site.module].register_forward_hook(hook(site.name))
    with torch.no_grad():
        net(*inputs.values())
    return seen


def test_selectivity_is_that_of_numpy_on_hooked_activations(start: Start) -> None:
    """Feature maps, depthwise and dense units, ReLU, hard swish and GELU: from what hooks see, by the definition."""
    model, inputs, labels = exported(Residual)
    summary, units = found(start({**inputs, "y": labels}, model, analyses=["selectivity"]))
    seen = hooked(Residual)
    for unit in units:
        activation = seen[unit.site][:, unit.unit]
        above = np.maximum(activation, 0).mean(axis=1)
        by_class = np.stack([above[labels == label].mean() for label in np.unique(labels)])
        index, driver = scoring.class_selectivity(by_class[:, None])
        assert unit.mean == pytest.approx(activation.mean(), abs=2e-6)
        assert unit.fires == pytest.approx((activation > 0).any(axis=1).mean(), abs=1e-6)
        assert unit.selectivity == (None if np.isnan(index[0]) else pytest.approx(index[0], abs=1e-5))
        assert unit.selectivity is None or unit.driver == np.unique(labels)[driver[0]]
    assert summary.selectivity is not None
    assert [(each.site, each.units) for each in summary.selectivity] == [(s.name, s.units) for s in Residual.sites]


def test_a_unit_that_never_fires_has_importance_zero(start: Start) -> None:
    """Exactly, though its weights ahead are enormous; it is dead, has no selectivity, and takes no pass."""
    inputs = noise(1, 200, 3)
    summary, units = found(start({"x": inputs, "y": np.arange(200) % 3}, nets.dead_unit(), analyses=["relation"]))
    dead = units[2]
    assert dead.dead
    assert (dead.fires, dead.selectivity, dead.information) == (0, None, 0)
    assert dead.importance is not None
    assert vars(dead.importance.cross_entropy_added) == {"value": 0, "low": 0, "high": 0}
    assert (dead.importance.accuracy_lost.value, dead.importance.classes) == (0, [])
    others = [unit for unit in units if unit is not dead]
    assert not any(unit.dead for unit in others)
    assert all(unit.importance and unit.importance.cross_entropy_added.value != 0 for unit in others)
    assert summary.passes < 3 * 200


def rectified(gains: NDArray[np.float64]) -> bytes:
    """A layer of twelve ReLUs, one an input, and a classifier that heeds each by its gain."""
    layers = [nets.node("Gemm", "x w", "h"), nets.node("Relu", "h", "r"), nets.node("Gemm", "r v", "y")]
    weights = {"w": nets.f32(np.eye(12)), "v": nets.f32(gains[:, None] * noise(5, 12, 3))}
    return nets.net(layers, weights, ["batch", 12], ["batch", 3])


def test_spared_passes_change_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units that are silent on an example aren't tried on it; tried all the same, they give the same bytes."""
    arrays, model = {"x": noise(1, 60, 12), "y": np.arange(60) % 3}, rectified(np.ones(12))
    spared, units = found(start(arrays, model, analyses=["importance"]))

    def all_pairs(_subjects: Any, _survey: Any, block: Any, examples: Any) -> Any:
        places, which = np.mgrid[: len(block), : len(examples)]
        return places.ravel(), which.ravel()

    monkeypatch.setattr(analysing, "_that_matter", all_pairs)
    whole, same = found(start(arrays, model, analyses=["importance"]))
    assert same == units
    assert spared.passes < 0.8 * whole.passes == 0.8 * 60 * 12


@pytest.mark.parametrize("clamp", ["zero", "mean"])
def test_how_chunks_are_cut_does_not_matter(start: Start, clamp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few units and examples a chunk, outputs and activations some at a time: the table is the same to six digits."""
    arrays = {"x": noise(1, 60, 2, 8, 8), "y": np.arange(60) % 3}
    _, whole = found(start(arrays, analyses=["relation"], clamp=clamp))
    monkeypatch.setattr(survey, "CHUNK", 50)
    monkeypatch.setattr(survey, "MASKS", 5 * 12)
    monkeypatch.setattr(survey, "TABLES", 5 * 3 * 5)
    monkeypatch.setattr(analysing, "SHOWN_BYTES", 7 * 8 * 12)
    _, parts = found(start(arrays, analyses=["relation"], clamp=clamp))
    for one, other in zip(whole, parts, strict=True):
        told = [json.loads(each.model_dump_json()) for each in (one, other)]
        assert told[0].pop("importance")["cross_entropy_added"] == pytest.approx(
            told[1].pop("importance")["cross_entropy_added"], abs=2e-6
        )
        assert told[0] == pytest.approx(told[1], abs=2e-6)


def test_top_spends_passes_where_it_is_undecided(start: Start) -> None:
    """With `top`, clear losers are left after the first rounds, and the same unit leads as when all are measured."""
    gains = np.linspace(0, 1, 12) ** 3
    inputs = np.abs(noise(1, 4000, 12))
    labels = (inputs @ (gains[:, None] * noise(5, 12, 3))).argmax(axis=1)
    model = rectified(gains)
    arrays = {"x": inputs, "y": labels}
    everything, _ = found(start(arrays, model, analyses=["importance"]))
    few, units = found(start(arrays, model, analyses=["importance"], top=5))
    assert everything.importance is not None
    assert few.importance is not None
    assert few.importance.certain
    assert few.passes < everything.passes / 2
    most = [each.unit for each in everything.importance.top[:5]]
    assert sorted(each.unit for each in few.importance.top) == sorted(most)
    met = [unit.importance.examples for unit in units if unit.importance]
    assert min(met) == survey.FIRST_ROUND
    assert max(met) == few.importance.examples > min(met)


def test_passes_bound_what_is_spent(start: Start) -> None:
    """Fewer examples for each unit, all of them the same ones, and the result says how many."""
    arrays = {"x": noise(1, 400, 2, 8, 8), "y": np.arange(400) % 3}
    summary, units = found(start(arrays, analyses=["importance"], passes=1000))
    assert {unit.importance.examples for unit in units if unit.importance} == {1000 // 12}
    assert summary.passes <= 1000


def test_without_labels_units_are_held_against_the_intact_answers(start: Start) -> None:
    """The classes are those that the intact network picks; nothing is lost where nothing changes."""
    summary, units = found(start({"x": noise(1, 60, 2, 8, 8)}, analyses=["relation"]))
    assert summary.relation is not None
    assert all(unit.importance and unit.importance.accuracy_lost.value >= 0 for unit in units)


def test_curves_in_orders_are_those_of_the_masks(start: Start) -> None:
    """Of twelve units that each are needed by some examples, losing the important first hurts most; all lost: nothing.

    Units, fractions and examples go the whole way through the model's process.
    """
    gains = np.linspace(0, 1, 12) ** 3
    inputs = np.abs(noise(1, 600, 12))
    labels = (inputs @ (gains[:, None] * noise(5, 12, 3))).argmax(axis=1)
    summary, _ = found(start({"x": inputs, "y": labels}, rectified(gains), analyses=["targeted", "classes"]))
    assert summary.targeted is not None
    assert summary.classes is not None
    curves = {each.order: each for each in summary.targeted.orders}
    assert summary.targeted.orders[0].order == "random"
    for each in curves.values():
        assert each.curve[0].value == 1
        assert each.curve[-1].value == pytest.approx((labels == 0).mean(), abs=0.05)  # no unit left: the first class
    gap = curves["most_important"].less_than_random
    assert gap is not None
    assert gap.low > 0
    assert curves["most_important"].area.value < curves["random"].area.value
    assert "most important" in summary.targeted.finding
    assert sum(each.examples for each in summary.classes.curves) == summary.classes.examples
    assert {each.label: each.values[-1] for each in summary.classes.curves} == {0: 1, 2: 0}
    assert summary.classes.curves[0].half_life is not None


def test_dead_units_favour_no_order(start: Start) -> None:
    """A network of equal units and as many dead ones: no order hurts more than a random one, since none loses the dead.

    Were the dead lost too, random orders would waste half of their losses on them, and any chosen one look harmful.
    """
    layers = [nets.node("Gemm", "x w b", "h"), nets.node("Relu", "h", "r"), nets.node("Gemm", "r v c", "y")]
    heeded = np.zeros((16, 2))
    heeded[:8, 1] = 1
    weights = {"w": np.eye(8, 16), "b": np.repeat([0.0, -100.0], 8), "v": heeded, "c": [0.5, 0.0]}
    model = nets.net(layers, {name: nets.f32(each) for name, each in weights.items()}, ["batch", 8], ["batch", 2])
    arrays = {"x": np.repeat(np.eye(8, dtype=np.float32), 50, axis=0), "y": (np.arange(400) % 25 > 0).astype(np.int64)}
    summary, units = found(start(arrays, model, analyses=["targeted"]))
    assert sum(bool(unit.dead) for unit in units) == 8
    assert summary.targeted is not None
    for each in summary.targeted.orders[1:]:
        assert each.less_than_random is not None
        assert abs(each.less_than_random.value) < 0.06, each.order


def noisy(kind: Any, examples: NDArray[np.int64], added: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """What a loop of hooks gives that add noise to each unit, one trial at a time."""
    net, inputs, _ = made(kind, EXAMPLES)
    current: dict[str, torch.Tensor] = {}

    def channels(name: str) -> Any:
        return lambda _m, _g, x: x + current[name].view(1, -1, *[1] * (x.ndim - 2))

    def features(name: str) -> Any:
        return lambda _m, _g, x: x + current[name]

    def states(name: str) -> Any:
        def add(_module: Any, _given: Any, found: Any) -> Any:
            every, (last, cells) = found
            return every + current[name], (last + current[name].view(2, 1, -1), cells)

        return add

    def heads(name: str) -> Any:
        return lambda _m, given: (given[0].unflatten(-1, (4, 4)) + current[name][:, None]).flatten(-2)

    ways = {"channels": channels, "features": features, "states": states}
    modules = dict(net.named_modules())
    for site in kind.sites:
        if site.way == "heads":
            modules[site.module].register_forward_pre_hook(heads(site.name))
        else:
            modules[site.module].register_forward_hook(ways[site.way](site.name))
    given = []
    for trial, example in enumerate(examples.tolist()):
        current.update({site.name: torch.from_numpy(part[trial]) for site, part in zip(kind.sites, added, strict=True)})
        with torch.no_grad():
            given.append(net(*(each[example : example + 1] for each in inputs.values()))[0].numpy())
    return np.stack(given)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_that_of_hooks_that_add_it(start: Start, kind: Any) -> None:
    """To feature maps, dense units, heads and states alike, for each trial its own: values equal to 2e-5."""
    model, inputs, labels = exported(kind)
    computing = start({**inputs, "y": labels}, model, analyses=["noise"], labels="y")
    opened(computing)
    generator = np.random.default_rng(2)
    examples = generator.integers(0, EXAMPLES, 40)
    added = [generator.standard_normal((40, site.units)).astype(np.float32) for site in kind.sites]
    assert computing._model is not None
    found = computing._model.noisy(examples, added)
    np.testing.assert_allclose(found, noisy(kind, examples, added), atol=2e-5, rtol=0)
    silent = computing._model.noisy(examples, [0 * part for part in added])
    intact = np.concatenate([computing._model.intact(each, each + 1) for each in examples.tolist()])
    np.testing.assert_allclose(silent, intact, atol=1e-5)


def test_more_noise_hurts_more(start: Start) -> None:
    """From A(0) without noise down, in units of each one's own deviation; no unit's importance is measured for it."""
    summary, units = found(start({"x": noise(1, 400, 12)}, rectified(np.ones(12)), analyses=["noise"]))
    told = summary.noise
    assert told is not None
    assert [point.deviations for point in told.curve] == pytest.approx(np.linspace(0, 2, 21))
    assert told.curve[0].value == 1
    values = [point.value for point in told.curve]
    assert values[5] > values[10] > values[20]
    assert told.area.low < np.mean(values) < told.area.high
    assert summary.passes == 20 * 5 * told.examples
    assert all(unit.importance is None and unit.std for unit in units)
