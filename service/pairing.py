"""Do a model, a dataset and a config go together? Asked before an evaluation is accepted, and again by the worker."""

import fnmatch
from typing import Any

from service import problems
from service.schemas import Config

PAPER_SITES = 3  # scope `paper`: the last three convolutional sites, as in arXiv 1803.06959, section 3.1


def check(model: dict[str, Any], dataset: dict[str, Any], config: Config) -> None:
    """Raise `DatasetMismatch`, `ModelUnsupported` or `Invalid` if they do not go together; both as found."""
    _inputs(model["inputs"][0], dataset["inputs"][0])
    _labels(model["output"], dataset["labels"])
    scoped(model["sites"], config)


def _inputs(wanted: dict[str, Any], given: dict[str, Any]) -> None:
    """Shapes agree when all axes but the batch do; an axis the model leaves open takes any size."""
    if wanted["dtype"] != given["dtype"]:
        raise problems.DatasetMismatch(
            f"The model's input {wanted['name']!r} is {wanted['dtype']}, but x is {given['dtype']}: "
            f"convert it with x.astype({wanted['dtype']!r})."
        )
    axes, shape = wanted["shape"][1:], given["shape"][1:]
    same = len(axes) == len(shape) and all(isinstance(a, str) or a == s for a, s in zip(axes, shape, strict=True))
    if not same:
        raise problems.DatasetMismatch(
            f"The model's input {wanted['name']!r} takes {_shape(axes)} for each example, but x holds {_shape(shape)}. "
            "Reshape or transpose x to the model's layout; the first axis counts the examples."
        )


def _labels(output: dict[str, Any], labels: dict[str, Any]) -> None:
    if labels["max"] >= output["classes"]:
        raise problems.DatasetMismatch(
            f"y holds the label {labels['max']}, but the model's output {output['name']!r} has {output['classes']} "
            f"classes, 0 to {output['classes'] - 1}. Check that labels start at 0 and belong to this model."
        )


def scoped(sites: list[dict[str, Any]], config: Config) -> list[dict[str, Any]]:
    """The sites that a config's scope ablates, in network order, as found in the model.

    Raises `ModelUnsupported` if scope `paper` finds no convolution, `Invalid` if `site` names none.
    """
    if config.scope == "paper":
        convolutional = [site for site in sites if site["convolutional"]]
        if not convolutional:
            raise problems.ModelUnsupported("Scope `paper` ablates convolutions and the model has none; use `network`.")
        return convolutional[-PAPER_SITES:]
    if config.site is None:
        return sites
    named = [site for site in sites if site["site"] == config.site]
    if not named:
        names = [site["site"] for site in sites]
        close = [name for name in names if fnmatch.fnmatch(name, f"*{config.site}*")] or names
        raise problems.Invalid(f"The model has no site {config.site!r}. It has: {', '.join(close[:20])}.")
    return named


def _shape(axes: list[Any]) -> str:
    return "[" + ", ".join(str(axis) for axis in axes) + "]"
