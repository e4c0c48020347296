"""A(0) counted on a part of the dataset: unbiased and covered, and the cost does not grow with the dataset."""

from dataclasses import replace

import numpy as np
import pytest

from service.schemas import Config
from service.scoring import Arm, Estimate, Intact, Tally, difference, summarise
from tests.service.scoring import bounded, simulation, valued
from worker import bounds
from worker.ablation.trials import Design, cells, chunk_size
from worker.targets import Bools, Ints

RUNS = 400
EXAMPLES = 20_000
CNN = [(16, 12, 3, 5), (24, 16, 4, 7)]
MANY, RARE = [0.1] * 10, [0.9, 0.1]
SHAPES: dict[str, bounded.Shape] = {
    network.name: network
    for network in (
        simulation.needs("accurate", CNN, examples=EXAMPLES),
        simulation.needs("often wrong", CNN, examples=EXAMPLES, wrong=0.35),
        simulation.needs("robust", [(32, 32, 1, 2)], examples=EXAMPLES, wrong=0.3),
        simulation.needs("fragile", [(64, 64, 63, 64)], examples=EXAMPLES, wrong=0.3),
        simulation.needs("layers", [(8, 6, 2, 3), (12, 12, 1, 1)], examples=EXAMPLES, wrong=0.2, separate=True),
        valued.classified("balanced", "balanced_accuracy", RARE, sharp=6, noise=3, examples=EXAMPLES),
        valued.classified("weights", "accuracy", MANY, sharp=8, noise=6, weights=20, examples=EXAMPLES),
        valued.classified("cross-entropy", "cross_entropy", MANY, sharp=8, noise=3, examples=EXAMPLES),
        valued.regressed("R2", freedom=5, noise=0.3, examples=EXAMPLES),
    )
}
TRUTHS = {name: simulation.truth(network) for name, network in SHAPES.items()}


def share(found: list[Estimate], truth: float) -> float:
    return float(np.mean([each.low <= truth <= each.high for each in found]))


@pytest.mark.parametrize("name", SHAPES)
def test_intervals_cover_the_whole_dataset(name: str) -> None:
    """Of 400 evaluations that count A(0) on a part, 94 % or more cover the score of the whole; the mean hits it."""
    found, seen = [], []
    for seed in range(RUNS):
        score, reference, _ = bounded.evaluated(SHAPES[name], TRUTHS[name], seed, Config(precision=0.05))
        found.append(score)
        seen.append(reference.examples)
    assert max(seen) < EXAMPLES
    assert max(each.high - each.low for each in found) <= 2 * 0.05 + 1e-5
    assert share(found, TRUTHS[name].score) >= 0.94
    values = np.array([each.value for each in found])
    assert abs(values.mean() - TRUTHS[name].score) < 3.5 * values.std(ddof=1) / np.sqrt(len(found))


@pytest.mark.parametrize("name", ["often wrong", "robust", "layers"])
def test_far_more_trials_than_intact_examples(name: str) -> None:
    """With 40 chunks and few examples counted, the interval covers; without the doubt about A(0) it would not."""
    found, careless, areas = [], [], []
    network, known = SHAPES[name], TRUTHS[name]
    for seed in range(100):
        score, reference, tally = bounded.measured(network, known, seed, Config(precision=0.1), 40)
        assert reference.examples < 0.1 * tally.trials.sum()
        found.append(score)
        careless.append(bounded.score(tally, bounded.unaware(reference)))
        areas.append(summarise(tally, estimator="adaptive", reference=reference, confidence=0.95).auc)
    assert share(found, known.score) >= 0.94
    assert share(areas, known.auc) >= 0.94
    assert share(careless, known.score) < 0.8


@pytest.mark.parametrize("name", ["often wrong", "fragile", "layers", "cross-entropy"])
def test_far_more_intact_examples_than_trials(name: str) -> None:
    """With two chunks and thousands of examples counted, score and auc cover."""
    found, areas = [], []
    network, known = SHAPES[name], TRUTHS[name]
    for seed in range(100):
        score, reference, tally = bounded.measured(network, known, seed, Config(precision=0.02), 2)
        assert reference.examples > 2 * tally.trials.sum()
        found.append(score)
        areas.append(summarise(tally, estimator="adaptive", reference=reference, confidence=0.95).auc)
    assert share(found, known.score) >= 0.94
    assert share(areas, known.auc) >= 0.94


@pytest.mark.parametrize("same", [True, False])
def test_differences_cover(same: bool) -> None:
    """Two networks, each with A(0) of a part: their difference is covered, with the same draws and with others."""
    names = ("often wrong", "robust")
    true = TRUTHS[names[0]].score - TRUTHS[names[1]].score
    found = []
    for seed in range(100):
        arms = []
        for place, name in enumerate(names):
            network, known = SHAPES[name], TRUTHS[name]
            plan = simulation.design(network, seed if same else seed + 1000 * place)
            reference = bounded.referred(network, known, plan, Config(precision=0.1))
            empty = Tally.empty(cells(plan))
            chunks = [empty.add(bounded.chunk(network, plan, index, reference)) for index in range(8)]
            arms.append(Arm(reference, chunks))
        one, other = arms
        shown = difference(one, other, estimator="adaptive", confidence=0.95, same_draws=same)
        assert shown is not None
        found.append(shown.estimate)
    assert share(found, true) >= 0.94


def test_half_life_intervals_cover() -> None:
    """Half of an A(0) that isn't quite known: the interval of the half-life covers all the same."""
    network, known, found = SHAPES["often wrong"], TRUTHS["often wrong"], []
    assert known.half_life is not None
    for seed in range(60):
        _, reference, tally = bounded.measured(network, known, seed, Config(precision=0.1), 20)
        half = summarise(tally, estimator="adaptive", reference=reference, confidence=0.95).half_life
        assert half is not None
        found.append(half)
    assert share(found, known.half_life) >= 0.94


def test_the_cost_does_not_grow_with_the_dataset() -> None:
    """Of a million examples as many are shown as of a hundred thousand; of few, of `agreement` and of a grid, all."""
    config = Config()
    designs = [Design(0, examples, (16, 8), "adaptive", separate=False) for examples in (10**5, 10**6)]
    counts = {bounds.chunks(config, "accuracy", design) for design in designs}
    assert counts == {19}  # 9,604 examples show any share to within 0.01
    small = replace(designs[0], examples=19 * chunk_size(designs[0]))
    assert bounds.chunks(config, "accuracy", small) is None
    assert bounds.chunks(Config(intact="whole"), "accuracy", designs[0]) is None
    assert bounds.chunks(config, "agreement", designs[0]) is None
    assert bounds.chunks(Config(estimator="grid"), "accuracy", replace(designs[0], estimator="grid")) is None


def test_what_a_margin_asks_for() -> None:
    """A score that divides by a small margin needs more examples; one that is refused for certain needs no more."""
    design = Design(0, 10**6, (16, 8), "adaptive", separate=False)

    def shown(accuracy: float) -> int:
        def show(low: int, high: int) -> tuple[Ints, Bools]:
            places = np.arange(low * 512, high * 512)
            return places, places % 100 < 100 * accuracy

        part = bounds.part(Config(), "accuracy", design, chance=0.5, weighed=False, show=show)
        assert part is not None
        assert len(part.values) == part.intact.examples
        return part.intact.examples

    assert shown(0.99) == shown(0.3) == 19 * 512
    assert shown(0.7) == pytest.approx(2 * 1.96**2 * 0.21 / 0.2**2 / 0.01**2, rel=0.1)


def test_a_part_that_is_no_better_than_chance_may_be_by_luck() -> None:
    """Where the margin may be enough for a score and is small, the whole dataset is taken."""
    design = Design(0, 10**6, (16, 8), "adaptive", separate=False)

    def show(low: int, high: int) -> tuple[Ints, Bools]:
        places = np.arange(low * 512, high * 512)
        return places, places % 50 < 26

    assert bounds.part(Config(), "accuracy", design, chance=0.5, weighed=False, show=show) is None


def test_answers_that_are_all_alike_are_not_certain() -> None:
    """If all of a part are right, some of the rest may be wrong, and A(0) has a little doubt."""
    intact = bounds.counted(np.ones(512, bool), np.arange(512), 10_000, weighed=False)
    assert 0 < intact.doubt < 1e-5
    assert intact == Intact(512, 512, 512, of=10_000, doubt=intact.doubt)
