"""What an evaluation's chunks say so far, taken in order: the tally, the stop, the progress and in the end the result.

Only the ordered prefix counts. So the answer is the same whichever workers computed which chunk, and in which order.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import __version__, schemas, scoring
from service.schemas import Config
from worker.ablation import trials
from worker.ablation.trials import Design

Means = list[NDArray[np.float32]]
FIRST = 1  # chunk 0 is the intact network; the design's chunk i is stored as i + 1


@dataclass(frozen=True)
class Subject:
    """What is evaluated: the artifacts by digest, what was found in them, and the sites in scope."""

    model: str
    dataset: str
    config: Config
    examples: int
    most_frequent: int
    sites: list[dict[str, Any]]
    warnings: list[str]
    versions: dict[str, str]
    device: str

    @property
    def chance(self) -> float:
        """Accuracy of the best constant answer on the dataset."""
        return self.most_frequent / self.examples

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


def intact_payload(right: int, examples: int, means: Means | None) -> dict[str, Any]:
    """Chunk 0: how often the intact network is right, and each unit's mean where the clamp needs it (little-endian)."""
    encoded = None if means is None else [base64.b64encode(m.astype("<f4").tobytes()).decode() for m in means]
    return {"right": right, "examples": examples, "means": encoded}


class Course:
    """The prefix of chunks taken so far. `take` chunks as they become known; then ask."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.design = subject.design
        self.next = 0
        self.decided = False
        self.intact: tuple[int, int] | None = None
        self.means: Means | None = None
        self._tally = scoring.Tally.empty(trials.cells(self.design))
        self._grid_chunks = trials.chunks(self.design)
        self._waiting: dict[int, str] = {}

    @property
    def end(self) -> int | None:
        """The index after the last chunk that may be held now; None where there is no end."""
        if self.intact is None and self.subject.config.clamp == "mean":
            return FIRST  # the means come out of chunk 0
        return None if self._grid_chunks is None else self._grid_chunks + FIRST

    def take(self, payloads: Mapping[int, str]) -> None:
        """Take in computed chunks. The stop rule is asked after each, in order: the first yes decides."""
        self._waiting.update(payloads)
        while not self.decided and self.next in self._waiting:
            payload = json.loads(self._waiting.pop(self.next))
            if self.next < FIRST:
                self._take_intact(payload)
            else:
                self._tally = self._tally.add(payload)
            self.next += 1
            self.decided = self._stop()

    def _take_intact(self, payload: dict[str, Any]) -> None:
        self.intact = (payload["right"], payload["examples"])
        if payload["means"] is not None:
            self.means = [np.frombuffer(base64.b64decode(each), "<f4") for each in payload["means"]]

    def _stop(self) -> bool:
        assert self.intact is not None, "chunk 0 is always taken first"
        if self._margin() < scoring.LEAST_MARGIN:
            return True  # nothing to lose by ablation: no trial can give a score
        config = self.subject.config
        return scoring.enough(
            self._tally,
            estimator=config.estimator,
            intact=self.intact,
            chance=self.subject.chance,
            confidence=config.confidence,
            precision=config.precision or 0.0,
            chunks=self.next - FIRST,
            max_trials=config.limits.trials,
        )

    def _margin(self) -> float:
        assert self.intact is not None
        return self.intact[0] / self.intact[1] - self.subject.chance

    def progress(self) -> schemas.Progress:
        """How far the evaluation is, with the score's live interval."""
        if self.intact is None:
            return schemas.Progress()
        live = self._live()
        return schemas.Progress(
            trials=int(self._tally.trials.sum()),
            score=None if live is None else schemas.Estimate(**asdict(live)),
            intact=self.intact[0] / self.intact[1],
            share=1.0 if self.decided else self._share(live),
        )

    def _live(self) -> scoring.Estimate | None:
        assert self.intact is not None
        config = self.subject.config
        return scoring.live(
            self._tally,
            estimator=config.estimator,
            intact=self.intact,
            chance=self.subject.chance,
            confidence=config.confidence,
        )

    def _share(self, live: scoring.Estimate | None) -> float:
        """Share of the work done: of the grid's chunks, or by the width, which shrinks with the root of the trials."""
        if self._grid_chunks is not None:
            return (self.next - FIRST) / self._grid_chunks
        precision = self.subject.config.precision
        if live is None or precision is None or live.high <= live.low:
            return 0.0
        return min((2 * precision / (live.high - live.low)) ** 2, 0.99)

    def result(self) -> schemas.Result:
        """The result of the prefix; everything in it but `cost.seconds`, which is left out, is the same on a rerun."""
        assert self.intact is not None
        subject, config = self.subject, self.subject.config
        passes = int(self._tally.trials.sum())
        summary = self._summary() if passes else None
        return schemas.Result(
            score=_estimate(summary.score) if summary else None,
            score_refused=summary.refusal if summary else scoring.refusal(self.intact, subject.chance),
            auc=_estimate(summary.auc) if summary else None,
            intact=_known(scoring.intact_accuracy(self.intact, config.confidence)),
            chance=round(subject.chance, 6),
            half_life=_estimate(summary.half_life) if summary else None,
            metric=config.metric,
            split=config.split,
            scope=config.scope,
            clamp=config.clamp,
            estimator=config.estimator,
            curve=[schemas.CurvePoint(**asdict(point)) for point in summary.curve] if summary else [],
            layers=self._layers(summary),
            sites=[schemas.Site(**{name: site[name] for name in schemas.Site.model_fields}) for site in subject.sites],
            warnings=subject.warnings + self._imprecise(summary),
            cost=schemas.Cost(passes=passes, intact_passes=subject.examples, seconds=None, device=subject.device),
            provenance=schemas.Provenance(
                model=subject.model,
                dataset=subject.dataset,
                config=config.identity(),
                seed=config.seed,
                versions={"lesion": __version__, **subject.versions},
            ),
        )

    def _summary(self) -> scoring.Summary:
        assert self.intact is not None
        return scoring.summarise(
            self._tally,
            estimator=self.subject.config.estimator,
            intact=self.intact,
            chance=self.subject.chance,
            confidence=self.subject.config.confidence,
        )

    def _layers(self, summary: scoring.Summary | None) -> list[schemas.Layer]:
        if summary is None or self.subject.config.scope != "layer":
            return []
        pairs = zip(self.subject.sites, summary.groups, strict=True)
        return [
            schemas.Layer(site=s["site"], units=s["units"], auc=_known(g.auc), score=_estimate(g.score))
            for s, g in pairs
        ]

    def _imprecise(self, summary: scoring.Summary | None) -> list[str]:
        precision = self.subject.config.precision
        if summary is None or summary.score is None or precision is None:
            return []
        half = (summary.score.high - summary.score.low) / 2
        if half <= precision + 1e-6:
            return []
        allowed = (
            f"The interval is ±{half:.4f} wide, not ±{precision}: {summary.trials:,} trials were all that "
            "`limits.trials` allowed. Raise it for a narrower one."
        )
        return [allowed]


def _known(estimate: scoring.Estimate) -> schemas.Estimate:
    return schemas.Estimate(**asdict(estimate))


def _estimate(estimate: scoring.Estimate | None) -> schemas.Estimate | None:
    return None if estimate is None else _known(estimate)
