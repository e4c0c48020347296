"""The command line: `lesion serve`, `score`, `gate`, `compare`, `inspect`, `verify`, `keys`, `demo`, and the parts.

Exit codes: 0 done, 1 cannot start or failed a gate, 2 wrong usage, 3 no score or refused (not judged), 4 timed out,
5 inconclusive, 130 interrupted.
Each command imports what it runs: all together take two seconds, which `lesion --help` and each process of the stack
would pay at its start.
"""

import io
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from service import __version__, examples, logs, usage
from service.commands import config_options as options
from service.commands import judging as judging_cli
from service.commands import keys as keys_command
from service.commands import mlflow as mlflow_command
from service.commands.arguments import Charts, Dataset, Folder, Inspected, Model, ModelData, Server, check_place
from service.settings import Settings

DRAIN_SECONDS = 3  # for requests under way when the API is told to stop

app = typer.Typer(
    help="Score how robust a trained neural network is to losing its own units.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with every local variable helps nobody who only uses this
)

app.add_typer(keys_command.app, name="keys")
app.add_typer(mlflow_command.app, name="mlflow")


def main() -> None:
    """Entry point of the `lesion` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows a question mark, not a traceback
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lesion {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


@app.callback()
def _lesion(version: Version = False) -> None:
    """What comes before a command."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. (default: 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any. (default: 8000)")] = None,
    data: Folder = None,
) -> None:
    """Run everything on this machine: API, workers, broker and database. Ctrl-C stops it."""
    from service import local
    from service.processes import CannotStartError

    settings = usage.settings(host=host, port=port, data=data)
    try:
        with local.embedded(settings) as base_url:
            typer.echo(_banner(base_url, settings))
            while True:
                signal.pause()
    except CannotStartError as error:
        usage.fail(str(error), usage.CANNOT_START)
    except (KeyboardInterrupt, SystemExit):
        typer.echo("Stopped.")  # as asked, which is no failure


@app.command()
def score(
    context: typer.Context,
    model: Model,
    dataset: Dataset,
    model_data: ModelData = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the evaluation as JSON and nothing else.")] = False,
    config_file: options.ConfigFile = None,
    precision: options.Precision = None,
    metric: options.Measure = None,
    k: options.K = None,
    scope: options.Scope = None,
    site: options.Site = None,
    sites: options.Sites = None,
    clamp: options.Clamp = None,
    estimator: options.Estimator = None,
    orderings: options.Orderings = None,
    fractions: options.Fractions = None,
    confidence: options.Confidence = None,
    seed: options.Seed = None,
    analyses: options.Analyses = None,
    top: options.Top = None,
    passes: options.Passes = None,
    charts: Charts = None,
    server: Server = None,
    data: Folder = None,
    output: options.Output = None,
    input: options.Input = None,
    labels: options.Labels = None,
    weights: options.Weights = None,
    split: options.Split = None,
    channels: options.Channels = None,
    resize: options.Resize = None,
    interpolation: options.Interpolation = None,
    crop: options.Crop = None,
    scale: options.Scale = None,
    mean: options.Mean = None,
    std: options.Std = None,
    pad: options.Pad = None,
    pad_value: options.PadValue = None,
    layout: options.Layout = None,
    data_layout: options.DataLayout = None,
) -> None:
    """Score MODEL on DATASET. Exits with 0, or with 3 if there is no score."""
    from service.commands import score as score_command

    try:
        config = options.config(context.params, config_file)
    except options.UsageError as error:
        usage.fail(str(error), usage.USAGE)
    check_place(server, data)
    if charts is not None and not config.analyses:
        usage.fail("--charts keeps what --analyses found; name some, such as --analyses relation.", usage.USAGE)
    beside = tuple(model_data or ())
    order = score_command.Order(model, dataset, config, server, data, as_json, weights=beside, charts=charts)
    raise typer.Exit(score_command.run(order))


app.command()(judging_cli.gate)
app.command()(judging_cli.compare)


@app.command()
def inspect(
    files: Inspected,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON and nothing else.")] = False,
    server: Server = None,
    data: Folder = None,
) -> None:
    """Show what is found in a model, or in a dataset: inputs, outputs, sites and units, labels, warnings.

    A model's weights in other files are given after it. Exits with 0, or with 3 if it is refused.
    """
    from service.commands import inspect as inspect_command

    check_place(server, data)
    raise typer.Exit(inspect_command.run(inspect_command.Order(tuple(files), server, data, as_json)))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="RESULT.json", exists=True, dir_okay=False)],
    key: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="Public key in PEM, or what GET /v1/signing-keys answered."),
    ],
    model: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The model's file; it must be about this one.")
    ] = None,
    passed: Annotated[bool, typer.Option("--passed", help="Its gate must have let the model pass.")] = False,
) -> None:
    """Check offline that a saved evaluation, or the envelope of a verdict, is what the service signed.

    Exits with 0 if it is, with 1 if it is not, with 2 if that cannot be told.
    """
    from service.commands import verify as verify_command

    raise typer.Exit(verify_command.run(verify_command.Order(file, key, model, passed)))


@app.command()
def demo() -> None:
    """Score two shipped networks, one that learned and one that memorised, and compare them."""
    from service.commands.demo import run

    raise typer.Exit(run())


@app.command()
def api(listening: Annotated[int | None, typer.Option("--socket", hidden=True)] = None) -> None:
    """Run the API alone, as containers do. Settings come from LESION_*."""

    settings = usage.settings()
    if listening is None:
        _check(settings)
        if settings.api_processes > 1:
            return _several(settings)
    from service import connections, descriptors, leaving
    from service.app import create_app

    logs.configure()
    descriptors.raise_limit()
    app = create_app(settings)
    server = leaving.Server(
        connections.config(
            app,
            app.state,
            host=settings.host,
            port=settings.port,
            log_level="info" if listening is None else "warning",
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    server.run(None if listening is None else [socket.socket(fileno=listening)])


def _several(settings: Settings) -> None:
    from service import api_processes, local, processes

    try:
        api_processes.serve(settings, local.HOME, DRAIN_SECONDS + 1)
    except processes.CannotStartError as error:
        usage.fail(str(error), usage.CANNOT_START)


@app.command()
def worker(inspect: Annotated[bool, typer.Option(help="Inspect uploads instead of evaluating.")] = False) -> None:
    """Run one worker alone, as containers do. Settings come from LESION_*."""
    from service import local, processes
    from service.broker import EVALUATIONS, INSPECTIONS

    settings = usage.settings()
    if not settings.broker_url:
        usage.fail("A worker of its own needs the broker that the API uses: set LESION_BROKER_URL.", usage.CANNOT_START)
    processes.become(local.worker(settings, INSPECTIONS if inspect else EVALUATIONS))


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date, and exit."""
    from service.store import session

    engine = session.connect(usage.settings().database)
    session.migrate(engine)
    engine.dispose()
    typer.echo("The database is up to date.")


def _check(settings: Settings) -> None:
    from service import local
    from service.processes import CannotStartError

    try:
        local.check(settings)
    except CannotStartError as error:
        usage.fail(str(error), usage.CANNOT_START)


def _banner(base_url: str, settings: Settings) -> str:
    model, dataset = examples.paths("learned")
    data = settings.data.absolute()
    key, wanted = "", ""
    if not settings.open:
        key = '-H "Authorization: Bearer $LESION_KEY" '
        place = "" if settings.database_url else f" --data {data}"
        wanted = f"\n  key    export LESION_KEY=$(lesion keys create NAME{place})"
    return f"""Lesion {__version__} listens at {base_url}

  docs   {base_url}/docs
  data   {data}{wanted}
  logs   {data / "logs"}
  try    curl {key}-F model=@{model} -F dataset=@{dataset} '{base_url}/v1/evaluations?wait=60'

Ctrl-C stops it."""


if __name__ == "__main__":
    main()
