"""The intact pass over a dataset that is larger than it needs, in real child processes: every metric, and the whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import schemas
from service.examples import paths
from tests.worker.test_computing import Start, opened, result, starting
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
    seen = course.seen(0)
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
    assert course.seen(late) is None
    assert "intact" not in computing.compute(course, FIRST + late)


def test_a_small_dataset_is_as_it_was(start: Start, arrays: dict[str, np.ndarray]) -> None:
    """Where the whole is no more than enough, nothing is stored that was not stored before, whatever is asked for."""
    stored = []
    for intact in (None, "whole"):
        computing = start(arrays, MODEL.read_bytes(), precision=0.01, intact=intact)
        course = opened(computing)
        stored.append(dict(computing.compute(course, 0)))
        assert course.end is None  # other workers need not wait for chunk 0
    assert stored[0] == stored[1]
    assert set(stored[0]) == {"total", "examples", "effective", "error", "chance", "binary", "means", "answers"}
