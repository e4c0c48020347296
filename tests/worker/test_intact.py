"""The intact pass over a dataset that is larger than it needs, in real child processes: every metric, and the whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import schemas
from service.examples import paths
from tests.worker.test_computing import Start, opened, result, starting
from worker.ablation import trials
from worker.course import FIRST

MODEL, DATASET = paths("learned")
TIMES = 3  # that the shipped images are in the dataset


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Images that the shipped network knows, one label in ten changed, and weights."""
    random = np.random.default_rng(0)
    with np.load(DATASET) as shipped:
        x, y = np.tile(shipped["x"], (TIMES, 1, 1, 1)), np.tile(shipped["y"], TIMES)
    return {"x": x, "y": (y + (random.random(len(y)) < 0.1)) % 10, "w": random.integers(1, 4, len(y))}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"metric": "balanced_accuracy"},
        {"metric": "accuracy", "weights": "w"},
        {"clamp": "mean", "scope": "layer"},
        {"gate": {"min_score": 0.99}, "precision": None},
    ],
    ids=str,
)
def test_a_part_says_what_the_whole_says(start: Start, arrays: dict[str, np.ndarray], config: dict[str, Any]) -> None:
    """A(0) and the score of a part lie near the whole dataset's; fewer examples are shown, and the result says so."""
    asked = {"precision": 0.1, **config}
    part, whole = (result(start(arrays, MODEL.read_bytes(), **asked, intact=intact)) for intact in (None, "whole"))
    assert whole.intact_examples is None
    if "gate" in config:  # it names no precision, and gets as many as one of 0.01 would
        assert part.model_dump(exclude={"provenance"}) == whole.model_dump(exclude={"provenance"})
        return
    assert part.intact_examples is not None
    assert part.intact_examples < part.cost.intact_passes < whole.cost.intact_passes == len(arrays["y"])
    assert part.intact.low <= whole.intact.value <= part.intact.high
    assert part.chance == whole.chance
    if part.score is not None and whole.score is not None:
        assert part.score.low <= whole.score.high
        assert whole.score.low <= part.score.high
    assert part.curve[0].low <= whole.intact.value <= part.curve[0].high
    assert part.curve[0].trials == part.intact_examples


def test_what_was_seen_is_what_the_trials_would_have_got(start: Start, arrays: dict[str, np.ndarray]) -> None:
    """What chunk 0 keeps of the intact network is what trials that lose nothing give, in their order."""
    computing = start(arrays, MODEL.read_bytes(), precision=0.1)
    course = opened(computing)
    payload = computing.compute(course, 0)
    course.take({0: schemas.canonical(dict(payload))})
    seen = course.seen(0, trials.pushed(course.design, 0))
    assert seen is not None
    assert course.reference is not None
    assert seen.sum() <= course.reference.intact.total
    chunk = dict(computing.compute(course, FIRST))
    # The first stratum's trials lose next to nothing, so what they give is what the intact network gives.
    cells = chunk["cells"].index(0)
    assert chunk["intact"]["total"][cells] == chunk["intact"]["squares"][cells]
    assert abs(chunk["right"][cells] - chunk["intact"]["products"][cells]) <= 2
    assert sum(chunk["intact"]["total"]) == seen.sum()
    late = len(course.reference.seen) // len(seen)  # type: ignore[arg-type]
    assert course.seen(late, trials.pushed(course.design, late)) is None
    assert "intact" not in computing.compute(course, FIRST + late)


def test_a_small_dataset_is_shown_whole(start: Start, arrays: dict[str, np.ndarray]) -> None:
    """Where the whole is no more than enough, it is the same whatever is asked for, and trials know what it showed."""
    stored = []
    for intact in (None, "whole"):
        computing = start(arrays, MODEL.read_bytes(), precision=0.01, intact=intact)
        course = opened(computing)
        assert course.end == FIRST  # all workers count against what chunk 0 brings
        stored.append(dict(computing.compute(course, 0)))
    assert stored[0] == stored[1]
    assert "of" not in stored[0]
    course.take({0: schemas.canonical(stored[0])})
    assert course.reference is not None
    assert course.reference.seen is not None
    assert course.reference.seen.sum() == course.reference.intact.total
    chunk = dict(computing.compute(course, FIRST))
    examples = trials.pushed(course.design, 0)
    assert sum(chunk["intact"]["total"]) == course.reference.seen[examples].sum()


@pytest.mark.parametrize("config", [{"metric": "agreement"}, {"estimator": "grid", "precision": None, "orderings": 2}])
def test_where_nothing_is_to_be_known_nothing_is_kept(
    start: Start, arrays: dict[str, np.ndarray], config: dict[str, Any]
) -> None:
    """An answer always agrees with itself, and a grid shows every example equally often."""
    computing = start(arrays, MODEL.read_bytes(), **config)
    course = opened(computing)
    assert "seen" not in computing.compute(course, 0)
