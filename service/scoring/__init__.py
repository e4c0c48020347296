"""What a score is: tally -> curve -> auc -> score, each with its interval. Pure arithmetic, no network, no store."""

from service.scoring.comparison import Arm, Difference, difference
from service.scoring.curve import Point
from service.scoring.importance import Change, Importance, Pairs, lost, undecided
from service.scoring.importance import count as count_pairs
from service.scoring.interval import Estimate, Estimator, auc, enough, least_chunks, student, wilson
from service.scoring.orders import REPEATS, STEPS, ClassCurve, Curve, Orders, count_orders, fractions
from service.scoring.ranking import mended
from service.scoring.reference import (
    LEAST_MARGIN,
    METRICS,
    PROBABILITY_FLOOR,
    Intact,
    Metric,
    Reference,
    packed,
    stored_reference,
)
from service.scoring.relation import Correlation, related
from service.scoring.score import Group, Summary, live, rounded, sample, summarise
from service.scoring.tally import Payload, Tally, count
from service.scoring.tuning import Columns, Tuning, bins, class_selectivity, edges, information

__all__ = [
    "LEAST_MARGIN",
    "METRICS",
    "PROBABILITY_FLOOR",
    "REPEATS",
    "STEPS",
    "Arm",
    "Change",
    "ClassCurve",
    "Columns",
    "Correlation",
    "Curve",
    "Difference",
    "Estimate",
    "Estimator",
    "Group",
    "Importance",
    "Intact",
    "Metric",
    "Orders",
    "Pairs",
    "Payload",
    "Point",
    "Reference",
    "Summary",
    "Tally",
    "Tuning",
    "auc",
    "bins",
    "class_selectivity",
    "count",
    "count_orders",
    "count_pairs",
    "difference",
    "edges",
    "enough",
    "fractions",
    "information",
    "least_chunks",
    "live",
    "lost",
    "mended",
    "packed",
    "related",
    "rounded",
    "sample",
    "stored_reference",
    "student",
    "summarise",
    "undecided",
    "wilson",
]
