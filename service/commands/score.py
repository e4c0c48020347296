"""`lesion score`: one evaluation, on a stack of its own or on a server, followed live and printed."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from service import terminal, uploading
from service.client import Client, ClientError
from service.commands import findings
from service.exchanges import Drawn
from service.processes import CannotStartError
from service.reaching import DONE, INTERRUPTED, NOT_JUDGED, reached
from service.schemas import Config, Evaluation

KEPT: tuple[Drawn, ...] = ("csv", "svg")


@dataclass(frozen=True)
class Order:
    """What to score, how, and where: on `server`, else on a stack of our own over `data` (None: a folder for now).

    `weights` are the files that the model's weights lie in, if it has any. `charts`: a folder for what the `analyses`
    found, as CSV and SVG.
    """

    model: Path
    dataset: Path
    config: Config
    server: str | None = None
    data: Path | None = None
    as_json: bool = False
    weights: Sequence[Path] = ()
    charts: Path | None = None


def run(order: Order) -> int:
    """Score, print, and return the exit code: 0, or 3 if there is no score, or 130 after Ctrl-C."""
    errors = terminal.console(stderr=True)
    try:
        with reached(order.server, order.data, errors) as client:
            answer = _followed(client, order, errors)
            standing = None if order.as_json else _standing(client, answer)
            if order.charts is not None and answer.state == "succeeded":
                _keep(client, answer, order.charts)
    except (ClientError, CannotStartError, OSError) as error:
        errors.print(terminal.visible(str(error)), style="bold red", soft_wrap=True)
        return NOT_JUDGED
    except KeyboardInterrupt:
        return INTERRUPTED
    if order.as_json:
        terminal.print_json(answer.model_dump(mode="json"))
    else:
        _print(order, answer, standing, errors)
    return DONE if answer.result is not None and answer.result.score is not None else NOT_JUDGED


def _followed(client: Client, order: Order, errors: Console) -> Evaluation:
    """Evaluate, showing progress on stderr if that is a terminal. Ctrl-C cancels the evaluation."""
    model = [order.model, *(order.weights or uploading.weights_beside(order.model))]
    with terminal.live(errors) as show:
        evaluation = client.evaluate(model, order.dataset, order.config)
        try:
            return evaluation.wait(lambda seen: show(order.model.name, seen))
        except (KeyboardInterrupt, SystemExit):
            with suppress(ClientError):  # it may have ended at this very moment
                evaluation.cancel()
            raise


def _standing(client: Client, answer: Evaluation) -> str | None:
    """Where the score stands; nothing of a server that is older than standings."""
    if answer.result is None or answer.result.score is None:
        return None
    try:
        return client.standing(answer.id).sentence
    except ClientError:
        return None


def _keep(client: Client, answer: Evaluation, folder: Path) -> None:
    """Write each analysis that was asked for into the folder, as `targeted.csv` and `targeted.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in answer.config.analyses or []:
        for kind in KEPT:
            (folder / f"{name}.{kind}").write_bytes(client.analysis(answer.id, name, kind))


def _print(order: Order, answer: Evaluation, standing: str | None, errors: Console) -> None:
    if answer.result is None:
        errors.print(terminal.failure(answer))
        return
    out = terminal.console()
    out.print(terminal.summary(answer, answer.result))
    if standing is not None:
        out.print(terminal.visible(standing), style="dim")
    terminal.curves(out, {order.model.name: answer.result})
    if answer.result.analyses is not None:
        out.print(findings.shown(answer.result.analyses, answer.id))
