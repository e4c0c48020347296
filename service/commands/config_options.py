"""How to score, as options of the command line: what they are called, and the config they make together.

Options win over the file that `--config` names. A fault is told with the option, or the place in the file, it is in.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar

import typer
from pydantic import ValidationError

from service.schemas import NEEDS, Config, Gate, Metric, Preprocessing

READING, PIXELS, RULES = "What is read", "Preprocessing, in the order of its steps", "What the model must fulfil"


class UsageError(ValueError):
    """The options make no config; the message says which."""


def _option(help: str, *names: str, panel: str | None = None) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False)


Text: TypeAlias = str | None
Number: TypeAlias = float | None
Whole: TypeAlias = int | None
Precision = Annotated[Number, _option("Half the width of the score's interval. (default: 0.01)")]
Scope = Annotated[Literal["network", "layer", "paper"] | None, _option("What is ablated at once. (default: network)")]
Site = Annotated[Text, _option("With scope layer: the one site to ablate.")]
Sites = Annotated[list[str] | None, _option("Only sites of this name or pattern, such as 'layer4*'; may be repeated.")]
Estimator = Annotated[Literal["adaptive", "grid"] | None, _option("How trials are drawn. (default: adaptive)")]
Orderings = Annotated[Whole, _option("With estimator grid. (default: 10)")]
Fractions = Annotated[Whole, _option("With estimator grid: points on [0, 1]. (default: 21)")]
Intact = Annotated[
    Literal["enough", "whole"] | None,
    _option("Examples that the intact accuracy is counted on: enough of them, or all. (default: enough)"),
]
Clamp = Annotated[Literal["zero", "mean"] | None, _option("What ablated units are set to. (default: zero)")]
Confidence = Annotated[Number, _option("Of every interval. (default: 0.95)")]
Seed = Annotated[Whole, _option("Of every random draw. (default: 0)")]
Analyses = Annotated[
    list[str] | None,
    _option("What to find out about each unit: " + ", ".join(NEEDS) + "; several with commas between, or repeated."),
]
Top = Annotated[Whole, _option("Analysis importance: stop once so many most important units are certain.")]
Passes = Annotated[Whole, _option("Analysis importance: most passes, about. (default: 200000)")]
Measure = Annotated[
    Metric | None, _option("What is measured. (default: accuracy, or agreement where there are no labels)")
]
K = Annotated[Whole, _option("With metric top_k. (default: 5)")]
Output = Annotated[Text, _option("The model's output to score. (default: its class output)", panel=READING)]
Input = Annotated[
    list[str] | None,
    _option("MODELINPUT=COLUMN: the array or column that an input of the model takes; may be repeated.", panel=READING),
]
Labels = Annotated[Text, _option("The array or column of labels. (default: found)", panel=READING)]
Weights = Annotated[Text, _option("An array or column with a weight for each example.", panel=READING)]
Split = Annotated[Text, _option("The part of the dataset to use, such as test; told in the result.", panel=READING)]
Channels = Annotated[Literal["RGB", "BGR", "L"] | None, _option("Order the model wants; L is grey.", panel=PIXELS)]
Resize = Annotated[Text, _option("Pixels of the shorter side; or HEIGHTxWIDTH.", panel=PIXELS)]
Interpolation = Annotated[
    Literal["bilinear", "bicubic", "nearest", "lanczos"] | None,
    _option("How --resize fills in pixels. (default: bilinear)", panel=PIXELS),
]
Crop = Annotated[Text, _option("Cut out of the centre: a square's side, or HEIGHTxWIDTH.", panel=PIXELS)]
Scale = Annotated[Text, _option("Multiplies every value: 1/255 or a number.", panel=PIXELS)]
Mean = Annotated[Text, _option("Subtracted then: a number, or R,G,B.", panel=PIXELS)]
Std = Annotated[Text, _option("Divides what is left: a number, or R,G,B.", panel=PIXELS)]
Pad = Annotated[Text, _option("HEIGHTxWIDTH to fill up to, below and to the right.", panel=PIXELS)]
PadValue = Annotated[Number, _option("What --pad fills with. (default: 0)", panel=PIXELS)]
Layout = Annotated[
    Literal["NCHW", "NHWC"] | None, _option("Where the model wants the channels. (default: found)", panel=PIXELS)
]
DataLayout = Annotated[
    Literal["NCHW", "NHWC"] | None, _option("Where the dataset has the channels. (default: found)", panel=PIXELS)
]
MinScore = Annotated[Number, _option("Least score.", panel=RULES)]
MinAccuracy = Annotated[Number, _option("Least accuracy of the intact model.", panel=RULES)]
MinLayerScore = Annotated[Number, _option("Least score of each site; with --scope layer.", panel=RULES)]
MaxDrop = Annotated[Number, _option("By how much the score may be lower than --baseline's.", panel=RULES)]
Baseline = Annotated[Text, _option("Id of an evaluation of the model to compare with.", panel=RULES)]
MaxGap = Annotated[Number, _option("How far the score may lie from --training's.", panel=RULES)]
Training = Annotated[Text, _option("Id of an evaluation of this model on its training split.", panel=RULES)]
Policy = Annotated[Text, _option("Rules kept on the server: NAME or NAME@VERSION.", panel=RULES)]
Trials = Annotated[Whole, _option("Most trials to spend on a verdict. (default: 200000)", panel=RULES)]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", exists=True, dir_okay=False, help="All of this as JSON.")
]

# All of them, by the names of the commands' parameters.
ALL: dict[str, Any] = {
    "config_file": ConfigFile,
    "precision": Precision,
    "metric": Measure,
    "k": K,
    "scope": Scope,
    "site": Site,
    "sites": Sites,
    "clamp": Clamp,
    "estimator": Estimator,
    "intact": Intact,
    "orderings": Orderings,
    "fractions": Fractions,
    "confidence": Confidence,
    "seed": Seed,
    "output": Output,
    "input": Input,
    "labels": Labels,
    "weights": Weights,
    "split": Split,
    "channels": Channels,
    "resize": Resize,
    "interpolation": Interpolation,
    "crop": Crop,
    "scale": Scale,
    "mean": Mean,
    "std": Std,
    "pad": Pad,
    "pad_value": PadValue,
    "layout": Layout,
    "data_layout": DataLayout,
}
Given = ParamSpec("Given")
T = TypeVar("T")

SIDES, NUMBERS = ("resize", "crop", "pad"), ("scale", "mean", "std")
LONGEST_FILE = 64 * 1024  # bytes of a config, as the API takes it


def added(command: Callable[Given, T]) -> Callable[Given, T]:
    """The command with all of these options behind its own; it reads them from its context, with `config`."""
    own = inspect.signature(command)

    @wraps(command)
    def run(*arguments: Given.args, **given: Given.kwargs) -> T:
        for name in ALL:
            given.pop(name, None)
        return command(*arguments, **given)

    more = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ALL[name]) for name in ALL]
    vars(run)["__signature__"] = own.replace(parameters=[*own.parameters.values(), *more])
    run.__annotations__ = {**inspect.get_annotations(command), **ALL}
    return run


def config(given: Mapping[str, Any], file: Path | None = None) -> Config:
    """The config of these options, by the names of the config's fields; any other name, None or nothing is left out.

    Raises `UsageError`.
    """
    known = {*Config.model_fields, *Preprocessing.model_fields, *Gate.model_fields, "input", "trials"}
    told = {name: value for name, value in given.items() if name in known and value not in (None, [], ())}
    asked = _read(file) if file is not None else {}
    pixels = {name: _parsed(name, told.pop(name)) for name in Preprocessing.model_fields if name in told}
    if pixels:
        asked["preprocessing"] = {**_part(asked, "preprocessing"), **pixels}
    rules = {name: told.pop(name) for name in Gate.model_fields if name in told}
    if rules:
        asked["gate"] = {**_part(asked, "gate"), **rules}
    if "trials" in told:
        asked["limits"] = {**_part(asked, "limits"), "trials": told.pop("trials")}
    if "input" in told:
        asked["inputs"] = dict(_pair(text) for text in told.pop("input"))
    if "analyses" in told:
        asked["analyses"] = [name.strip() for given in told.pop("analyses") for name in given.split(",")]
    if "sites" in told:
        asked["sites"] = list(told.pop("sites"))
    try:
        return Config.model_validate(asked | told)
    except ValidationError as error:
        options = {*told, *pixels, *rules, *({"trials", "analyses"} & set(given))}
        raise UsageError(_explained(error, options, file)) from error


def _part(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the file says of one part; nothing, if that is no object, which options then replace."""
    part = asked.get(name)
    return part if isinstance(part, dict) else {}


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as source:
            text = source.read(LONGEST_FILE + 1)
        asked = json.loads(text) if len(text) <= LONGEST_FILE else None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not JSON that can be read: {error}") from error
    if not isinstance(asked, dict):
        raise UsageError(f'{file}: a config is a JSON object of at most {LONGEST_FILE:,} bytes, such as {{"seed": 7}}.')
    return asked


def _parsed(name: str, value: Any) -> Any:
    """An option's text as the config has it: `1/255`, `0.485,0.456,0.406`, `48x192`."""
    if name in SIDES:
        sides = [_number(name, side, int) for side in value.lower().replace(",", "x").split("x")]
        return sides[0] if len(sides) == 1 and name != "pad" else sides
    if name in NUMBERS:
        numbers = [_number(name, number, lambda text: float(Fraction(text))) for number in value.split(",")]
        return numbers[0] if len(numbers) == 1 else numbers
    return value


def _number(name: str, text: str, read: Any) -> Any:
    try:
        return read(text.strip())
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise UsageError(f"--{name}: {text.strip()!r} is not a number.") from error


def _pair(text: str) -> tuple[str, str]:
    name, sign, column = text.rpartition("=")  # a model's names may hold =, a column's seldom do
    if not sign:
        raise UsageError(f"--input: {text!r} is not MODELINPUT=COLUMN, such as input_ids=ids.")
    return name, column


def _explained(error: ValidationError, options: set[str], file: Path | None) -> str:
    """A line for each thing that is wrong, with the option that brought it, or its place in the file."""
    lines = []
    for fault in error.errors():
        message = fault["msg"].removeprefix("Value error, ")
        steps = [str(step) for step in fault["loc"]]
        option = next((step for step in steps if step in options), None)
        if option is None and steps and steps[0] == "inputs":
            option = "input"
        if option is not None:
            lines.append(f"--{option.replace('_', '-')}: {message}")
        elif steps and file is not None:
            lines.append(f"{file}: /{'/'.join(steps)}: {message}")
        else:
            lines.append(message)
    return "\n".join(lines)
