"""Two evaluations held against each other: what callers ask, and what they get."""

from pydantic import BaseModel, Field

from service.schemas.gate import Verdict
from service.schemas.words import Digest, Estimate, Strict


class ComparedWith(Strict):
    """What to compare an evaluation with, and how."""

    baseline: str = Field(min_length=1, max_length=64, description="Id of the evaluation to compare with.")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="Of the difference's interval.")
    memorisation: bool = Field(
        False,
        description="Both are of one model, the baseline on examples that it never saw, the candidate on those it was "
        "trained on; split and dataset may differ. The interval speaks of just these examples.",
    )
    max_drop: float | None = Field(
        None,
        ge=0,
        le=10,
        description="Asks for a verdict: may the candidate's score be lower than the baseline's by so much?",
    )


class NewComparison(ComparedWith):
    """Which evaluations to compare. Both have succeeded, on the same dataset, in the same scope."""

    candidate: str = Field(min_length=1, max_length=64, description="Id of the evaluation that is judged.")


class Side(BaseModel):
    """One of the two evaluations."""

    id: str
    model: Digest
    score: Estimate
    intact: Estimate


class Comparison(BaseModel):
    """The candidate's score minus the baseline's."""

    baseline: Side
    candidate: Side
    difference: Estimate = Field(description="Candidate minus baseline: below 0, the candidate is less robust.")
    confidence: float
    paired: bool = Field(
        description="Were both shown the same examples at the same fractions? Then the interval is narrower."
    )
    trials: int = Field(description="Trials of each side that the difference rests on.")
    summary: str = Field(description="What the difference says, in a sentence.")
    verdict: Verdict | None = Field(
        description="Of `max_drop`: `pass` or `fail` once the whole interval lies on one side of the line, else "
        "`inconclusive`; null unless it was asked for."
    )
    reasons: list[str] = Field(description="What the verdict rests on.")
