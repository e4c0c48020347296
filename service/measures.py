"""A result's metric as people call it, and how far its axis goes: what the terminal and the pictures agree on."""

from collections.abc import Sequence

from service.schemas import Result

UNBOUNDED = ("cross_entropy", "r2")  # metrics that are no share of the examples


def metric(result: Result) -> str:
    """What was measured, such as `top-5 accuracy` or `cross entropy in nats`."""
    measured = result.measured
    if measured is not None and measured.k is not None:
        return f"top-{measured.k} accuracy"
    unit = "" if measured is None or measured.unit is None else f" in {measured.unit}"
    return result.metric.replace("_", " ") + unit


def reach(results: Sequence[Result]) -> tuple[float, float]:
    """Ends of the axis of A(f): 0 and 1 for a share; else as far as the curves and the best constant answers go."""
    points = [point for result in results for point in result.curve]
    if not points or not any(result.metric in UNBOUNDED for result in results):
        return 0.0, 1.0
    values = [value for point in points for value in (point.low, point.high)] + [result.chance for result in results]
    return min(0.0, *values), max(1.0, *values)
