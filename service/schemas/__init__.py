"""The words of the API and of a stored result, as pydantic schemas; what they mean is in the field descriptions."""

from service.schemas.artifacts import Artifact, Dataset, Datasets, Model, Models
from service.schemas.comparison import Comparison, NewComparison, Side, Verdict
from service.schemas.config import Config, Limits, Metric, NewEvaluation
from service.schemas.evaluation import (
    Envelope,
    Evaluation,
    Evaluations,
    Links,
    ProblemBody,
    Signature,
    SigningKey,
    SigningKeys,
)
from service.schemas.found import Array, DatasetFound, ModelFound, Output
from service.schemas.preprocessing import Preprocessing
from service.schemas.result import Cost, CurvePoint, Layer, Measured, Progress, Provenance, Result, Site
from service.schemas.words import ENDED, Digest, Estimate, State, Strict, canonical, digest

__all__ = [
    "ENDED",
    "Array",
    "Artifact",
    "Comparison",
    "Config",
    "Cost",
    "CurvePoint",
    "Dataset",
    "DatasetFound",
    "Datasets",
    "Digest",
    "Envelope",
    "Estimate",
    "Evaluation",
    "Evaluations",
    "Layer",
    "Limits",
    "Links",
    "Measured",
    "Metric",
    "Model",
    "ModelFound",
    "Models",
    "NewComparison",
    "NewEvaluation",
    "Output",
    "Preprocessing",
    "ProblemBody",
    "Progress",
    "Provenance",
    "Result",
    "Side",
    "Signature",
    "SigningKey",
    "SigningKeys",
    "Site",
    "State",
    "Strict",
    "Verdict",
    "canonical",
    "digest",
]
