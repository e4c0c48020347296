"""What a caller is told beside a result: that the model may be seeing the wrong pictures, or the interval is wide."""

from service import scoring


def often_wrong(reference: scoring.Reference, pictures: str | None) -> list[str]:
    """A model of pictures that is wrong more often than not was most likely shown other pictures than it knows."""
    metric = reference.metric
    if pictures is None or not metric.share or reference.first >= (1 + reference.chance) / 2:
        return []
    return [f"Intact {metric.name} is {reference.first:.3f}: {pictures}"]


def imprecise(summary: scoring.Summary | None, precision: float | None) -> list[str]:
    """A score whose interval is wider than `precision`, its half width, for want of trials."""
    if summary is None or summary.score is None or precision is None:
        return []
    half = (summary.score.high - summary.score.low) / 2
    if half <= precision + 1e-6:
        return []
    allowed = (
        f"The interval is ±{half:.4f} wide, not ±{precision}: {summary.trials:,} trials were all that "
        "`limits.trials` allowed. Raise it for a narrower one."
    )
    return [allowed]
