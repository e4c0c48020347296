"""What callers ask for: how to score."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.schemas.gate import EvaluationId, Gate
from service.schemas.preprocessing import Preprocessing
from service.schemas.words import Digest, Strict

Metric = Literal["accuracy", "top_k", "balanced_accuracy", "cross_entropy", "r2", "agreement"]
Name = Annotated[str, Field(min_length=1, max_length=512)]
TOP = 5  # `k` of `top_k`, where none is given
# What no config had at first: left out of its identity while unset, so that no older identity changes.
LATER = (
    *("k", "output", "sites", "labels", "weights", "inputs", "preprocessing", "analyses", "top", "passes"),
    *("baseline", "training", "gate", "intact"),
)
WITHOUT_ACCURACY = ("cross_entropy", "r2", "agreement")
Analysis = Literal["selectivity", "importance", "relation", "targeted", "classes", "noise"]
# What an analysis is made of, in the order in which analyses are listed.
NEEDS: dict[Analysis, tuple[Analysis, ...]] = {
    "selectivity": (),
    "importance": (),
    "relation": ("selectivity", "importance"),
    "targeted": ("selectivity", "importance"),
    "classes": (),
    "noise": ("selectivity",),
}
SPENDING: list[Analysis] = [name for name in NEEDS if name != "selectivity"]  # those that ablate
RANKING: list[Analysis] = [name for name in NEEDS if name == "importance" or "importance" in NEEDS[name]]


class Limits(Strict):
    """What an evaluation may use."""

    trials: int = Field(200_000, ge=512, le=100_000_000, description="Most trials of `adaptive`.")
    seconds: float = Field(86_400, gt=0, le=604_800, description="Most seconds from start to end.")
    workers: int = Field(1, ge=1, le=64, description="How many workers may share the evaluation.")


# What `Config._agrees` checks, as JSON schema, so that callers' tools know it as well. What the rules of a gate need
# (`Config._gated`) is left out: tools that make requests up give up on so many conditions.
AGREES: dict[str, Any] = {
    "allOf": [
        {
            "if": {"properties": {"scope": {"const": "layer"}}, "required": ["scope"]},
            "else": {"properties": {"site": {"type": "null"}}},
        },
        {
            "if": {"properties": {"site": {"type": "string"}}, "required": ["site"]},
            "then": {"properties": {"sites": {"type": "null"}}},
        },
        {
            "if": {"properties": {"metric": {"const": "top_k"}}, "required": ["metric"]},
            "else": {"properties": {"k": {"type": "null"}}},
        },
        {
            "if": {"properties": {"metric": {"const": "agreement"}}, "required": ["metric"]},
            "then": {"properties": {"labels": {"type": "null"}}},
        },
        {
            "if": {"properties": {"estimator": {"const": "grid"}}, "required": ["estimator"]},
            "then": {"properties": {"precision": {"type": "null"}, "intact": {"type": "null"}}},
            "else": {"properties": {"orderings": {"type": "null"}, "fractions": {"type": "null"}}},
        },
        {  # `top` of what does not rank is refused as well; one condition more and tools give the schema up
            "if": {
                "properties": {"analyses": {"type": "array", "contains": {"enum": SPENDING}}},
                "required": ["analyses"],
            },
            "else": {"properties": {"top": {"type": "null"}, "passes": {"type": "null"}}},
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
    sites: Annotated[list[Name], Field(min_length=1, max_length=256)] | None = Field(
        None,
        description="With any scope: only these sites, by name or pattern (`*`, `?`, `[abc]`), such as `layer4*`. "
        "A pattern that matches no site is refused.",
    )
    estimator: Literal["adaptive", "grid"] = Field(
        "adaptive",
        description="`adaptive` draws trials until the score's interval is `precision` narrow; `grid` runs "
        "`orderings` x `fractions` x the whole dataset, the protocol of the paper.",
    )
    precision: float | None = Field(
        None,
        ge=0.0005,
        le=0.5,
        description="`adaptive` only: half the width of the score's interval. Default 0.01; with a gate none, which "
        "ends the evaluation once the verdict is certain.",
    )
    orderings: int | None = Field(None, ge=2, le=10_000, description="`grid` only. Default 10.")
    fractions: int | None = Field(None, ge=2, le=1_001, description="`grid` only: points on [0, 1]. Default 21.")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="Of every interval.")
    intact: Literal["enough", "whole"] | None = Field(
        None,
        description="`adaptive` only: which examples A(0) is counted on. `enough`, the default: as many random ones as "
        "`precision` and `confidence` need, so that the cost does not grow with the dataset; what that leaves open is "
        "in the score's interval. `whole`: all of them, as is done anyhow where they are few or the metric is "
        "`agreement`.",
    )
    clamp: Literal["zero", "mean"] = Field(
        "zero", description="What an ablated unit is set to: zero, or its mean over the dataset."
    )
    metric: Metric | None = Field(
        None,
        description="What is measured at each fraction. `accuracy`; `top_k`: the label is among the `k` likeliest; "
        "`balanced_accuracy`: the mean over classes of each one's accuracy; `cross_entropy`: in nats, of outputs "
        "clipped at a probability of 1e-12, less is better; `r2`: of regression, labels and outputs being values; "
        "`agreement` with the intact model's own answers, which needs no labels. Default: `accuracy` where the dataset "
        "has labels, else `agreement`.",
    )
    k: int | None = Field(None, ge=1, le=1_000_000, description=f"`top_k` only. Default {TOP}.")
    output: Name | None = Field(None, description="Name of the model's output to score. Default: its class output.")
    inputs: dict[Name, Name] | None = Field(
        None,
        max_length=64,
        description="Which array or column of the dataset each of the model's inputs takes, such as "
        '{"input_ids": "ids"}. Default: by name, then by shape and type.',
    )
    labels: Name | None = Field(None, description="Name of the dataset's array or column of labels. Default: found.")
    weights: Name | None = Field(
        None, description="Name of an array or column with a weight, 0 or more, for each example. Default: all equal."
    )
    split: str | None = Field(
        None,
        max_length=64,
        description="The part of the dataset to use, where it has named parts; recorded in any case, such as test.",
    )
    preprocessing: Preprocessing | None = Field(
        None, description="What is done to the examples before the model sees them. Default: nothing."
    )
    analyses: Annotated[list[Analysis], Field(min_length=1, max_length=16)] | None = Field(
        None,
        description="What to find out about each unit, beside the score. `selectivity`: how it is tuned to the "
        "classes; `importance`: what is lost when it alone is ablated; `relation`: whether the two go together; "
        "`targeted`: the curve when units are lost in chosen orders; both need the first two, and bring them along. "
        "`classes`: the curve of each class, and which break first; `noise`: the curve as noise is added to all units, "
        "in units of each one's own standard deviation.",
    )
    top: int | None = Field(
        None, ge=1, le=10_000, description="`importance` stops once the so many most important units are certain."
    )
    passes: int | None = Field(
        None,
        ge=1_000,
        le=1_000_000_000,
        description="Most passes, about, of each analysis that ablates. Default 200,000.",
    )
    seed: int = Field(0, ge=0, le=2**53 - 1, description="Of every random draw; it travels with the result.")
    limits: Limits = Limits()
    baseline: EvaluationId | None = Field(
        None,
        description="Id of an evaluation of another model on the same dataset: the result tells the difference of the "
        "scores, paired where both have one seed.",
    )
    training: EvaluationId | None = Field(
        None,
        description="Id of an evaluation of the same model on the split or dataset it was trained on: the result tells "
        "how far the scores lie apart.",
    )
    gate: Gate | None = Field(None, description="Rules that give the result a verdict.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Refuse contradictions, and write out the defaults that depend on the estimator and the metric."""
        adaptive = self.estimator == "adaptive"
        if self.site is not None and self.scope != "layer":
            raise ValueError(f"`site` needs scope `layer`; the scope is `{self.scope}`")
        if self.site is not None and self.sites is not None:
            raise ValueError("`site` and `sites` both choose sites; give one of them")
        if adaptive and (self.orderings is not None or self.fractions is not None):
            raise ValueError("`orderings` and `fractions` belong to the estimator `grid`; leave them out or set it")
        if not adaptive and self.intact is not None:
            raise ValueError("`intact` belongs to the estimator `adaptive`; `grid` always takes the whole dataset")
        if not adaptive and self.precision is not None:
            raise ValueError("`precision` belongs to the estimator `adaptive`; `grid` takes orderings and fractions")
        if self.k is not None and self.metric != "top_k":
            raise ValueError("`k` belongs to the metric `top_k`; leave it out or set the metric")
        if self.labels is not None and self.metric == "agreement":
            raise ValueError("`agreement` reads no labels; leave `labels` out or ask for another metric")
        if self.top is not None and not set(self.analyses or []) & set(RANKING):
            raise ValueError("`top` belongs to the analysis `importance`; leave it out or ask for that")
        if self.passes is not None and not set(self.analyses or []) & set(SPENDING):
            raise ValueError("`passes` belongs to analyses that ablate; leave it out or ask for one of those")
        if self.analyses is not None:
            asked = {*self.analyses, *(needed for name in self.analyses for needed in NEEDS[name])}
            object.__setattr__(self, "analyses", [name for name in NEEDS if name in asked])
        self._gated()
        defaults: dict[str, float] = {"orderings": 10, "fractions": 21}
        if adaptive:
            defaults = {"precision": 0.01} if self.gate is None else {}
        if self.metric == "top_k":
            defaults["k"] = TOP
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        return self

    def _gated(self) -> None:
        """Refuse a gate that the rest of the config gives nothing to hold against."""
        rules = self.gate.given() if self.gate is not None else {}
        if "max_drop" in rules and self.baseline is None:
            raise ValueError("the rule `max_drop` needs `baseline`, the id of the evaluation to compare with")
        if "max_gap" in rules and self.training is None:
            raise ValueError("the rule `max_gap` needs `training`, the id of an evaluation on the training split")
        if "min_accuracy" in rules and self.metric in WITHOUT_ACCURACY:
            raise ValueError(f"the rule `min_accuracy` has no meaning for the metric `{self.metric}`")
        if "min_layer_score" in rules and (self.scope != "layer" or self.site is not None):
            raise ValueError("the rule `min_layer_score` needs scope `layer` and no `site`: every site by itself")

    def identity(self) -> dict[str, Any]:
        """What of the config determines the result: all but how many workers share it and how long it may take.

        Fields that came later than others are left out while they are unset. Which metric an unset one became, the
        result says.
        """
        told = self.model_dump(mode="json", exclude={"limits": {"workers", "seconds"}})
        if self.gate is not None:
            told["gate"] = self.gate.model_dump(mode="json", exclude_none=True)
        return {name: value for name, value in told.items() if name not in LATER or value is not None}


class NewEvaluation(Strict):
    """An evaluation of artifacts that were uploaded before."""

    model: Digest
    dataset: Digest
    config: Config = Config()
