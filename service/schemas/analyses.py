"""What the analyses of an evaluation found of its units: a summary in the result, and a row for each unit beside it."""

from typing import Literal

from pydantic import BaseModel, Field

from service.schemas.points import CurvePoint
from service.schemas.words import Digest, Estimate


class ClassLost(BaseModel):
    """What one class loses with a unit."""

    label: int = Field(description="The class, counted from 0.")
    accuracy_lost: Estimate


class UnitImportance(BaseModel):
    """What is lost when a unit alone is ablated; below 0, something is won."""

    rank: int = Field(description="1 is the unit that adds most cross-entropy.")
    examples: int = Field(description="Examples that it was measured on.")
    accuracy_lost: Estimate = Field(description="Intact accuracy less that without the unit.")
    cross_entropy_added: Estimate = Field(description="In nats; what units are ranked by.")
    classes: list[ClassLost] = Field(description="Classes whose accuracy changes most, ten at most; others do not.")


class Unit(BaseModel):
    """One unit, as far as analyses looked at it."""

    site: str
    unit: int = Field(description="Its place in the site, from 0.")
    mean: float | None = Field(None, description="Of its activation over the examples (and space).")
    std: float | None = Field(None, description="Of its mean activation over the examples.")
    fires: float | None = Field(None, description="Share of examples on which it is above zero anywhere.")
    dead: bool | None = Field(None, description="Never anything but zero.")
    selectivity: float | None = Field(None, description="Class selectivity index, 0 to 1; null if it never fires.")
    driver: int | None = Field(None, description="The class that drives it most.")
    information: float | None = Field(None, description="Bits that its activation tells of the class.")
    informative: bool | None = Field(
        None, description="Is the association too strong for chance, all units being looked at?"
    )
    importance: UnitImportance | None = None


class Units(BaseModel):
    """A page of units, in the order of the network."""

    data: list[Unit]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class Tuned(BaseModel):
    """How the units of one site are tuned."""

    site: str
    units: int
    dead: int
    informative: int
    fires: float = Field(description="Mean share of examples on which a unit fires.")
    selectivity: float | None = Field(description="Median over the units that fire.")
    information: float | None = Field(description="Median, in bits.")


class Importance(BaseModel):
    """What the most important units are."""

    examples: int = Field(description="Examples that the units met, at most; each unit says how many it met.")
    top: list[Unit] = Field(description="The most important units: `top` of them, else ten.")
    certain: bool | None = Field(description="Of `top`: is it certain that they are the ones? Null without `top`.")


class Correlation(BaseModel):
    """How a property of units goes together with their importance, the cross-entropy that is added without them."""

    property: Literal["selectivity", "information"]
    site: str | None = Field(description="Null: all sites together, ranks taken within each.")
    units: int
    spearman: Estimate | None = Field(description="Null where there are too few units, or nothing varies.")
    kendall: Estimate | None


class Relation(BaseModel):
    """Do selective units matter more?"""

    finding: str = Field(description="What was found on this model, in a sentence.")
    overall: list[Correlation]
    layers: list[Correlation]


Order = Literal["random", "most_selective", "least_selective", "largest", "most_important"]


class OrderCurve(BaseModel):
    """Accuracy as units are lost in one order, in all sites in scope at once, the same fraction in each.

    The fraction is of the units that ever fire; dead ones are lost in no order.
    """

    order: Order = Field(description="`largest`: of the largest mean activation, sign aside.")
    area: Estimate = Field(description="Under the curve.")
    less_than_random: Estimate | None = Field(
        description="By how much the area of random orders is larger, on the same examples."
    )
    curve: list[CurvePoint]


class Targeted(BaseModel):
    """Does it matter in which order units are lost?"""

    examples: int
    finding: str = Field(description="What was found on this model, in a sentence.")
    orders: list[OrderCurve]


class ClassCurve(BaseModel):
    """One class's own curve, in random orders."""

    label: int
    examples: int
    half_life: float | None = Field(description="Smallest fraction at which half of its intact accuracy is lost.")
    area: Estimate
    values: list[float] = Field(description="Its accuracy at each of `fractions`.")


class Classes(BaseModel):
    """Which classes break first."""

    examples: int
    classes: int = Field(description="How many have examples; those beyond a hundred are left out below.")
    fractions: list[float]
    curves: list[ClassCurve] = Field(description="Those that break first come first.")


class NoisePoint(BaseModel):
    """Accuracy with noise of so many of each unit's standard deviations."""

    deviations: float
    value: float
    low: float
    high: float


class Noise(BaseModel):
    """What noise added to all units in scope at once does: a random direction for each trial, and ever more of it."""

    examples: int
    area: Estimate = Field(description="Mean accuracy from no noise to the most.")
    curve: list[NoisePoint]


class UnitTable(BaseModel):
    """The table with a row for each unit, which lies beside the result: GET /v1/evaluations/{id}/units."""

    units: int
    digest: Digest = Field(description="sha256 of units.jsonl, so that the result's signature covers the table.")


class Analyses(BaseModel):
    """What was found of single units."""

    selectivity: list[Tuned] | None = None
    importance: Importance | None = None
    relation: Relation | None = None
    targeted: Targeted | None = None
    classes: Classes | None = None
    noise: Noise | None = None
    units: UnitTable
    passes: int = Field(description="Ablated passes that the analyses took; part of `cost.passes`.")
