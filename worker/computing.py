"""What a claim's work needs of other processes: one holds the model; before it runs, another reads the dataset.

Labels, weights and the metric stay in this process; the model's process only maps inputs and masks to outputs.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service import pairing, scoring
from service.schemas import Config
from service.settings import Settings
from service.store.blobs import Blobs
from service.store.evaluations import Claim
from worker import analysing, first, intact, lots, metrics, pictures, scratch
from worker.ablation import trials
from worker.ablation.trials import Design, Trials
from worker.children import Children
from worker.classes import Classes
from worker.course import FIRST, Course, Subject
from worker.formats.tables import UNPACKED_LIMIT
from worker.intact import IntactPass
from worker.programs import Program
from worker.sandbox.parent import MIB, Child, Crashed
from worker.targets import Bools, Floats, Ints, Target

OUTPUTS_LIMIT = 64 * MIB  # bytes of outputs asked for at once: those of tokens can be large


@dataclass(frozen=True)
class Dataset:
    """A dataset as the reading process left it: inputs in a raw file, labels and weights here."""

    inputs: Path
    found: dict[str, Any]
    labels: NDArray[Any] | None
    weights: Floats | None


class Computing:
    """The processes of one claim. Methods raise `Refused`, `Crashed`, `TimedOut`, a `Problem`, or `ClaimLostError`."""

    def __init__(self, settings: Settings, blobs: Blobs, claim: Claim, config: Config, folder: Path) -> None:
        self._settings, self._blobs, self._claim, self._config, self._folder = settings, blobs, claim, config, folder
        self._children = Children(settings)
        self._program = Program(self._children, folder)
        self._model: Child | None = None
        self._found: dict[str, Any] = {}
        self._dataset: Dataset | None = None
        self._target: Target | None = None
        self._ends: Floats | None = None
        self._tail: tuple[int, ...] = ()
        self._masks_means = False

    @property
    def ready(self) -> bool:
        """Is the model's process there?"""
        return self._model is not None

    @property
    def pid(self) -> int | None:
        """The id of the process that holds the model, while there is one."""
        return None if self._model is None else self._model.pid

    def kill(self) -> None:
        """Make whatever is waited for fail at once, for good. Called from another thread."""
        self._children.kill()

    @property
    def killed(self) -> bool:
        """Did this side end it?"""
        return self._children.killed

    def close(self) -> None:
        """End the processes; `open` starts new ones."""
        self._model = None
        self._children.end_all()
        self._program.forget()

    def open(self) -> Subject:
        """Open the model and, the first time, read the dataset as the model and the config want it."""
        file = self._blobs.fetch(self._claim.tenant, "model", self._claim.model, self._folder)
        onnx = self._program.onnx(file, self._shapes)
        model = self._children.start()
        # Its interpreter starts while the other one reads the model.
        reader = self._children.start(UNPACKED_LIMIT) if self._dataset is None else None
        self._found = model.open_model(onnx, output=self._config.output)
        pairing.fits_output(self._found["output"], None, self._config)
        pairing.analysable(self._found["output"], self._config)
        sites = pairing.scoped(self._found["sites"], self._config)
        if reader is not None:
            self._dataset = self._read(reader, self._found)
        assert self._dataset is not None
        self._program.compare(self._dataset.inputs, self._dataset.found["inputs"])
        metric = metrics.chosen(self._config, self._dataset.labels is not None)
        if metric != "agreement":
            self._take_target(self._dataset.labels)
        self._model = model
        return self._subject(sites, self._dataset, metric)

    def load(self, course: Course) -> None:
        """Put masks into the open model."""
        assert self._model is not None
        assert self._dataset is not None
        # Before the means are known, only to find them.
        clamp: Literal["zero", "mean"] = "mean" if course.means is not None else "zero"
        self._masks_means = clamp == "mean"
        loaded = self._model.load(
            self._dataset.inputs,
            inputs=self._dataset.found["inputs"],
            sites=[site["site"] for site in course.subject.sites],
            clamp=clamp,
            means=course.means,
        )
        self._tail, course.noticed = tuple(loaded["tail"]), list(loaded["warnings"])
        metrics.fit(course.subject.measured.name, self._found["output"], self._tail, self._dataset.labels)

    def compute(self, course: Course, index: int) -> Mapping[str, Any]:
        """The payload of a chunk."""
        if index < FIRST:
            return self._intact(course)
        if course.subject.config.clamp == "mean" and not self._masks_means:
            self.load(course)
        if self._target is None:
            assert course.answers is not None, "the answers come with chunk 0"
            self._take_target(course.answers)
        assert self._target is not None
        if (job := course.job(index)) is not None:
            assert course.survey is not None
            return analysing.payload(self._analysed(self._target), course.survey, job)
        index -= course.trials_from
        drawn = trials.draw(course.design, index)
        examples = self._by_weight(course.design, index, drawn.examples)
        values = self._values(drawn, examples)
        seen: Any = course.seen(index, examples)
        if self._drawn_by_weight():
            values = self._target.drawn(values, examples)
            assert course.reference is not None, "`adaptive` waits for it"
            if seen is not None and course.reference.intact.of is None:
                seen = self._target.drawn(seen, examples)
        elif self._target.weights is not None:
            values = values * self._target.weights[examples]
        return scoring.count(drawn.cells, values, seen)

    def _by_weight(self, design: Design, index: int, places: Ints) -> Ints:
        """The examples at the places of the design's chunk."""
        if not self._drawn_by_weight():
            return places
        assert self._ends is not None
        return lots.drawn(self._ends, places, design.seed, index)

    def _intact(self, course: Course) -> dict[str, Any]:
        """The intact pass over as much of the dataset as is enough; for `agreement`, its answers become the labels."""
        assert self._model is not None
        design, picked = course.design, None
        means = self._model.means(design.units) if course.subject.config.clamp == "mean" else None
        if course.subject.measured.name == "agreement":
            blocks = intact.blocks(self._model, design.examples, self._at_once())
            picked = np.concatenate([metrics.answered(each, self._found["output"]) for _, each in blocks])
            self._take_target(picked)
        assert self._target is not None
        target, weighed = self._target, self._drawn_by_weight()
        shown = IntactPass(self._model, target, self._at_once(), weighed, partial(self._by_weight, design))
        binary = target.counts and (target.weights is None or weighed)
        if (part := shown.part(course.subject.config, course.subject.measured.name, design)) is not None:
            return first.payload(part.intact, target.chance, binary, means, None, part.values)
        values = np.ones(design.examples, np.bool_) if picked is not None else shown.whole(design.examples)
        seen = values if course.subject.config.estimator == "adaptive" and picked is None else None
        return first.payload(target.intact(values), target.chance, binary, means, picked, seen)

    def _values(self, drawn: Trials, examples: Ints) -> Bools | Floats:
        """Each trial's value; the outputs are asked for in parts that fit into memory."""
        assert self._model is not None
        assert self._target is not None
        step = self._at_once()
        found: list[Any] = []
        for start in range(0, len(examples), step):
            part = slice(start, start + step)
            lesions = drawn.lesions[part]  # in rising order
            low, high = int(lesions[0]), int(lesions[-1]) + 1
            masks = drawn.masks if step >= len(examples) else [mask[low:high] for mask in drawn.masks]
            shift = 0 if step >= len(examples) else low
            # Trials of the grid have much in common; those of `adaptive` have a lesion and an example of their own.
            shared = self._config.estimator == "grid"
            outputs = self._model.outputs(examples[part], lesions - shift, masks, shared)
            found.append(self._target.values(outputs, examples[part]))
        return np.asarray(np.concatenate(found))

    def _analysed(self, target: Target) -> analysing.Subjects:
        assert self._model is not None
        assert isinstance(target, Classes), "checked when the model was opened"
        return analysing.Subjects(
            child=self._model,
            kind=target.kind,
            probabilities=target.probabilities,
            labels=target.labels[:, 0],
            zeroed=self._config.clamp == "zero",
            at_once=self._at_once(),
            seed=self._config.seed,
        )

    def _at_once(self) -> int:
        return max(OUTPUTS_LIMIT // (4 * max(math.prod(self._tail), 1)), 1)

    def _drawn_by_weight(self) -> bool:
        """`adaptive` draws heavy examples more often; the grid pushes each once and weighs what it gives."""
        return self._ends is not None and self._config.estimator == "adaptive"

    def _take_target(self, labels: NDArray[Any] | None) -> None:
        assert self._dataset is not None
        assert labels is not None
        metric = metrics.chosen(self._config, self._dataset.labels is not None)
        self._target = metrics.target(metric, self._config.k, self._found["output"], labels, self._dataset.weights)
        self._ends = None if self._target.lots is None else lots.shelves(self._target.lots)

    def _read(self, child: Child, model: dict[str, Any]) -> Dataset:
        """Unpack the dataset in a process of its own, so that labels never meet a model."""
        file = self._blobs.fetch(self._claim.tenant, "dataset", self._claim.dataset, self._folder)
        inputs = self._folder / "inputs"
        try:
            found, arrays = child.read_dataset(file, inputs_out=inputs, reading=self._reading(model))
        except Crashed as crash:
            scratch.check_room(self._folder, crash)
            raise
        self._children.end(child)
        pairing.written(model, found)
        return Dataset(inputs, found, arrays.get("labels"), arrays.get("weights"))

    def _shapes(self) -> list[dict[str, Any]] | None:
        """Shapes of the dataset's inputs as they lie in the file; None where preprocessing will change them."""
        asked = self._config.preprocessing
        if asked is not None and (asked.resize or asked.crop or asked.pad):
            return None
        child = self._children.start()
        file = self._blobs.fetch(self._claim.tenant, "dataset", self._claim.dataset, self._folder)
        found, _ = child.read_dataset(file, inputs_out=Path(os.devnull), reading=None)
        self._children.end(child)
        shapes: list[dict[str, Any]] = found["inputs"]
        return shapes

    def _reading(self, model: dict[str, Any]) -> dict[str, Any]:
        config = self._config
        return {
            "inputs": model["inputs"],
            "columns": config.inputs,
            "labels": config.labels,
            "weights": config.weights,
            "split": config.split,
            "preprocessing": None if config.preprocessing is None else config.preprocessing.asked(),
            "targets": metrics.read_as(config),
            "label_names": model["output"].get("labels"),
        }

    def _subject(self, sites: list[dict[str, Any]], dataset: Dataset, metric: str) -> Subject:
        found, config = self._found, self._config
        labelled = None if self._target is None else self._target.labelled
        return Subject(
            model=self._claim.model,
            dataset=self._claim.dataset,
            config=config,
            examples=dataset.found["examples"],
            measured=metrics.told(metric, config, found["output"], labelled),
            sites=sites,
            warnings=[*found["warnings"], *dataset.found["warnings"], *metrics.warned(metric, config)],
            versions=found["versions"],
            device=self._settings.device,
            output=found["output"]["name"],
            classes=found["output"]["classes"],
            preprocessing=dataset.found.get("preprocessing") or self._reading(found)["preprocessing"],
            converted=self._program.report,
            pictures=pictures.hint(dataset.inputs, dataset.found, config),
        )
