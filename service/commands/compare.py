"""`lesion compare`: is one evaluation's model more robust than another's, and by how much?"""

from dataclasses import dataclass
from pathlib import Path

from service import terminal
from service.client import Client, ClientError
from service.commands.gate import CODES
from service.commands.score import KEPT
from service.processes import CannotStartError
from service.reaching import DONE, INTERRUPTED, NOT_JUDGED, reached
from service.schemas import Comparison


@dataclass(frozen=True)
class Order:
    """Which two evaluations, on `server` or among what a stack of our own keeps in `data`."""

    baseline: str
    candidate: str
    server: str | None = None
    data: Path | None = None
    max_drop: float | None = None
    confidence: float = 0.95
    as_json: bool = False
    memorisation: bool = False
    charts: Path | None = None


def run(order: Order) -> int:
    """Compare and print. The exit code: 0, or with `max_drop` the verdict's; 3 if they cannot be compared."""
    errors = terminal.console(stderr=True)
    how = {"max_drop": order.max_drop, "confidence": order.confidence, "memorisation": order.memorisation}
    try:
        with reached(order.server, order.data, errors) as client:
            found = client.compare(order.baseline, order.candidate, **how)
            if order.charts is not None:
                _keep(client, order, order.charts, how)
    except (ClientError, CannotStartError, OSError) as error:
        errors.print(terminal.visible(str(error)), style="bold red", soft_wrap=True)
        return NOT_JUDGED
    except KeyboardInterrupt:
        return INTERRUPTED
    if order.as_json:
        terminal.print_json(found.model_dump(mode="json"))
    else:
        _print(found)
    return DONE if found.verdict is None else CODES[found.verdict]


def _keep(client: Client, order: Order, folder: Path, how: dict[str, float | None]) -> None:
    """Write the comparison into the folder, as `comparison.csv` and `comparison.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KEPT:
        drawn = client.comparison(order.baseline, order.candidate, kind, **how)
        (folder / f"comparison.{kind}").write_bytes(drawn)


def _print(found: Comparison) -> None:
    out = terminal.console()
    out.print(f"baseline    {terminal.number(found.baseline.score)}  {found.baseline.id}", soft_wrap=True)
    out.print(f"candidate   {terminal.number(found.candidate.score)}  {found.candidate.id}", soft_wrap=True)
    how = "paired" if found.paired else "not paired"
    out.print(f"difference  {terminal.number(found.difference)}  {how}, {found.trials:,} trials", soft_wrap=True)
    out.print(found.summary, soft_wrap=True)
    if found.verdict is not None:
        out.print(f"lesion compare: {found.verdict}: {' '.join(found.reasons)}", soft_wrap=True)
