"""What a score is: tally -> curve -> auc -> score, each with its interval. Pure arithmetic, no network, no store."""

from service.scoring.curve import Point
from service.scoring.interval import LEAST_MARGIN, Estimate, Estimator, auc, enough, student, wilson
from service.scoring.score import Group, Summary, intact_accuracy, live, refusal, summarise
from service.scoring.tally import Payload, Tally, count

__all__ = [
    "LEAST_MARGIN",
    "Estimate",
    "Estimator",
    "Group",
    "Payload",
    "Point",
    "Summary",
    "Tally",
    "auc",
    "count",
    "enough",
    "intact_accuracy",
    "live",
    "refusal",
    "student",
    "summarise",
    "wilson",
]
