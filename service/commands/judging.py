"""The commands that judge, as the command line declares them: `lesion gate` and `lesion compare`."""

from pathlib import Path
from typing import Annotated

import typer

from service import usage
from service.commands import config_options as options
from service.commands.arguments import Dataset, Folder, Model, ModelData, Server, check_place

REPORTS = "What is written"
File = Path | None


def _file(name: str, help: str, envvar: str | None = None) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        name, metavar="FILE", dir_okay=False, help=help, rich_help_panel=REPORTS, envvar=envvar, show_default=False
    )
    return option


def gate(
    context: typer.Context,
    model: Model,
    dataset: Dataset,
    min_score: options.MinScore = None,
    min_accuracy: options.MinAccuracy = None,
    min_layer_score: options.MinLayerScore = None,
    baseline: options.Baseline = None,
    max_drop: options.MaxDrop = None,
    training: options.Training = None,
    max_gap: options.MaxGap = None,
    policy: options.Policy = None,
    trials: options.Trials = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds to wait for the verdict.")] = None,
    junit: Annotated[File, _file("--junit", "JUnit XML, a test case for each check.")] = None,
    sarif: Annotated[File, _file("--sarif", "SARIF 2.1.0, a result for each check that does not pass.")] = None,
    summary: Annotated[File, _file("--summary", "Markdown with the curve, appended.", "GITHUB_STEP_SUMMARY")] = None,
    save: Annotated[File, _file("--save", "The evaluation as JSON, as `lesion verify` reads it.")] = None,
    attest: Annotated[File, _file("--attest", "The signed verdict: an in-toto statement in a DSSE envelope.")] = None,
    model_data: ModelData = None,
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
    """Judge MODEL on DATASET by rules, for a pipeline to act on.

    Exits with 0 if it passes, 1 if it fails, 2 for wrong usage, 3 if it was not judged (safe to try again), 4 if time
    ran out, 5 if the verdict is inconclusive.
    """
    from service.commands import gate as gate_command

    try:
        config = options.config(context.params, config_file)
    except options.UsageError as error:
        usage.fail(str(error), usage.USAGE)
    if config.gate is None:
        usage.fail("There is no rule to judge by; give --min-score, or another one, or --policy.", usage.USAGE)
    check_place(server, data)
    files = gate_command.Files(junit, sarif, summary, save, attest)
    order = gate_command.Order(model, dataset, config, server, data, timeout, tuple(model_data or ()), files)
    raise typer.Exit(gate_command.run(order))


def compare(
    baseline: Annotated[str, typer.Argument(help="Id of the evaluation to compare with.")],
    candidate: Annotated[str, typer.Argument(help="Id of the evaluation that is judged.")],
    max_drop: Annotated[float | None, typer.Option(min=0, max=10, help="May its score be lower by so much?")] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the difference's interval.")] = 0.95,
    memorisation: Annotated[
        bool, typer.Option("--memorisation", help="Both are of one model; the candidate's examples it was trained on.")
    ] = False,
    charts: Annotated[
        Path | None, typer.Option(file_okay=False, help="Keep it here as comparison.csv and comparison.svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON and nothing else.")] = False,
    server: Server = None,
    data: Folder = None,
) -> None:
    """Compare two evaluations: the difference of their scores, with its interval.

    Exits with 0; with --max-drop, with 1 if the score dropped by more, or 5 if that is not certain. With 3 if they
    cannot be compared.
    """
    from service.commands import compare as compare_command

    check_place(server, data)
    if server is None and data is None:
        usage.fail("Say where the evaluations are: --server URL, or the --data of a service of our own.", usage.USAGE)
    order = compare_command.Order(
        baseline, candidate, server, data, max_drop, confidence, as_json, memorisation, charts
    )
    raise typer.Exit(compare_command.run(order))
