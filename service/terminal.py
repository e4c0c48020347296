"""What the command line shows: progress, a summary, curves. Plain text where there is no terminal or no colour."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from service.measures import metric, reach
from service.schemas import ENDED, Estimate, Evaluation, Result

WIDEST, NARROWEST = 100, 40  # columns of a curve; below that it says nothing
TALLEST, ROW = 22, 4  # rows of a curve, and how many columns earn it one
# A colour, as plotext and as rich call it, and a sign for each curve; the signs do without the colours.
LOOKS = (("blue+", "bright_blue", "●"), ("orange", "yellow", "○"), ("green+", "bright_green", "◆"))
TICKS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
ASCII = str.maketrans("─│┌┐└┘├┤┬┴┼┈·●○◆", "-|+++++++++..*o#")  # for a terminal that speaks no Unicode
LOUD = "bold reverse"
# Steps of preprocessing, in the order they are done in.
STEPS = ("channels", "resize", "interpolation", "crop", "scale", "mean", "std", "pad", "pad_value", "layout")
ONLY_WITH = {"interpolation": "resize", "pad_value": "pad"}  # steps of preprocessing that do nothing by themselves
_DRAWING = threading.Lock()  # plotext has one figure for the whole process

Show = Callable[[str, Evaluation], None]


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr. Rich heeds NO_COLOR, TERM and whether there is a terminal at all."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_json(told: Any) -> None:
    """JSON to stdout as it is: a console would wrap it."""
    sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def number(estimate: Estimate | None) -> str:
    """A number with its interval, such as `0.612 [0.588, 0.634]`; `none` if there is none."""
    return "none" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def visible(text: str) -> str:
    """Text that came from an upload or over the net, so that nothing in it can steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


@contextmanager
def live(out: Console) -> Iterator[Show]:
    """A bar for each name that `show(name, evaluation)` is called with. Silent where nothing can be redrawn."""
    columns = (TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn(), TextColumn("{task.fields[found]}"))
    with Progress(*columns, console=out, transient=True, disable=not out.is_interactive) as bars:
        tasks: dict[str, Any] = {}

        def show(name: str, evaluation: Evaluation) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(visible(name), total=1.0, found="")
            share = 1.0 if evaluation.state in ENDED else min(evaluation.progress.share, 0.99)
            bars.update(tasks[name], completed=share, found=found_so_far(evaluation))

        yield show


def found_so_far(evaluation: Evaluation) -> str:
    """One line about an evaluation under way: the interval as it closes."""
    progress = evaluation.progress
    if evaluation.state != "running":
        return "waiting for a worker" if evaluation.state == "queued" else evaluation.state
    if progress.score is None:
        return "reading the model" if not progress.trials else f"{progress.trials:,} trials"
    half = (progress.score.high - progress.score.low) / 2
    return f"score {number(progress.score)} ±{half:.3f}, {progress.trials:,} trials"


def summary(evaluation: Evaluation, result: Result) -> RenderableType:
    """What was found: the intact network first and loudest, since a score means little without it."""
    grid = Table.grid(Column(no_wrap=True), Column(no_wrap=True), Column(style="dim"), padding=(0, 2))
    note = f"best constant answer: {result.chance:.3f}"
    if result.intact_examples is not None:
        note += f"; on {result.intact_examples:,} random examples"
    grid.add_row(Text(f"intact {visible(metric(result))}", LOUD), Text(number(result.intact), LOUD), note)
    if result.score is not None:
        grid.add_row(_bold("score"), _bold(number(result.score)), "1: unhurt by any loss, 0: all lost")
    if result.auc is not None:
        grid.add_row("area under curve", number(result.auc), f"{100 * evaluation.config.confidence:g} % intervals")
    if result.half_life is not None:
        grid.add_row("half-life", number(result.half_life), "share of units that costs half")
    sites = f"{len(result.sites)} site" + ("" if len(result.sites) == 1 else "s")
    grid.add_row("ablated", f"{sites}, {sum(site.units for site in result.sites):,} units", _how(result))
    grid.add_row("cost", f"{result.cost.passes:,} passes", f"{_seconds(result)} on {result.cost.device}")
    told = {"preprocessing": _preprocessing(result.preprocessing), "evaluation": evaluation.id}
    first = max(16, len(f"intact {metric(result)}"))  # as wide as the column above
    parts: list[RenderableType] = [grid]
    parts += [Text(f"{name:{first}}  {visible(line)}", "dim") for name, line in told.items()]
    if result.gate is not None:
        look = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}[result.gate.verdict]
        parts.append(Text(visible(f"Gate: {result.gate.verdict}. {' '.join(result.gate.reasons)}"), look))
    if result.score is None and result.score_refused:
        parts.append(Text(f"No score: {visible(result.score_refused)}", "bold red"))
    parts += [Text(f"Warning: {visible(warning)}", "yellow") for warning in result.warnings]
    return Group(*parts, Text(), _layers(result)) if result.layers else Group(*parts)


def _preprocessing(done: Mapping[str, Any] | None) -> str:
    """What was done to the examples: a wrong normalisation shows in the intact figure, and here."""
    known = {name: value for name, value in (done or {}).items() if value is not None}
    names = [name for name in STEPS if name in known] + [name for name in known if name not in STEPS]
    told = [f"{name} {_short(known[name])}" for name in names if ONLY_WITH.get(name, name) in known]
    return ", ".join(told) or "none: the examples went in as they are"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def comparison(evaluations: Mapping[str, Evaluation]) -> Table:
    """A row for each evaluation that succeeded."""
    heads = ("network", "intact accuracy", "score", "half-life", "time")
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 2))
    for name, evaluation in evaluations.items():
        if (result := evaluation.result) is not None:
            half_life = "none" if result.half_life is None else f"{result.half_life.value:.2f}"
            numbers = (f"{result.intact.value:.3f}", _bold(number(result.score)), half_life)
            table.add_row(visible(name), *numbers, _seconds(result))
    return table


def failure(evaluation: Evaluation) -> Text:
    """Why there is no result."""
    if evaluation.problem is None:
        return Text(f"The evaluation {evaluation.id} is {evaluation.state}.", "bold red")
    return Text(f"{visible(evaluation.problem.title)}: {visible(evaluation.problem.detail)}", "bold red")


def curves(out: Console, results: Mapping[str, Result]) -> None:
    """Print the curves of up to three results in one plot, each between the dots of its interval."""
    width = min(WIDEST, out.width - 1)
    drawn = {name: result for name, result in results.items() if result.curve}
    if width < NARROWEST or not drawn:
        return
    text = Text.from_ansi(_plot(drawn, width).rstrip())
    names = [(f"\n     {sign} {visible(name)}", look) for name, (_, look, sign) in zip(drawn, LOOKS, strict=False)]
    text = Text.assemble(text, *names, "\n     · interval   ┈ chance")
    if not out.encoding.lower().startswith("utf"):
        text = Text(text.plain.translate(ASCII))
    out.print(text, soft_wrap=True)


def _plot(results: Mapping[str, Result], width: int) -> str:
    import plotext  # here, since it takes 0.2 s, which every command and every start of the API would pay

    with _DRAWING:
        figure = plotext.figure
        figure.clear()
        figure.theme("colorless")
        figure.canvas("default")
        figure.plot_size(width, min(TALLEST, width // ROW))
        low, high = reach(list(results.values()))
        for result, (colour, _, _) in zip(results.values(), LOOKS, strict=False):
            _draw(figure, [(p.fraction, max(low, p.low)) for p in result.curve], plotext.marker("·", colour))
            _draw(figure, [(p.fraction, min(high, p.high)) for p in result.curve], plotext.marker("·", colour))
        for result in results.values():
            figure.line(result.chance, style="dotted")
        for result, (colour, _, sign) in zip(results.values(), LOOKS, strict=False):  # above all bands
            _draw(figure, [(p.fraction, p.value) for p in result.curve], plotext.marker(sign, colour))
        figure.ruler("x").lim(0, 1)
        figure.ruler("x").ticks(TICKS)
        figure.ruler("y").lim(low, high)
        figure.ruler("y").ticks([round(low + tick * (high - low), 2) for tick in TICKS])
        figure.title(" / ".join(dict.fromkeys(visible(metric(result)) for result in results.values())))
        figure.label("fraction of units ablated", "x")
        return str(figure.build().string())


def _draw(figure: Any, points: list[tuple[float, float]], marker: Any) -> None:
    x, y = zip(*points, strict=True)
    signal = figure.signal(x, y, marker=marker)
    signal.lines(True)
    figure.draw(signal)


def _layers(result: Result) -> Table:
    table = Table("site", "units", "score alone", "area", box=None, pad_edge=False, padding=(0, 2))
    for layer in result.layers:
        table.add_row(visible(layer.site), str(layer.units), number(layer.score), number(layer.auc))
    return table


def _how(result: Result) -> str:
    return f"scope {result.scope}, clamp {result.clamp}" + (
        "" if result.split is None else f", split {visible(result.split)}"
    )


def _seconds(result: Result) -> str:
    return "unknown" if result.cost.seconds is None else f"{result.cost.seconds:.1f} s"


def _bold(text: str) -> Text:
    return Text(text, "bold")
