"""What an evaluation found, and how far a running one is."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from service.schemas.analyses import Analyses
from service.schemas.gate import GateResult
from service.schemas.points import CurvePoint
from service.schemas.words import Digest, Estimate


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


class Measured(BaseModel):
    """What the metric was, so that its figures can be read."""

    name: str
    k: int | None = Field(None, description="Of `top_k`.")
    unit: str | None = Field(None, description="`nats`, or null for a share or a plain number.")
    rising: bool = Field(False, description="Larger is worse: the curve rises as units are lost.")
    kind: str = Field("classes", description="What an output is: `classes`, `binary`, `tokens` or `values`.")
    weights: str | None = Field(None, description="The array or column of sample weights, if any.")
    labelled: int | None = Field(
        None, description="How many labels were used; of tokens, more than there are examples."
    )


class Against(BaseModel):
    """Another evaluation that this one was held against: the config's `baseline` or `training`."""

    id: str
    model: Digest
    dataset: Digest
    split: str | None
    score: Estimate
    difference: Estimate | None = Field(
        description="This score minus that one, with its interval; null where a side has too few trials."
    )
    paired: bool = Field(description="Were both shown the same examples at the same fractions?")
    trials: int = Field(description="Trials of each side that the difference rests on.")


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
    converted: dict[str, Any] | None = Field(
        None,
        description="Of a model that was converted to ONNX: `model`, the sha256 of what came out, from what, and how "
        "far its outputs lie from the original's on the dataset's first examples.",
    )


class Result(BaseModel):
    """What an evaluation found.

    The intervals of score, auc and half-life speak of this dataset; intact's, of what the dataset was drawn from.
    """

    score: Estimate | None = Field(description="(auc - chance) / (A(0) - chance); null when refused.")
    score_refused: str | None = Field(description="Why there is no score, if there is none.")
    auc: Estimate | None
    intact: Estimate = Field(description="A(0), of the whole network. Look here first: is it what you expect?")
    intact_examples: int | None = Field(
        None, description="How many random examples A(0) was counted on (the config's `intact`); null: on all of them."
    )
    chance: float = Field(description="The metric's value for the best constant answer.")
    half_life: Estimate | None = Field(description="Smallest fraction at which half of A(0) - chance is lost.")
    metric: str
    measured: Measured | None = Field(None, description="More about the metric.")
    output: str | None = Field(None, description="The model's output that was scored.")
    preprocessing: dict[str, Any] | None = Field(None, description="What was done to the examples; null: nothing.")
    split: str | None
    scope: str
    clamp: str
    estimator: Literal["adaptive", "grid"]
    curve: list[CurvePoint]
    layers: list[Layer]
    sites: list[Site]
    analyses: Analyses | None = Field(None, description="What was found of single units, if that was asked for.")
    warnings: list[str]
    baseline: Against | None = Field(None, description="The config's `baseline`, if it has one.")
    training: Against | None = Field(None, description="The config's `training`, if it has one.")
    gate: GateResult | None = Field(None, description="The verdict, if the config has a gate.")
    cost: Cost
    provenance: Provenance


class Progress(BaseModel):
    """How far a running evaluation is."""

    trials: int = 0
    score: Estimate | None = Field(None, description="The live interval; it closes as trials come in.")
    intact: float | None = None
    share: float = Field(0.0, description="Estimated share of the work done, 0 to 1.")
