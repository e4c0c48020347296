"""What an evaluation's chunks say so far, taken in order: the tally, the stop, the progress and in the end the result.

Only the ordered prefix counts. So the answer is the same whichever workers computed which chunk, and in which order.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import __version__, schemas, scoring
from service.schemas import Config
from service.scoring import gate
from worker import bounds, cautions, first
from worker.ablation import trials
from worker.ablation.trials import Design
from worker.findings import Findings
from worker.first import Means
from worker.judging import Judge, Prefix, Rival, Role
from worker.survey import Job, Survey

FIRST = 1  # chunk 0 is the intact network; then come those of the analyses, and those of trials


@dataclass(frozen=True)
class Subject:
    """What is evaluated: the artifacts by digest, what was found in them, and the sites in scope."""

    model: str
    dataset: str
    config: Config
    examples: int
    measured: schemas.Measured
    sites: list[dict[str, Any]]
    warnings: list[str]
    versions: dict[str, str]
    device: str
    output: str | None = None
    preprocessing: dict[str, Any] | None = None
    converted: dict[str, Any] | None = None
    classes: int = 0  # of the output; for analyses
    pictures: str | None = None  # what to say of the inputs, being pictures, where the intact model is often wrong

    @property
    def design(self) -> Design:
        """What the chunks of trials are drawn from."""
        config = self.config
        grid = {"orderings": config.orderings, "fractions": config.fractions} if config.estimator == "grid" else {}
        return Design(
            seed=config.seed,
            examples=self.examples,
            units=tuple(site["units"] for site in self.sites),
            estimator=config.estimator,
            separate=config.scope == "layer" and config.site is None,
            **{name: value for name, value in grid.items() if value is not None},
        )


class Course:
    """The prefix of chunks taken so far. `take` chunks as they become known; then ask."""

    def __init__(self, subject: Subject, rivals: Mapping[Role, Rival] | None = None) -> None:
        """`rivals` are the evaluations that the config names. Raises `NotComparable` for one that is none."""
        self.subject = subject
        self.design = subject.design
        self._judge = Judge(subject.config, [site["site"] for site in subject.sites], rivals or {})
        self._judge.check(subject.model, subject.dataset, subject.measured)
        self.next = 0
        self.decided = False
        self.reference: scoring.Reference | None = None
        self.means: Means | None = None
        self.answers: NDArray[np.int64] | None = None
        self.survey: Survey | None = None
        if subject.config.analyses:
            self.survey = Survey(subject.config, subject.examples, self.design.units, subject.classes)
        self.noticed: list[str] = []  # warnings of the process that runs the model on these inputs
        self._tally = self._empty = scoring.Tally.empty(trials.cells(self.design))
        self._chunks: list[scoring.Tally] = []  # one by one, where they are paired with others'
        self._grid_chunks = trials.chunks(self.design)
        self._planned: list[int] = []
        self._waiting: dict[int, str] = {}

    @property
    def end(self) -> int | None:
        """The index after the last chunk that may be held now; None where there is no end."""
        if self.reference is None and self._needs_first():
            return FIRST
        if self.survey is not None and not self.survey.done:
            return FIRST + len(self.survey.jobs)
        return None if self._grid_chunks is None else self._grid_chunks + self.trials_from

    @property
    def trials_from(self) -> int:
        """The index at which the design's chunk 0 is stored, once the analyses are done."""
        return FIRST + (0 if self.survey is None else len(self.survey.jobs))

    def job(self, index: int) -> Job | None:
        """What a chunk after the first analyses; None where it is one of trials."""
        jobs = [] if self.survey is None else self.survey.jobs
        return jobs[index - FIRST] if index - FIRST < len(jobs) else None

    def may_compute(self, index: int) -> bool:
        """Is all known that a chunk is computed from?"""
        return self.end is None or index < self.end

    def _needs_first(self) -> bool:
        """Means come out of chunk 0, so do the intact network's own answers, and what it gave to trials' examples."""
        config = self.subject.config
        return config.estimator == "adaptive" or config.clamp == "mean" or self.subject.measured.name == "agreement"

    def seen(self, index: int, examples: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """float32[T], what the intact network gave to the examples of the design's chunk; None where it saw others."""
        if self.reference is None or self.reference.seen is None:
            return None
        if self.reference.intact.of is None:
            return self.reference.seen[examples]
        part = self.reference.seen[index * len(examples) : (index + 1) * len(examples)]
        return part if len(part) else None

    def take(self, payloads: Mapping[int, str]) -> None:
        """Take in computed chunks. The stop rule is asked after each, in order: the first yes decides."""
        self._waiting.update(payloads)
        while not self.decided and self.next in self._waiting:
            payload = json.loads(self._waiting.pop(self.next))
            if self.next < FIRST:
                self._take_intact(payload)
            elif self.survey is not None and not self.survey.done:
                self.survey.take(payload)
            else:
                self._tally = self._tally.add(payload)
                if self._judge.rivals:
                    self._chunks.append(self._empty.add(payload))
            self.next += 1
            self.decided = self._stop()

    def _take_intact(self, payload: dict[str, Any]) -> None:
        self.reference = scoring.stored_reference(payload, self.subject.measured.name)
        self.means, self.answers = first.means(payload), first.answers(payload)

    def _stop(self) -> bool:
        assert self.reference is not None, "chunk 0 is always taken first"
        if self.survey is not None and not self.survey.done:
            return False
        if not self.reference.scored:
            return True  # nothing to lose by ablation: no trial can give a score
        config = self.subject.config
        if config.gate is not None and config.estimator == "adaptive":
            return self._judged()
        return self._narrow()

    def _judged(self) -> bool:
        """With a gate: is the verdict certain, at a look that was planned, or is this the last one?"""
        count, looks = self.next - self.trials_from, self._looks()
        if count not in looks:
            return False
        if count == looks[-1]:
            return True
        certain = gate.settled(self._judge.read(self._prefix(), self._judge.level(len(looks))))
        return certain and (self.subject.config.precision is None or self._narrow())

    def _looks(self) -> list[int]:
        """Chunk counts at which the verdict is read; all chunks have as many trials as the first."""
        if not self._planned:
            assert self.reference is not None
            size = len(trials.draw(self.design, 0).cells)
            self._planned = self._judge.looks(size, scoring.least_chunks(self.reference))
        return self._planned

    def _prefix(self) -> Prefix:
        assert self.reference is not None
        return Prefix(self.reference, self._tally, self._chunks)

    def _narrow(self) -> bool:
        """Is the score's interval as narrow as asked, or the grid complete?"""
        assert self.reference is not None
        config = self.subject.config
        return scoring.enough(
            self._tally,
            estimator=config.estimator,
            reference=self.reference,
            confidence=config.confidence,
            precision=config.precision or 0.0,
            chunks=self.next - self.trials_from,
            max_trials=config.limits.trials,
        )

    def progress(self) -> schemas.Progress:
        """How far the evaluation is, with the score's live interval."""
        if self.reference is None:
            return schemas.Progress()
        live = self._live()
        return schemas.Progress(
            trials=int(self._tally.trials.sum()),
            score=None if live is None else schemas.Estimate(**asdict(live)),
            intact=self.reference.first,
            share=1.0 if self.decided else self._share(live),
        )

    def _live(self) -> scoring.Estimate | None:
        assert self.reference is not None
        estimator, confidence = self.subject.config.estimator, self.subject.config.confidence
        return scoring.live(self._tally, estimator=estimator, reference=self.reference, confidence=confidence)

    def _share(self, live: scoring.Estimate | None) -> float:
        """Share of the work done, half of which the analyses count for, if there are any."""
        if self.survey is None:
            return self._share_of_trials(live)
        return (self.survey.share + (self._share_of_trials(live) if self.survey.done else 0.0)) / 2

    def _share_of_trials(self, live: scoring.Estimate | None) -> float:
        """Of the grid's chunks, or by the width, which shrinks with the root of the trials."""
        if self._grid_chunks is not None:
            return (self.next - self.trials_from) / self._grid_chunks
        precision = self.subject.config.precision
        if precision is None:  # until a verdict is certain, which nobody knows beforehand
            return min(int(self._tally.trials.sum()) / self.subject.config.limits.trials, 0.99)
        if live is None or live.high <= live.low:
            return 0.0
        return min((2 * precision / (live.high - live.low)) ** 2, 0.99)

    def findings(self) -> Findings | None:
        """What the analyses found of each unit, if there were any."""
        return None if self.survey is None else Findings(self.survey, [site["site"] for site in self.subject.sites])

    def result(self, analyses: schemas.Analyses | None = None) -> schemas.Result:
        """The result of the prefix; everything in it but `cost.seconds`, which is left out, is the same on a rerun."""
        assert self.reference is not None
        subject, config, reference = self.subject, self.subject.config, self.reference
        passes = int(self._tally.trials.sum())
        summary = self._summary() if passes else None
        return schemas.Result(
            score=summary and _estimate(summary.score),
            score_refused=reference.refusal(),
            auc=summary and _estimate(summary.auc),
            intact=_known(scoring.sample(reference, config.confidence)),
            intact_examples=None if reference.intact.of is None else reference.examples,
            chance=scoring.rounded(reference.chance),
            half_life=summary and _estimate(summary.half_life),
            metric=subject.measured.name,
            measured=subject.measured,
            output=subject.output,
            preprocessing=subject.preprocessing,
            split=config.split,
            scope=config.scope,
            clamp=config.clamp,
            estimator=config.estimator,
            curve=[schemas.CurvePoint(**asdict(point)) for point in summary.curve] if summary else [],
            layers=self._layers(summary),
            sites=[schemas.Site(**{name: site[name] for name in schemas.Site.model_fields}) for site in subject.sites],
            analyses=analyses,
            baseline=self._judge.against("baseline", self._prefix()),
            training=self._judge.against("training", self._prefix()),
            gate=None if config.gate is None else self._judge.result(self._prefix(), len(self._looks())),
            warnings=subject.warnings + self.noticed + self._cautions(summary),
            cost=self._cost(passes),
            provenance=schemas.Provenance(
                model=subject.model,
                dataset=subject.dataset,
                config=config.identity(),
                seed=config.seed,
                versions={"lesion": __version__, **subject.versions},
                converted=subject.converted,
            ),
        )

    def _cautions(self, summary: scoring.Summary | None) -> list[str]:
        assert self.reference is not None
        wrong = cautions.often_wrong(self.reference, self.subject.pictures)
        return wrong + cautions.imprecise(summary, self.subject.config.precision)

    def _cost(self, trials: int) -> schemas.Cost:
        passes, intact = (0, 0) if self.survey is None else (self.survey.passes, self.survey.intact_passes)
        assert self.reference is not None
        intact += bounds.probed(self.subject.config, self.subject.measured.name, self.design) + self.reference.examples
        return schemas.Cost(passes=trials + passes, intact_passes=intact, seconds=None, device=self.subject.device)

    def _summary(self) -> scoring.Summary:
        assert self.reference is not None
        estimator, confidence = self.subject.config.estimator, self.subject.config.confidence
        return scoring.summarise(self._tally, estimator=estimator, reference=self.reference, confidence=confidence)

    def _layers(self, summary: scoring.Summary | None) -> list[schemas.Layer]:
        if summary is None or self.subject.config.scope != "layer":
            return []
        pairs = zip(self.subject.sites, summary.groups, strict=True)
        return [
            schemas.Layer(site=s["site"], units=s["units"], auc=_known(g.auc), score=_estimate(g.score))
            for s, g in pairs
        ]


def _known(estimate: scoring.Estimate) -> schemas.Estimate:
    return schemas.Estimate(**asdict(estimate))


def _estimate(estimate: scoring.Estimate | None) -> schemas.Estimate | None:
    return None if estimate is None else _known(estimate)
