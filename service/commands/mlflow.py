"""`lesion mlflow`: registered models checked, one by name or each as it comes, and the verdict written back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service import logs, terminal, usage
from service.commands import config_options as options

if TYPE_CHECKING:  # each command imports what it runs
    from service.client import Client
    from service.registries.checking import Checked, Plan
    from service.registries.registry import Registry
    from service.registries.versions import Place

NOT_JUDGED, TIMED_OUT, INTERRUPTED = 3, 4, 130  # exit codes; service.registries.verdicts has those of a verdict

app = typer.Typer(
    help="Check models registered in MLflow: score, verdict, curve and report are written back to the version.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Dataset = Annotated[Path, typer.Option(exists=True, help="What to evaluate on: a file, or a folder of class folders.")]
MinScore = Annotated[
    float | None, typer.Option(help="Pass if the score's whole interval is at least this; fail if it is below.")
]
Alias = Annotated[str | None, typer.Option(help="Alias that a pass moves to the version, such as champion.")]
Server = Annotated[str | None, typer.Option(help="Address of a running service, instead of our own.")]
Folder = Annotated[Path | None, typer.Option("--data", file_okay=False, help="Folder to keep everything in.")]
Tracking = Annotated[str | None, typer.Option(help="MLflow's address. (default: what MLFLOW_TRACKING_URI says)")]
Models = Annotated[
    list[str] | None, typer.Option("--model", metavar="NAME", help="Only models of this name or pattern; repeatable.")
]
Timeout = Annotated[float | None, typer.Option(min=0, help="Seconds after which an evaluation is not waited for.")]


@app.command()
@options.added
def check(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="models:/NAME/VERSION or models:/NAME@ALIAS.")],
    dataset: Dataset,
    min_score: MinScore = None,
    alias: Alias = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print how it went as JSON and nothing else.")] = False,
    timeout: Timeout = None,
    tracking_uri: Tracking = None,
    server: Server = None,
    data: Folder = None,
) -> None:
    """Check one registered version. Exits with 0 pass, 1 fail, 2 usage, 3 not judged, 4 timed out, 5 inconclusive."""
    from service.registries import checking, names

    plan = _plan(context, dataset, min_score, alias, timeout)
    try:
        named = names.read(model)
    except names.NotAVersionError as error:
        usage.fail(str(error), usage.USAGE)
    if named.scheme != "models":
        usage.fail(f"{named} is not in MLflow.", usage.USAGE)
    errors = terminal.console(stderr=True)
    with _ended(), _both(server, data, tracking_uri) as (registry, client), terminal.live(errors) as show:
        checked = checking.check(registry, client, named, plan, show)
    _print(checked, as_json)
    raise typer.Exit(checked.judged.code)


@app.command()
@options.added
def watch(
    context: typer.Context,
    dataset: Dataset,
    model: Models = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only versions with this tag; repeatable.")
    ] = None,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two looks; 0 looks once and ends.")] = 60,
    min_score: MinScore = None,
    alias: Alias = None,
    timeout: Timeout = None,
    tracking_uri: Tracking = None,
    server: Server = None,
    data: Folder = None,
) -> None:
    """Check each version that has no verdict yet, again and again: for an MLflow that sends no webhooks here.

    An alias is moved to newer versions only. Ctrl-C stops it; with --every 0 it exits with 0 once all were looked at.
    """
    from service.registries import checker

    logs.configure()
    plan = _plan(context, dataset, min_score, alias, timeout, only_forward=True)
    choice = checker.Choice(tuple(model or ("*",)), dict(_pair(text) for text in tag or ()))
    with _ended(), _both(server, data, tracking_uri) as (registry, client):
        checker.watch(registry, client, plan, choice, every, threading.Event(), lambda checked: _print(checked, False))


@app.command()
@options.added
def listen(
    context: typer.Context,
    dataset: Dataset,
    model: Models = None,
    min_score: MinScore = None,
    alias: Alias = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any.")] = 8100,
    inbox: Annotated[
        Path, typer.Option(dir_okay=False, help="File in which deliveries and what is still to be done are kept.")
    ] = Path("lesion-inbox.db"),
    hub_url: Annotated[str, typer.Option(help="Hugging Face's hub, or a mirror.")] = "https://huggingface.co",
    timeout: Timeout = None,
    tracking_uri: Tracking = None,
    server: Server = None,
    data: Folder = None,
) -> None:
    """Receive registries' webhooks at /hooks/mlflow, /hooks/hugging-face, /hooks/signed, and check what is registered.

    The secrets come from LESION_MLFLOW_SECRET, LESION_HUGGING_FACE_SECRET and LESION_HOOK_SECRET; what has none is not
    listened to. An alias is moved to newer versions only. Ctrl-C stops it.
    """
    from service.registries import checker, listening
    from service.registries.hub import Hub

    logs.configure()
    plan = _plan(context, dataset, min_score, alias, timeout, only_forward=True)
    settings = usage.settings()
    secrets = listening.secrets(settings)
    if not secrets:
        usage.fail("Nothing to listen to: set LESION_MLFLOW_SECRET, or the secret of another registry.", usage.USAGE)
    choice = checker.Choice(tuple(model or ("*",)))
    with _ended(), _both(server, data, tracking_uri) as (registry, client):
        token = settings.hugging_face_token
        hub = Hub(inbox.with_suffix(".reports"), token.get_secret_value() if token else None, hub_url)
        places: dict[str, Place] = {"models": registry, "hf": hub}
        listening.run((host, port), inbox, secrets, places, client, plan, choice, typer.echo)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        usage.fail(f"--tag: {text!r} is not KEY=VALUE.", usage.USAGE)
    return name, value


def _plan(
    context: typer.Context,
    dataset: Path,
    min_score: float | None,
    alias: str | None,
    timeout: float | None = None,
    *,
    only_forward: bool = False,
) -> "Plan":
    from service.registries.checking import Plan

    try:
        config = options.config(context.params, context.params.get("config_file"))
    except options.UsageError as error:
        usage.fail(str(error), usage.USAGE)
    if alias is not None and config.gate is None:
        usage.fail("--alias moves on a pass, and without --min-score or a `gate` nothing can pass.", usage.USAGE)
    return Plan(dataset, config, min_score, alias, only_forward, timeout)


@contextmanager
def _both(server: str | None, data: Path | None, tracking_uri: str | None) -> "Iterator[tuple[Registry, Client]]":
    """The registry, and a service to evaluate on."""
    from service.reaching import reached
    from service.registries.registry import Registry

    if server is not None and data is not None:
        usage.fail("--data belongs to a service of our own; leave it out, or --server.", usage.USAGE)
    registry = Registry(tracking_uri)
    with reached(server, data, terminal.console(stderr=True)) as client:
        yield registry, client


@contextmanager
def _ended() -> Iterator[None]:
    """What goes wrong, as a line on stderr and an exit code."""
    from service.client import ClientError
    from service.processes import CannotStartError
    from service.registries.registry import MissingError
    from service.registries.versions import WentWrongError

    try:
        yield
    except MissingError as error:
        usage.fail(str(error), usage.USAGE)
    except TimeoutError as error:
        usage.fail(str(error), TIMED_OUT)
    except (ClientError, CannotStartError, WentWrongError, OSError) as error:
        usage.fail(str(error), NOT_JUDGED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _print(checked: "Checked", as_json: bool) -> None:
    if as_json:
        terminal.print_json(_told(checked))
    else:
        terminal.console().print(_line(checked), soft_wrap=True)


def _told(checked: "Checked") -> dict[str, Any]:
    evaluation = checked.evaluation
    return {
        "model": checked.version.uri,
        "verdict": checked.judged.verdict,
        "reason": checked.judged.reason,
        "promoted": checked.promoted,
        "evaluation": None if evaluation is None else evaluation.model_dump(mode="json"),
    }


def _line(checked: "Checked") -> str:
    verdict = (checked.judged.verdict or "no verdict").upper()
    moved = "; the alias points to it" if checked.promoted else ""
    return terminal.visible(f"{verdict}  {checked.version.uri}  {checked.judged.reason}{moved}")
