"""A claim's computing from files to chunks, in real child processes: every metric, weights, and what is refused."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import problems, schemas
from service.schemas import Config, Result
from service.settings import Settings
from service.store.blobs import Blobs, open_blobs
from service.store.evaluations import Claim, ClaimLostError
from service.store.tenants import DEFAULT
from tests import nets
from tests.nets import noise
from worker import computing
from worker.ablation import trials
from worker.computing import Computing
from worker.course import FIRST, Course
from worker.formats.refusals import Refused

EXAMPLES = 60
INPUTS = noise(1, EXAMPLES, 2, 8, 8)
Arrays = Mapping[str, Any]
Start = Callable[..., Computing]


def kept(blobs: Blobs, folder: Path, kind: str, data: bytes) -> str:
    """Store an upload; its digest."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    file = folder / "upload"
    file.write_bytes(data)
    blobs.put(DEFAULT, kind, digest, file)
    return digest


@contextmanager
def starting(tmp_path: Path) -> Iterator[Start]:
    """Starts the computing of a config on the residual network and some arrays; all are ended together."""
    blobs = open_blobs(f"file://{tmp_path}/blobs")
    running: list[Computing] = []

    def one(arrays: Arrays, model: bytes | None = None, **config: Any) -> Computing:
        np.savez(tmp_path / "data.npz", **arrays)
        artifacts = {"model": model or nets.residual(), "dataset": (tmp_path / "data.npz").read_bytes()}
        digests = {kind: kept(blobs, tmp_path, kind, data) for kind, data in artifacts.items()}
        asked = Config.model_validate({"precision": 0.05, **config})
        artifacts_of = (digests["model"], digests["dataset"])
        claim = Claim("ev_1", DEFAULT, 1, "worker", *artifacts_of, asked.model_dump_json(), 0.0)
        settings = Settings(threads=1, child_seconds=60)
        folder = tmp_path / f"scratch{len(running)}"
        folder.mkdir()
        running.append(Computing(settings, blobs, claim, asked, folder))
        return running[-1]

    yield one
    for each in running:
        each.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as one:
        yield one


def opened(computing: Computing) -> Course:
    course = Course(computing.open())
    computing.load(course)
    return course


def result(computing: Computing) -> Result:
    """Compute chunk after chunk, as one worker does, until they decide."""
    course = opened(computing)
    while not course.decided:
        course.take({course.next: schemas.canonical(dict(computing.compute(course, course.next)))})
    return course.result()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What the intact network answers, int64[N]."""
    with starting(tmp_path_factory.mktemp("answers")) as start:
        computing = start({"x": INPUTS}, metric="agreement")
        course = opened(computing)
        course.take({0: schemas.canonical(dict(computing.compute(course, 0)))})
    assert course.answers is not None
    return course.answers[:, 0]


def test_agreement_is_accuracy_on_the_intact_answers(start: Start, answers: np.ndarray) -> None:
    """Without labels the score is what labels that the intact network gets all right would give."""
    unlabelled = result(start({"x": INPUTS}))
    labelled = result(start({"x": INPUTS, "y": answers}))
    assert unlabelled.metric == "agreement"
    assert labelled.metric == "accuracy"
    assert labelled.intact.value == unlabelled.intact.value == 1.0
    assert (unlabelled.score, unlabelled.curve, unlabelled.chance) == (labelled.score, labelled.curve, labelled.chance)
    assert any("no labels" in warning for warning in unlabelled.warnings)


@pytest.mark.parametrize(
    "config",
    [
        {"metric": "top_k", "k": 2},
        {"metric": "balanced_accuracy"},
        {"metric": "cross_entropy", "weights": "w"},
        {"metric": "accuracy", "weights": "w", "estimator": "grid", "precision": None, "orderings": 2, "fractions": 3},
        {"metric": "accuracy", "clamp": "mean", "scope": "layer"},
    ],
    ids=str,
)
def test_every_metric_gives_a_result(start: Start, answers: np.ndarray, config: dict[str, Any]) -> None:
    """From files to a result that JSON can hold, the curve ending where all units are lost."""
    weights = np.random.default_rng(3).integers(1, 20, EXAMPLES)
    found = result(start({"x": INPUTS, "y": answers, "w": weights}, **config))
    assert found.metric == config.get("metric", "accuracy")
    assert found.measured is not None
    assert found.measured.weights == config.get("weights")
    assert found.output == "y"
    schemas.canonical(found.model_dump(mode="json"))
    if found.score is not None:
        assert found.score.low <= found.score.value <= found.score.high
    else:
        assert "nothing to lose" in str(found.score_refused)


def test_weights_are_those_of_the_dataset(start: Start, answers: np.ndarray) -> None:
    """A(0) and chance weigh the examples as the named array says."""
    labels = (answers + (np.arange(EXAMPLES) % 3 == 0)) % 3
    weights = np.where(np.arange(EXAMPLES) % 3 == 0, 1.0, 10.0)
    found = result(start({"x": INPUTS, "y": labels, "w": weights}, weights="w"))
    assert found.intact.value == pytest.approx(400 / 420, abs=1e-6)
    shares = np.bincount(labels, weights=weights) / weights.sum()
    assert found.chance == pytest.approx(shares.max(), abs=1e-6)


@pytest.mark.parametrize("config", [{}, {"estimator": "grid", "precision": None, "orderings": 2, "fractions": 5}])
def test_outputs_asked_for_in_parts_are_the_same(
    start: Start, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many outputs are held at once changes no chunk."""
    arrays = {"x": INPUTS, "y": np.arange(EXAMPLES) % 3}
    whole, parts = start(arrays, **config), start(arrays, **config)
    course, other = opened(whole), opened(parts)
    expected = [dict(whole.compute(course, index)) for index in (0, FIRST, FIRST + 1)]
    monkeypatch.setattr(computing, "OUTPUTS_LIMIT", 7 * 3 * 4)
    assert [dict(parts.compute(other, index)) for index in (0, FIRST, FIRST + 1)] == expected
    assert trials.chunks(course.design) is None or config


def test_a_regression_has_its_r2(start: Start) -> None:
    """R2 of the network's own outputs plus noise is what numpy makes of them; the chunks follow."""
    computing = start({"x": INPUTS}, metric="agreement")
    opened(computing)
    assert computing._model is not None
    outputs = computing._model.intact(0, EXAMPLES).astype(np.float64)
    labels = outputs + 0.1 * outputs.std() * np.random.default_rng(0).standard_normal(outputs.shape)
    found = result(start({"x": INPUTS, "y": labels}, metric="r2"))
    residual, spread = ((labels - outputs) ** 2).sum(axis=0), ((labels - labels.mean(axis=0)) ** 2).sum(axis=0)
    assert found.intact.value == pytest.approx((1 - residual / spread).mean(), abs=1e-5)
    assert found.chance == 0
    assert found.score is not None
    assert found.curve[-1].value < found.intact.value


@pytest.mark.parametrize(
    ("arrays", "config", "told"),
    [
        ({"x": INPUTS}, {"metric": "accuracy"}, "needs labels"),
        ({"x": INPUTS, "y": np.arange(EXAMPLES) % 4}, {}, "3"),
        ({"x": INPUTS[:, :1], "y": np.arange(EXAMPLES) % 3}, {}, "[2, 8, 8]"),
        ({"x": INPUTS, "y": np.arange(EXAMPLES) % 3}, {"metric": "top_k", "k": 3}, "every answer would count"),
        ({"x": INPUTS, "y": np.arange(EXAMPLES) % 3}, {"sites": ["nothing*"]}, "no site 'nothing*'"),
        ({"x": INPUTS, "y": np.arange(EXAMPLES) % 3}, {"weights": "w"}, "w"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_worker_too(
    start: Start, arrays: Arrays, config: dict[str, Any], told: str
) -> None:
    """Nothing depends on its having been checked before."""
    with pytest.raises((problems.DatasetMismatch, problems.Invalid, Refused)) as refused:
        opened(start(arrays, **config))
    assert told in str(refused.value)


def test_killed_computing_starts_nothing_more(start: Start) -> None:
    """Once a claim is lost its processes are gone, and no other is started."""
    computing = start({"x": INPUTS})
    opened(computing)
    computing.kill()
    computing.close()
    assert computing.killed
    assert not computing.ready
    with pytest.raises(ClaimLostError):
        computing.open()
