"""Payloads of analyses' chunks: what a child shows of the units, held against labels that stay in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import scoring
from worker import answers
from worker.ablation import alone, disturbed, ordered
from worker.sandbox.parent import MIB, Child
from worker.survey import MOST_NOISE, Job, Survey, packed

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

SHOWN_BYTES = 32 * MIB  # of activations asked for at once
SAMPLE_BYTES = 128 * MIB  # of activations by which bins are made
SAMPLE = 4096  # examples that they are of, at most


@dataclass(frozen=True)
class Subjects:
    """What analyses are computed with. labels: int64[N], negative where there is none. at_once: outputs to ask for."""

    child: Child
    kind: answers.Kind
    probabilities: bool
    labels: Ints
    zeroed: bool
    at_once: int
    seed: int


def payload(subjects: Subjects, survey: Survey, job: Job) -> dict[str, Any]:
    """The payload of one of a survey's jobs."""
    if job.kind == "selectivity":
        return _tuned(subjects, survey, job)
    if job.kind == "noise":
        return _disturbed(subjects, survey, job)
    if job.kind in ("targeted", "classes"):
        return _in_orders(subjects, survey, job)
    return _alone(subjects, survey, job)


def _tuned(subjects: Subjects, survey: Survey, job: Job) -> dict[str, Any]:
    """How some units are tuned: the whole dataset once, and before it a sample for the borders of the bins."""
    labelled = np.flatnonzero(subjects.labels >= 0)
    low, high = int(job.units[0]), int(job.units[-1]) + 1
    room = max(SAMPLE_BYTES // (4 * (high - low)), 1)
    sample = labelled[:: -(-len(labelled) // min(SAMPLE, room))]
    shown = [means[:, low:high] for _, means, _ in _activations(subjects, survey, sample)]
    borders = scoring.edges(np.nan_to_num(np.concatenate(shown)), scoring.bins(survey.examples, survey.classes))
    tuning = scoring.Tuning(survey.classes, borders)
    for examples, means, sizes in _activations(subjects, survey, labelled):
        tuning.add(means[:, low:high], sizes[:, low:high], subjects.labels[examples])
    columns = vars(tuning.columns())
    return {
        "analysis": "selectivity",
        "units": [low, high],
        "columns": {name: packed(column) for name, column in columns.items()},
        "passes": 0,
        "intact_passes": len(sample) + len(labelled),
    }


def _activations(subjects: Subjects, survey: Survey, examples: Ints) -> Iterator[tuple[Ints, Any, Any]]:
    """Examples with their units' means and sizes, some at a time."""
    step = max(SHOWN_BYTES // (8 * survey.total), 1)
    for start in range(0, len(examples), step):
        part = examples[start : start + step]
        yield part, *subjects.child.activations(part, survey.total)


def _alone(subjects: Subjects, survey: Survey, job: Job) -> dict[str, Any]:
    """What units are worth: each of them ablated alone, on each example of the part where that can change anything."""
    examples = alone.order(subjects.seed, survey.examples)[job.start : job.stop]
    examples = examples[subjects.labels[examples] >= 0]
    units, places = _that_matter(subjects, survey, job.units, examples)
    before, after = _held_against(subjects, survey, job, examples, units, places)
    pairs = scoring.Pairs(units, places, before[0], after[0], after[1] - before[1])
    counted = scoring.count_pairs(job.units, subjects.labels[examples], survey.classes, pairs)
    return {"analysis": "importance", **counted, "passes": len(units), "intact_passes": len(examples)}


def _held_against(
    subjects: Subjects, survey: Survey, job: Job, examples: Ints, units: Ints, places: Ints
) -> tuple[tuple[Bools, Floats], tuple[Bools, Floats]]:
    """For each pair, with nothing lost and with its unit lost: is the answer right, and what does it cost in nats?"""
    masks = alone.masks(survey.units, job.units)
    found: list[list[tuple[Bools, Floats]]] = [[_no_pair()], [_no_pair()]]
    step = max(subjects.at_once // 2, 1)
    for start in range(0, len(units), step):
        part = slice(start, start + step)
        low, high = int(units[part][0]), int(units[part][-1]) + 1
        own = [mask[low:high] for mask in masks]
        ablated, intact = subjects.child.alone(examples, places[part], units[part] - low, own)
        for parts, outputs in zip(found, (intact, ablated), strict=True):
            parts.append(_judged(subjects, outputs, examples[places[part]]))
    before, after = (tuple(np.concatenate(each) for each in zip(*parts, strict=True)) for parts in found)
    return before, after  # type: ignore[return-value]


def _no_pair() -> tuple[Bools, Floats]:
    return np.empty(0, np.bool_), np.empty(0)


def _judged(subjects: Subjects, outputs: NDArray[np.float32], examples: Ints) -> tuple[Bools, Floats]:
    """Is each answer right, bool[T], and what does it cost in nats, float64[T]?"""
    labels = subjects.labels[examples, None]
    scores = answers.scores(outputs, subjects.kind, subjects.probabilities)
    right: Bools = (answers.picked(scores) == labels)[:, 0]
    return right, answers.surprise(scores, labels, subjects.probabilities)[:, 0]


def _that_matter(subjects: Subjects, survey: Survey, units: Ints, examples: Ints) -> tuple[Ints, Ints]:
    """Pairs of a unit (its place in the block) and an example (likewise), int64[T] both, in order of the unit.

    Set to zero, a unit that is zero on an example anyway changes nothing there: on ReLUs that spares half of the
    passes. With another clamp every pair counts.
    """
    acts = np.ones((len(examples), len(units)), np.bool_)
    if subjects.zeroed and len(examples):
        sizes = [sizes[:, units] for _, _, sizes in _activations(subjects, survey, examples)]
        acts = np.concatenate(sizes) != 0  # of a NaN, true
    places, which = np.nonzero(acts.T)
    return places.astype(np.int64), which.astype(np.int64)


def _in_orders(subjects: Subjects, survey: Survey, job: Job) -> dict[str, Any]:
    """Right or wrong, at each fraction, in each chosen order and, for each example, in random orders of its own."""
    assert job.ranked is not None
    assert job.alive is not None
    examples, intact = _unhurt(subjects, survey, job)
    steps, repeats, count = scoring.fractions()[1:], scoring.REPEATS, len(examples)
    chosen = ordered.given(job.ranked, survey.units, job.alive, steps)
    lesions = np.arange(len(job.ranked) * len(steps))
    given, _ = _answers(subjects, np.tile(examples, len(lesions)), np.repeat(lesions, count), chosen)
    rows = count * repeats
    first = job.start * repeats
    masks = ordered.random(subjects.seed, first, rows, survey.units, job.alive, steps) if rows else []
    own = np.arange(rows * len(steps))
    random, _ = _answers(subjects, np.repeat(examples, repeats * len(steps)), own, masks)
    counted = scoring.count_orders(
        intact,
        given.reshape(len(job.ranked), len(steps), count),
        random.reshape(count, repeats, len(steps)),
        subjects.labels[examples],
        survey.classes,
    )
    return {"analysis": job.kind, **counted, "passes": len(given) + len(random), "intact_passes": count}


def _disturbed(subjects: Subjects, survey: Survey, job: Job) -> dict[str, Any]:
    """Right or wrong, for each example and draw of noise, at each strength."""
    assert job.deviations is not None
    examples, intact = _unhurt(subjects, survey, job)
    steps, repeats, count = scoring.fractions()[1:], scoring.REPEATS, len(examples)
    first, rows, strengths = job.start * repeats, count * repeats, MOST_NOISE * steps
    found = [np.empty(0, np.bool_)]
    if rows:
        noise = disturbed.noise(subjects.seed, first, rows, job.deviations, survey.units, strengths)
        pushed = np.repeat(examples, repeats * len(steps))
        for start in range(0, len(pushed), subjects.at_once):
            part = slice(start, start + subjects.at_once)
            outputs = subjects.child.noisy(pushed[part], [each[part] for each in noise])
            scores = answers.scores(outputs, subjects.kind, subjects.probabilities)
            found.append(answers.picked(scores)[:, 0] == subjects.labels[pushed[part]])
    right = np.concatenate(found).reshape(count, repeats, len(steps))
    none = np.empty((0, len(steps), count), np.bool_)
    counted = scoring.count_orders(intact, none, right, subjects.labels[examples], survey.classes)
    return {"analysis": "noise", **counted, "passes": right.size, "intact_passes": count}


def _unhurt(subjects: Subjects, survey: Survey, job: Job) -> tuple[Ints, Bools]:
    """The job's examples that have a label, int64[n], and whether the intact network is right on each, bool[n]."""
    examples = alone.order(subjects.seed, survey.examples)[job.start : job.stop]
    examples = examples[subjects.labels[examples] >= 0]
    nothing = [np.ones((1, size), np.bool_) for size in survey.units]
    intact, _ = _answers(subjects, examples, np.zeros(len(examples), np.int64), nothing)
    return examples, intact


def _answers(subjects: Subjects, examples: Ints, lesions: Ints, masks: list[Bools]) -> tuple[Bools, Floats]:
    """Is each trial's answer right, bool[T], and what does it cost in nats, float64[T]. lesions: in rising order."""
    right, cost = [np.empty(0, np.bool_)], [np.empty(0)]
    for start in range(0, len(examples), subjects.at_once):
        part = slice(start, start + subjects.at_once)
        low, high = int(lesions[part][0]), int(lesions[part][-1]) + 1
        outputs = subjects.child.outputs(examples[part], lesions[part] - low, [mask[low:high] for mask in masks])
        own, nats = _judged(subjects, outputs, examples[part])
        right.append(own)
        cost.append(nats)
    return np.concatenate(right), np.concatenate(cost)
