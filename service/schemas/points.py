"""A point of a curve, with its interval."""

from pydantic import BaseModel


class CurvePoint(BaseModel):
    """A(f) at one fraction."""

    fraction: float
    value: float
    low: float
    high: float
    trials: int
