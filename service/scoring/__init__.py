"""What a score is: tally -> curve -> auc -> score, each with its interval. Pure arithmetic, no network, no store."""

from service.scoring.comparison import Arm, Difference, difference
from service.scoring.curve import Point
from service.scoring.interval import Estimate, Estimator, auc, enough, least_chunks, student, wilson
from service.scoring.reference import (
    LEAST_MARGIN,
    METRICS,
    PROBABILITY_FLOOR,
    Intact,
    Metric,
    Reference,
    stored_reference,
)
from service.scoring.score import Group, Summary, live, rounded, sample, summarise
from service.scoring.tally import Payload, Tally, count

__all__ = [
    "LEAST_MARGIN",
    "METRICS",
    "PROBABILITY_FLOOR",
    "Arm",
    "Difference",
    "Estimate",
    "Estimator",
    "Group",
    "Intact",
    "Metric",
    "Payload",
    "Point",
    "Reference",
    "Summary",
    "Tally",
    "auc",
    "count",
    "difference",
    "enough",
    "least_chunks",
    "live",
    "rounded",
    "sample",
    "stored_reference",
    "student",
    "summarise",
    "wilson",
]
