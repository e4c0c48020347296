"""Where a score stands among networks of its kind, if there are any that it can be held against."""

from pydantic import BaseModel, Field

from service.schemas.words import Estimate


class Standing(BaseModel):
    """A score among the networks that Lesion comes with, or why it cannot be set among them."""

    sentence: str = Field(description="What is to be said, in a sentence.")
    population: str | None = Field(description="Whom it was held against; null where no kind fits.")
    networks: int | None = Field(None, description="How many there are.")
    higher_than: Estimate | None = Field(
        None, description="The share of them whose score is lower; its interval is that of the score."
    )
    reasons: list[str] = Field([], description="Where no kind fits: what is different, of the kind that fits best.")
