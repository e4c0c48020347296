"""`lesion gate`: may this model be deployed? One line for the log, an exit code, and reports for who shows them."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from service import terminal, uploading
from service.client import Client, ClientError, Refused
from service.processes import CannotStartError
from service.reaching import DONE, FAILED, INCONCLUSIVE, INTERRUPTED, NOT_JUDGED, TIMED_OUT, USAGE, reached
from service.schemas import Config, Evaluation

CODES = {"pass": DONE, "fail": FAILED, "inconclusive": INCONCLUSIVE}
# Refusals that the same request would meet again, and that another one would not: wrong usage.
MISTAKES = ("validation-error", "not-found", "not-comparable", "bad-request", "unauthorized", "forbidden")


@dataclass(frozen=True)
class Files:
    """What to write beside the line: JUnit XML, SARIF, Markdown (appended), the evaluation, the signed verdict."""

    junit: Path | None = None
    sarif: Path | None = None
    summary: Path | None = None
    save: Path | None = None
    attest: Path | None = None


@dataclass(frozen=True)
class Order:
    """What to judge, by which config, where, and for how many seconds to wait."""

    model: Path
    dataset: Path
    config: Config
    server: str | None = None
    data: Path | None = None
    timeout: float | None = None
    weights: Sequence[Path] = ()
    files: Files = Files()


def run(order: Order) -> int:
    """Judge, say so, and return the exit code: nothing but a `pass` is 0."""
    errors = terminal.console(stderr=True)
    try:
        with reached(order.server, order.data, errors) as client:
            answer = _followed(client, order, errors)
            _write(client, order.files, answer)
    except TimeoutError as error:
        return _say("not judged", f"timed out: {error}", TIMED_OUT)
    except Refused as refusal:
        mistaken = str(refusal.problem.get("type", "")).rpartition("/")[2] in MISTAKES
        return _say("not judged", str(refusal), USAGE if mistaken else NOT_JUDGED)
    except (ClientError, CannotStartError, OSError) as error:
        return _say("not judged", str(error), NOT_JUDGED)
    except KeyboardInterrupt:
        return _say("not judged", "interrupted", INTERRUPTED)
    return _judged(order, answer)


def _followed(client: Client, order: Order, errors: Console) -> Evaluation:
    """Evaluate, showing progress on stderr if that is a terminal. Ctrl-C cancels the evaluation; a timeout does not."""
    model = [order.model, *(order.weights or uploading.weights_beside(order.model))]
    with terminal.live(errors) as show:
        evaluation = client.evaluate(model, order.dataset, order.config)
        try:
            return evaluation.wait(lambda seen: show(order.model.name, seen), order.timeout)
        except (KeyboardInterrupt, SystemExit):
            with suppress(ClientError):  # it may have ended at this very moment
                evaluation.cancel()
            raise


def _write(client: Client, files: Files, answer: Evaluation) -> None:
    if files.junit is not None:
        files.junit.write_bytes(client.report(answer.id, "xml"))
    if files.sarif is not None:
        files.sarif.write_bytes(client.report(answer.id, "sarif"))
    if files.summary is not None:
        with files.summary.open("ab") as file:  # CI has one for all steps of a job
            file.write(client.report(answer.id, "md") + b"\n")
    if files.save is not None:
        files.save.write_text(json.dumps(answer.model_dump(mode="json"), indent=2) + "\n")
    if files.attest is not None and answer.verdict_signature is not None:
        files.attest.write_text(answer.verdict_signature.model_dump_json(indent=2) + "\n")


def _judged(order: Order, answer: Evaluation) -> int:
    if answer.result is None:
        problem = answer.problem
        late = problem is not None and problem.type.endswith("/deadline-exceeded")
        return _say("not judged", terminal.failure(answer).plain, TIMED_OUT if late else NOT_JUDGED)
    gate = answer.result.gate
    if gate is None:
        return _say("not judged", "the service knows no gates; is it an older one?", NOT_JUDGED)
    by = "" if gate.policy is None else f" by {gate.policy}"
    told = f"{' '.join(gate.reasons[:3])} {order.model.name}{by}, {answer.id}"
    return _say(gate.verdict, told, CODES[gate.verdict])


def _say(verdict: str, told: str, code: int) -> int:
    """One line, on stdout if something was judged."""
    line = " ".join(terminal.visible(f"lesion gate: {verdict}: {told}").split())
    terminal.console(stderr=verdict == "not judged").print(line, soft_wrap=True)
    return code
