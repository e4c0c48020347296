"""Gates: the rules that callers set, the policies they keep them in, and the verdict with what it rests on."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.schemas.words import Digest, Estimate, Strict

Verdict = Literal["pass", "fail", "inconclusive"]
Rule = Literal["min_score", "min_accuracy", "min_layer_score", "max_drop", "max_gap"]
RULES: tuple[Rule, ...] = ("min_score", "min_accuracy", "min_layer_score", "max_drop", "max_gap")
NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
PolicyName = Annotated[
    str,
    Field(pattern=f"^{NAME}$", description="Lower-case letters, digits, `.`, `_` and `-`.", examples=["production"]),
]
Reference = Annotated[str, Field(pattern=f"^{NAME}(@[1-9][0-9]{{0,8}})?$", examples=["production", "production@3"])]
Number = Annotated[float, Field(strict=True)]  # `false` is no line that anybody meant to draw
EvaluationId = Annotated[str, Field(pattern=r"^ev_[0-9a-z]{1,60}$")]

# What `Rules._some` and `Gate._some` check, as JSON schema.
_SOME: Any = [{"required": [rule], "properties": {rule: {"type": "number"}}} for rule in RULES]
_NAMED: dict[str, Any] = {"required": ["policy"], "properties": {"policy": {"type": "string"}}}


class Rules(Strict):
    """What a model must fulfil; every rule that is given must hold."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _SOME})

    min_score: Number | None = Field(None, ge=-10, le=1, description="Least score.")
    min_accuracy: Number | None = Field(
        None, ge=0, le=1, description="Least A(0), for the metrics `accuracy`, `balanced_accuracy` and `top_k`."
    )
    min_layer_score: Number | None = Field(
        None, ge=-10, le=1, description="Least score of each site; with scope `layer`, all sites."
    )
    max_drop: Number | None = Field(
        None, ge=0, le=10, description="By how much the score may be lower than that of the config's `baseline`."
    )
    max_gap: Number | None = Field(
        None, ge=0, le=10, description="How far the score may lie from that of the config's `training`, either way."
    )

    def given(self) -> dict[Rule, float]:
        """The rules that are set, in the order of `RULES`."""
        return {rule: line for rule in RULES if (line := getattr(self, rule)) is not None}

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.given() and getattr(self, "policy", None) is None:
            raise ValueError(f"a gate without a rule would pass everything; give one of {', '.join(RULES)}")
        return self


class Gate(Rules):
    """The rules of an evaluation: its own, or those of a policy."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [*_SOME, _NAMED]})

    policy: Reference | None = Field(
        None,
        description="Name of a policy of /v1/policies, whose newest version is taken, or NAME@VERSION. The evaluation "
        "keeps which version it was, and its rules. Rules beside it are added to them.",
    )


class Check(BaseModel):
    """One rule held against what was measured."""

    rule: Rule
    line: float = Field(description="Where the rule draws the line.")
    site: str | None = Field(None, description="Of `min_layer_score`.")
    measured: Estimate | None = Field(
        description="What was held against the line, with the interval the verdict reads; `max_drop`: this score minus "
        "the baseline's; `max_gap`: the training score minus this one."
    )
    verdict: Verdict
    reason: str


class GateResult(BaseModel):
    """The verdict of a gate. Whatever is not certain is no `pass`."""

    verdict: Verdict
    reasons: list[str] = Field(description="A sentence a check, those that decided first.")
    checks: list[Check]
    policy: str | None = Field(None, description="NAME@VERSION, if the rules are a policy's.")
    confidence: float = Field(description="That the verdict, if it is `pass` or `fail`, is right.")
    looks: int = Field(description="How often the verdict may be read before the budget is spent.")
    level: float = Field(description="Confidence of each check's interval, so that all of them hold together.")


class NewPolicy(Strict):
    """A policy that is wanted, or a new version of one."""

    name: PolicyName
    rules: Rules
    note: str = Field("", max_length=1_000, description="Why; for whoever reads it later.")


class Policy(BaseModel):
    """One version of a policy. Versions never change."""

    id: str = Field(description="NAME@VERSION, to pin it.")
    name: str
    version: int
    rules: Rules
    digest: Digest = Field(description="sha256 of the rules as canonical JSON.")
    note: str
    created_at: str


class Policies(BaseModel):
    """A page of policies by name, each in its newest version."""

    data: list[Policy]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")
