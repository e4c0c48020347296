"""Do a model, a dataset and a config go together? Asked before an evaluation is accepted, and again by the worker.

Before, both are known as they were found at upload: what can be decided then is refused at once. What needs the bytes
(casts, layouts, string labels, the chosen split's labels) is left to the reader of the dataset.
"""

import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any, Never

from service import problems
from service.schemas import Config

PAPER_SITES = 3  # scope `paper`: the last three convolutional sites, as in arXiv 1803.06959, section 3.1
SHOWN = 20  # names told in a refusal
Found = dict[str, Any]


def check(model: Found, dataset: Found, config: Config) -> None:
    """Raise `DatasetMismatch`, `ModelUnsupported` or `Invalid` if they cannot go together; both as found at upload."""
    _output(model, config)
    _columns(model, dataset, config)
    _split(dataset, config)
    _metric(dataset, config)
    if config.output in (None, model["output"]["name"]):  # else only the worker knows that output, and its sites
        fits_output(model["output"], None if dataset.get("splits") else dataset["labels"], config)
        analysable(model["output"], config)
        scoped(model["sites"], config)
    inputs, candidates = model["inputs"], dataset["inputs"]
    if len(inputs) == len(candidates) == 1 and config.preprocessing is None and config.inputs is None:
        _shape_may_fit(inputs[0], candidates[0])


def analysable(output: Found, config: Config) -> None:
    """Raise `DatasetMismatch` if single units are to be analysed where an example has no one class."""
    if config.analyses and (config.metric == "r2" or output["kind"] == "tokens"):
        what = "values" if config.metric == "r2" else "a class for each token"
        raise problems.DatasetMismatch(
            f"`analyses` look at how units go with the class of an example, and here it has {what}. Leave `analyses` "
            "out, or choose another `output` or `metric`."
        )


def written(model: Found, dataset: Found) -> None:
    """Raise `DatasetMismatch` unless the inputs that were read are the model's own, name by name and axis by axis."""
    given = {each["name"]: each for each in dataset["inputs"]}
    for wanted in model["inputs"]:
        read = given.get(wanted["name"])
        if read is None:
            _mismatch(
                f"The model's input {wanted['name']!r} got nothing from the dataset", "Name an array with `inputs`."
            )
        if read["dtype"] != wanted["dtype"]:
            _mismatch(
                f"The model's input {wanted['name']!r} is {wanted['dtype']}, but the dataset gives {read['dtype']}",
                "Convert it.",
            )
        if not _same(wanted["shape"][1:], read["shape"][1:]) or bool(wanted["shape"]) < bool(read["shape"]):
            _misshapen(wanted, read)
        if read["shape"] and read["shape"][0] != dataset["examples"]:
            _mismatch(
                f"{read['name']!r} holds {read['shape'][0]} examples of {dataset['examples']}", "Make them equal."
            )


def fits_output(output: Found, labels: Found | None, config: Config) -> None:
    """Raise `DatasetMismatch` or `Invalid` if labels or `k` are beyond the output's classes; labels as found, or None.

    Labels with names are matched to the model's by the reader, by the caller's column too.
    """
    classes = output["classes"]
    if config.k is not None and config.k >= classes:
        raise problems.Invalid(
            f"`k` is {config.k} and the output {output['name']!r} has {classes} classes, so every answer would count "
            f"as right. Ask for a `k` below {classes}."
        )
    if labels is None or config.metric in ("r2", "agreement") or config.labels is not None or labels.get("names"):
        return
    if labels["max"] >= classes:
        raise problems.DatasetMismatch(
            f"The dataset holds the label {labels['max']}, but the model's output {output['name']!r} has {classes} "
            f"classes, 0 to {classes - 1}. Check that labels start at 0 and belong to this model; values of a "
            "regression need the metric `r2`."
        )


def scoped(sites: list[Found], config: Config) -> list[Found]:
    """The sites that a config's scope ablates, in network order, as found in the model.

    Raises `ModelUnsupported` if scope `paper` finds no convolution, `Invalid` if `site` or one of `sites` names none.
    """
    names = [site["site"] for site in sites]
    for pattern in config.sites or ([] if config.site is None else [config.site]):
        if not any(_matches(name, pattern, config.sites is not None) for name in names):
            raise problems.Invalid(f"The model has no site {pattern!r}. {_nearest(pattern, names)}")
    if config.site is not None:
        return [site for site in sites if site["site"] == config.site]
    if config.sites is not None:
        sites = [site for site in sites if any(_matches(site["site"], pattern, True) for pattern in config.sites)]
    if config.scope == "paper":
        convolutional = [site for site in sites if site["convolutional"]]
        if not convolutional:
            raise problems.ModelUnsupported(
                "Scope `paper` ablates convolutions, and there is none among the sites; use `network`."
            )
        return convolutional[-PAPER_SITES:]
    return sites


def _matches(name: str, pattern: str, patterns: bool) -> bool:
    """A site's own name always matches it, whatever characters it has."""
    return name == pattern or (patterns and fnmatch.fnmatchcase(name, pattern))


def _output(model: Found, config: Config) -> None:
    names = [output["name"] for output in model.get("outputs", [])]
    if config.output is not None and names and config.output not in names:
        raise problems.Invalid(f"The model has no output {config.output!r}. {_nearest(config.output, names)}")


def _columns(model: Found, dataset: Found, config: Config) -> None:
    """Every name in the config is one that the model or the dataset has."""
    inputs, columns = [each["name"] for each in model["inputs"]], dataset.get("columns")
    for name in config.inputs or {}:
        if name not in inputs:
            raise problems.Invalid(f"`inputs` names {name!r}, which is no input of the model. {_nearest(name, inputs)}")
    named = {"labels": config.labels, "weights": config.weights}
    named |= {f"inputs.{name}": column for name, column in (config.inputs or {}).items()}
    for field, column in named.items():
        if column is not None and columns and column not in columns:
            raise problems.DatasetMismatch(
                f"`{field}` is {column!r}, and the dataset has no such array or column. {_nearest(column, columns)}"
            )


def _split(dataset: Found, config: Config) -> None:
    splits = dataset.get("splits")
    if splits and config.split is not None and config.split not in splits:
        raise problems.DatasetMismatch(f"The dataset has no split {config.split!r}. {_nearest(config.split, splits)}")


def _metric(dataset: Found, config: Config) -> None:
    if dataset["labels"] is None and config.labels is None and config.metric not in (None, "agreement"):
        no_labels(config.metric)


def no_labels(metric: str) -> Never:
    """Refuse a metric that needs labels where there are none."""
    raise problems.DatasetMismatch(
        f"The metric `{metric}` needs labels, and none were found in the dataset. Add them (an array `y`), name their "
        "array or column with `labels`, or ask for the metric `agreement`."
    )


def _shape_may_fit(wanted: Found, given: Found) -> None:
    """Refuse one array for one input that is not its shape, nor becomes it by moving the channels or adding one."""
    axes, shape = wanted["shape"][1:], given["shape"][1:]
    moved = [[*shape[-1:], *shape[:-1]], [*shape[1:], *shape[:1]]] if len(shape) > 1 else []
    alone = [[1, *shape], [*shape, 1]]
    if any(isinstance(size, str) for size in shape) or not wanted["shape"]:
        return  # pictures, whose size only the reader knows; and a scalar
    if not any(_same(axes, each) for each in ([*shape], *moved, *alone)):
        _misshapen(wanted, given)


def _same(axes: Sequence[Any], shape: Sequence[Any]) -> bool:
    """An axis the model leaves open takes any size."""
    return len(axes) == len(shape) and all(isinstance(a, str) or a == s for a, s in zip(axes, shape, strict=True))


def _misshapen(wanted: Found, given: Found) -> Never:
    raise problems.DatasetMismatch(
        f"The model's input {wanted['name']!r} takes {_shape(wanted['shape'][1:])} for each example, but "
        f"{given['name']} holds {_shape(given['shape'][1:])}. Reshape or transpose {given['name']} to the model's "
        "layout, or say in `preprocessing` what to do; the first axis counts the examples."
    )


def _mismatch(what: str, remedy: str) -> Never:
    raise problems.DatasetMismatch(f"{what}. {remedy}")


def _nearest(name: str, names: Iterable[str]) -> str:
    """What there is instead: names that hold or resemble it, or all."""
    known = list(names)
    close = [each for each in known if name in each] or difflib.get_close_matches(name, known, SHOWN)
    shown = [each for each in known if each in close or not close][:SHOWN]
    rest = len(known) - len(shown)
    return f"It has: {', '.join(shown)}{f', and {rest} more' if rest else ''}."


def _shape(axes: list[Any]) -> str:
    return "[" + ", ".join(str(axis) for axis in axes) + "]"
