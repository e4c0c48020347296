"""What came out, as a table for people and as JSON lines for docs/promises.md."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.chaos.arena import Outcome

HEAD = "class            database    faults accepted  lost doubled stale orphans  recovery p50   p99   max  seconds"


def line(outcome: Outcome) -> str:
    """A row of the table."""
    found, recoveries = outcome.verdict, outcome.recoveries
    times = [quantile(recoveries, 0.5), quantile(recoveries, 0.99), max(recoveries, default=math.nan)]
    shown = "".join("     -" if math.isnan(each) else f" {each:5.2f}" for each in times)
    return (
        f"{outcome.fault:16} {outcome.options.database:11} {outcome.faults:6} {outcome.accepted:8} {len(found.lost):5} "
        f"{len(found.doubled):7} {len(found.stale):5} {len(found.orphans):7}        {shown} {outcome.seconds:8.0f}"
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share does not exceed; none of no values."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def written(outcome: Outcome, file: Path) -> None:
    """Append a line to the file that docs/promises.md is made from."""
    found, recoveries = outcome.verdict, outcome.recoveries
    told: dict[str, Any] = {
        "class": outcome.fault,
        "database": outcome.options.database,
        "lease": outcome.options.lease,
        "seed": outcome.options.seed,
        "faults": outcome.faults,
        "accepted": outcome.accepted,
        "lost": len(found.lost),
        "doubled": len(found.doubled),
        "stale": len(found.stale),
        "orphans": len(found.orphans),
        "broken": found.broken,
        "unavailable": outcome.unavailable,
        "recoveries": len(recoveries),
        "p50": _number(quantile(recoveries, 0.5)),
        "p99": _number(quantile(recoveries, 0.99)),
        "max": _number(max(recoveries, default=math.nan)),
        "seconds": round(outcome.seconds, 1),
        "said": outcome.said,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with file.open("a") as lines:
        lines.write(json.dumps(told) + "\n")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
