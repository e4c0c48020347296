"""The words of the API and of a stored result, as pydantic schemas; what they mean is in the field descriptions."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", examples=["sha256:" + "9f" * 32])]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Strict(BaseModel):
    """What callers send: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Strict):
    """What an evaluation may use."""

    trials: int = Field(200_000, ge=512, le=100_000_000, description="Most trials of `adaptive`.")
    seconds: float = Field(86_400, gt=0, le=604_800, description="Most seconds from start to end.")
    workers: int = Field(1, ge=1, le=64, description="How many workers may share the evaluation.")


# What `Config._agrees` checks, as JSON schema, so that callers' tools know it as well.
AGREES: dict[str, Any] = {
    "allOf": [
        {
            "if": {"properties": {"scope": {"const": "layer"}}, "required": ["scope"]},
            "else": {"properties": {"site": {"type": "null"}}},
        },
        {
            "if": {"properties": {"estimator": {"const": "grid"}}, "required": ["estimator"]},
            "then": {"properties": {"precision": {"type": "null"}}},
            "else": {"properties": {"orderings": {"type": "null"}, "fractions": {"type": "null"}}},
        },
    ]
}


class Config(Strict):
    """How to score. Everything is optional."""

    model_config = ConfigDict(json_schema_extra=AGREES)

    scope: Literal["network", "layer", "paper"] = Field(
        "network",
        description="`network`: all sites at once, each by the same fraction; `layer`: one site at a time, the one "
        "named by `site` or each in turn; `paper`: the last three convolutional sites at once.",
    )
    site: str | None = Field(None, max_length=512, description="With scope `layer`: the one site to ablate.")
    estimator: Literal["adaptive", "grid"] = Field(
        "adaptive",
        description="`adaptive` draws trials until the score's interval is `precision` narrow; `grid` runs "
        "`orderings` x `fractions` x the whole dataset, the protocol of the paper.",
    )
    precision: float | None = Field(
        None, ge=0.0005, le=0.5, description="`adaptive` only: half the width of the score's interval. Default 0.01."
    )
    orderings: int | None = Field(None, ge=2, le=10_000, description="`grid` only. Default 10.")
    fractions: int | None = Field(None, ge=2, le=1_001, description="`grid` only: points on [0, 1]. Default 21.")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="Of every interval.")
    clamp: Literal["zero", "mean"] = Field(
        "zero", description="What an ablated unit is set to: zero, or its mean over the dataset."
    )
    metric: Literal["accuracy"] = Field("accuracy", description="What is measured at each fraction.")
    seed: int = Field(0, ge=0, le=2**53 - 1, description="Of every random draw; it travels with the result.")
    split: str | None = Field(None, max_length=64, description="What the dataset is, such as train or test; recorded.")
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Refuse contradictions, and write out the defaults that depend on the estimator."""
        adaptive = self.estimator == "adaptive"
        if self.site is not None and self.scope != "layer":
            raise ValueError(f"`site` needs scope `layer`; the scope is `{self.scope}`")
        if adaptive and (self.orderings is not None or self.fractions is not None):
            raise ValueError("`orderings` and `fractions` belong to the estimator `grid`; leave them out or set it")
        if not adaptive and self.precision is not None:
            raise ValueError("`precision` belongs to the estimator `adaptive`; `grid` takes orderings and fractions")
        defaults = {"precision": 0.01} if adaptive else {"orderings": 10, "fractions": 21}
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        return self

    def identity(self) -> dict[str, Any]:
        """What of the config determines the result: all but how many workers share it and how long it may take."""
        return self.model_dump(mode="json", exclude={"limits": {"workers", "seconds"}})


class NewEvaluation(Strict):
    """An evaluation of artifacts that were uploaded before."""

    model: Digest
    dataset: Digest
    config: Config = Config()


class Estimate(BaseModel):
    """A number and its confidence interval."""

    value: float
    low: float
    high: float


class CurvePoint(BaseModel):
    """A(f) at one fraction."""

    fraction: float
    value: float
    low: float
    high: float
    trials: int


class Layer(BaseModel):
    """One site's own score; only with scope `layer`."""

    site: str
    units: int
    auc: Estimate
    score: Estimate | None


class Site(BaseModel):
    """A place in the network whose activations were ablated."""

    site: str
    op: str
    units: int
    convolutional: bool


class Cost(BaseModel):
    """What the result cost."""

    passes: int = Field(description="Ablated forward passes: one for each trial.")
    intact_passes: int = Field(description="Forward passes of the intact network.")
    seconds: float | None = Field(description="From start to end; the one field a rerun changes.")
    device: str


class Provenance(BaseModel):
    """Which bytes, which config and which software made the result."""

    model: Digest
    dataset: Digest
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]


class Result(BaseModel):
    """What an evaluation found.

    The intervals of score, auc and half-life speak of this dataset; intact's, of what the dataset was drawn from.
    """

    score: Estimate | None = Field(description="(auc - chance) / (A(0) - chance); null when refused.")
    score_refused: str | None = Field(description="Why there is no score, if there is none.")
    auc: Estimate | None
    intact: Estimate = Field(description="A(0), measured on every example.")
    chance: float = Field(description="Accuracy of the best constant answer.")
    half_life: Estimate | None = Field(description="Smallest fraction at which half of A(0) - chance is lost.")
    metric: str
    split: str | None
    scope: str
    clamp: str
    estimator: str
    curve: list[CurvePoint]
    layers: list[Layer]
    sites: list[Site]
    warnings: list[str]
    gate: None = None
    cost: Cost
    provenance: Provenance


class Progress(BaseModel):
    """How far a running evaluation is."""

    trials: int = 0
    score: Estimate | None = Field(None, description="The live interval; it closes as trials come in.")
    intact: float | None = None
    share: float = Field(0.0, description="Estimated share of the work done, 0 to 1.")


class ProblemBody(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str


class Links(BaseModel):
    """Where to go from here."""

    self: str
    events: str
    curve: dict[str, str]


class Evaluation(BaseModel):
    """One run: model x dataset x config -> result."""

    id: str
    state: State
    model: Digest
    dataset: Digest
    config: Config
    created_at: str
    started_at: str | None
    ended_at: str | None
    progress: Progress
    result: Result | None
    result_digest: str | None = Field(description="sha256 of the result as canonical JSON, without cost.seconds.")
    problem: ProblemBody | None = Field(description="Why the evaluation failed, if it did.")
    links: Links


class Evaluations(BaseModel):
    """A page of evaluations, newest first."""

    data: list[Evaluation]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class Artifact(BaseModel):
    """An uploaded model or dataset, named by the sha256 of its bytes."""

    id: Digest
    kind: Literal["model", "dataset"]
    size: int = Field(description="Bytes.")
    state: Literal["received", "ready", "refused"] = Field(description="`received`: not inspected yet.")
    created_at: str
    found: dict[str, Any] | None = Field(description="What was found in it.")
    problem: ProblemBody | None = None


class Artifacts(BaseModel):
    """A page of artifacts, newest first."""

    data: list[Artifact]
    next_cursor: str | None


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """sha256 of a text, as artifacts are named."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
