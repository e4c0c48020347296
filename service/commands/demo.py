"""`lesion demo`: two shipped networks, one that learned and one that memorised, scored side by side."""

import shutil
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from rich.console import Console

from service import examples, terminal
from service.client import Client, ClientError
from service.local import embedded, private
from service.processes import CannotStartError
from service.schemas import Evaluation

NETWORKS: tuple[Literal["learned", "memorised"], ...] = ("learned", "memorised")
INTRODUCTION = (
    "Two networks of the same shape: one was trained on pictures with their true labels, the other on the same "
    "pictures with random labels. Lesion deletes units of each at random and measures what still works.\n"
)
MEANING = (
    "\nBoth know their own training pictures by heart, so accuracy cannot tell them apart. Losing units can: what was "
    "learned is spread over many units and survives, what was memorised hangs on each single one."
)


def run() -> int:
    """Score both networks on a stack of its own; return the exit code: 0, or 3 if one has no score, or 130."""
    out, errors = terminal.console(), terminal.console(stderr=True)
    out.print(INTRODUCTION)
    try:
        answers = _scored(errors)
    except (ClientError, CannotStartError) as error:
        errors.print(terminal.visible(str(error)), style="bold red", soft_wrap=True)
        return 3
    except KeyboardInterrupt:
        return 130
    return _tell(answers, out, errors)


def _scored(errors: Console) -> dict[str, Evaluation]:
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="lesion-"))
        with errors.status("starting the service, a broker and two workers"):
            base_url = stack.enter_context(embedded(private(Path(folder)), grace=1))
        client = stack.enter_context(Client(base_url))
        show = stack.enter_context(terminal.live(errors))
        started = {name: client.evaluate(*examples.paths(name)) for name in NETWORKS}
        for name, evaluation in started.items():
            show(name, evaluation.now)
        return {name: one.wait(partial(show, name)) for name, one in started.items()}


def _command() -> str:
    """How the user can type what runs here: the command is on the path of an active environment alone."""
    program = Path(sys.argv[0]).absolute()
    if shutil.which("lesion") == str(program) or not program.is_relative_to(Path.cwd()):
        return "lesion"
    return str(program.relative_to(Path.cwd()))


def _tell(answers: dict[str, Evaluation], out: Console, errors: Console) -> int:
    for answer in answers.values():
        if answer.result is None:
            errors.print(terminal.failure(answer))
    results = {name: answer.result for name, answer in answers.items() if answer.result is not None}
    out.print(terminal.comparison(answers))
    out.print()
    terminal.curves(out, results)
    if any(result.score is None for result in results.values()) or len(results) < len(NETWORKS):
        return 3
    model, dataset = examples.paths("learned")
    out.print(MEANING)
    out.print("\nGo on with your own:", style="bold")
    for line in (
        f"{_command()} score MODEL.onnx DATASET.npz",
        f"{_command()} serve",
        f"curl -F model=@{model} -F dataset=@{dataset} 'http://127.0.0.1:8000/v1/evaluations?wait=60'",
    ):
        out.print(f"  {line}", soft_wrap=True)
    return 0
