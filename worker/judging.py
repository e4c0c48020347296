"""A gate's rules held against an evaluation under way: what is measured of each, and the verdict in words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from service import comparing, problems, schemas, scoring
from service.comparing import Side
from service.schemas import Config
from service.scoring import gate
from service.scoring.gate import Check

Role = Literal["baseline", "training"]
ENOUGH = 4  # times the other side's trials: from there on its own interval is nearly all of the difference's
MAY_DIFFER = {"baseline": (), "training": ("dataset", "split", "labels", "weights")}


@dataclass(frozen=True)
class Rival:
    """An evaluation that this one is held against."""

    side: Side
    arm: scoring.Arm

    @classmethod
    def of(cls, side: Side) -> "Rival":
        """Raises `NotComparable` for one that has nothing to compare."""
        comparing.usable(side)
        return cls(side, comparing.arm(side))


@dataclass(frozen=True)
class Prefix:
    """What is known of this evaluation: the intact network, the sum of its chunks, and each of them."""

    reference: scoring.Reference
    tally: scoring.Tally
    chunks: Sequence[scoring.Tally]

    @property
    def arm(self) -> scoring.Arm:
        """This side of a difference."""
        return scoring.Arm(self.reference, self.chunks)


@dataclass(frozen=True)
class Judge:
    """The rules of one evaluation. `rivals` are what the config names, `sites` all that are ablated."""

    config: Config
    sites: Sequence[str]
    rivals: Mapping[Role, Rival] = field(default_factory=dict)

    def check(self, model: str, dataset: str, measured: schemas.Measured) -> None:
        """Raise `NotComparable` for a rival whose score measures something else."""
        layers = len(self.sites) if self.config.scope == "layer" and self.config.site is None else None
        mine = comparing.asked_for(dataset, self.config.identity()) | comparing.found_out(measured, layers)
        for role, rival in self.rivals.items():
            its = comparing.measured(rival.side.result)
            comparing.refuse(f"scores of this evaluation and of its {role}", mine, its, unless=MAY_DIFFER[role])
            if role == "training" and rival.side.result.provenance.model != model:
                raise problems.NotComparable("`training` is an evaluation of another model; name one of this model.")

    @property
    def intervals(self) -> int:
        """How many intervals one reading of the verdict looks at."""
        rules = self.config.gate.given() if self.config.gate is not None else {}
        return max(len(rules) + ("min_layer_score" in rules) * (len(self.sites) - 1), 1)

    def looks(self, chunk: int, first: int) -> list[int]:
        """Chunk counts at which the verdict is read, of chunks with so many trials."""
        if self.config.estimator == "grid":
            return [1]  # once, at its end
        return gate.looks(first, self.config.limits.trials // max(chunk, 1))

    def level(self, looks: int) -> float:
        """The confidence of each interval."""
        return gate.level(self.config.confidence, looks, self.intervals)

    def read(self, prefix: Prefix, level: float) -> list[Check]:
        """Every rule, held against what is known so far."""
        rules = self.config.gate.given() if self.config.gate is not None else {}
        return [check for rule, line in rules.items() for check in self._read(rule, line, prefix, level)]

    def _read(self, rule: schemas.Rule, line: float, prefix: Prefix, level: float) -> list[Check]:
        if rule == "min_accuracy":
            return [_accuracy(line, prefix.reference, level)]
        if not prefix.reference.scored:
            return [Check(rule, line, None, why=prefix.reference.refusal() or "")]
        if rule == "min_layer_score":
            parts = [prefix.tally.group(index) for index in range(len(prefix.tally.trials))]
            pairs = zip(self.sites, parts, strict=True)
            return [self._score(rule, line, prefix, part, level, site) for site, part in pairs]
        if rule == "min_score":
            return [self._score(rule, line, prefix, prefix.tally, level)]
        return [self._difference(rule, line, prefix, level)]

    def _score(
        self,
        rule: schemas.Rule,
        line: float,
        prefix: Prefix,
        tally: scoring.Tally,
        level: float,
        site: str | None = None,
    ) -> Check:
        found = scoring.live(tally, estimator=self.config.estimator, reference=prefix.reference, confidence=level)
        return Check(rule, line, found, narrows=True, site=site, why="There are too few trials.")

    def _difference(self, rule: schemas.Rule, line: float, prefix: Prefix, level: float) -> Check:
        role: Role = "baseline" if rule == "max_drop" else "training"
        rival = self.rivals[role]
        found = self.difference(role, prefix, level)
        estimate = None if found is None else found.estimate
        if estimate is not None and role == "training":
            estimate = gate.turned(estimate)
        theirs = len(rival.arm.chunks) * (1 if self._paired(role) else ENOUGH)
        why = f"{rival.side.id}, the {role}, has too few trials; evaluate it with a smaller `precision`."
        return Check(rule, line, estimate, narrows=len(prefix.chunks) < theirs, why=why)

    def _paired(self, role: Role) -> bool:
        """Were both shown the same examples at the same fractions?"""
        return role == "baseline" and self.rivals[role].side.result.provenance.seed == self.config.seed

    def difference(self, role: Role, prefix: Prefix, level: float) -> scoring.Difference | None:
        """This score minus the rival's; None while a side has too few trials, or has no score."""
        return scoring.difference(
            prefix.arm,
            self.rivals[role].arm,
            estimator=self.config.estimator,
            confidence=level,
            same_draws=self._paired(role),
        )

    def against(self, role: Role, prefix: Prefix) -> schemas.Against | None:
        """What the result tells of a rival; None where the config names none."""
        if role not in self.rivals:
            return None
        its = self.rivals[role].side.result
        assert its.score is not None, "a rival has a score"
        found = self.difference(role, prefix, self.config.confidence)
        return schemas.Against(
            id=self.rivals[role].side.id,
            model=its.provenance.model,
            dataset=its.provenance.dataset,
            split=its.split,
            score=its.score,
            difference=None if found is None else schemas.Estimate(**asdict(found.estimate)),
            paired=found is not None and found.paired,
            trials=0 if found is None else found.trials,
        )

    def result(self, prefix: Prefix, looks: int) -> schemas.GateResult | None:
        """The verdict, with each check; None without a gate."""
        if self.config.gate is None:
            return None
        level = self.level(looks)
        found = self.read(prefix, level)
        order = ("fail", "inconclusive", "pass")
        checks = [_told(check) for check in found]
        return schemas.GateResult(
            verdict=gate.verdict(found),
            reasons=[check.reason for check in sorted(checks, key=lambda check: order.index(check.verdict))],
            checks=checks,
            policy=self.config.gate.policy,
            confidence=self.config.confidence,
            looks=looks,
            level=scoring.rounded(level),
        )


def _accuracy(line: float, reference: scoring.Reference, level: float) -> Check:
    """A(0) is counted, not drawn: its interval is that of the dataset as a sample, and no trial narrows it."""
    metric = reference.metric
    if not metric.share or metric.name == "agreement":
        why = f"The metric {metric.name} has no accuracy; evaluate a dataset with labels."
        return Check("min_accuracy", line, None, why=why)
    whole = reference.intact.of is None
    return Check("min_accuracy", line, scoring.sample(reference, level), why="" if whole else "; say `intact` `whole`")


def _told(check: Check) -> schemas.Check:
    measured = None if check.measured is None else schemas.Estimate(**asdict(check.measured))
    return schemas.Check(
        rule=check.rule,
        line=check.line,
        site=check.site,
        measured=measured,
        verdict=check.verdict,
        reason=_reason(check),
    )


WHAT = {
    "min_score": ("The score", "at least"),
    "min_accuracy": ("The intact accuracy", "at least"),
    "min_layer_score": ("The score of", "at least"),
    "max_drop": ("The difference to the baseline", "no drop by more than"),
    "max_gap": ("The gap to the training score", "no more than"),
}


def _reason(check: Check) -> str:
    """A sentence."""
    what, wanted = WHAT[check.rule]
    name = f"{what} {check.site}" if check.site is not None else what
    if check.measured is None:
        return f"{name} is not known. {check.why}".strip()
    shown = f"{name}, {check.measured.value:.3f} [{check.measured.low:.3f}, {check.measured.high:.3f}],"
    match check.verdict:
        case "pass":
            return f"{shown} is {wanted} {check.line:g}."
        case "fail":
            return f"{shown} is not {wanted} {check.line:g}."
    if check.rule == "min_accuracy":
        return f"{shown} may lie on either side of {check.line:g}: only more examples can tell{check.why}."
    more = "raise `limits.trials`" if check.narrows else "evaluate what it is compared with with a smaller `precision`"
    return f"{shown} may lie on either side of the line, {wanted} {check.line:g}: {more}."
