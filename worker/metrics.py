"""The target that a config's metric asks for, from what was found in the model and read from the dataset."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service import pairing, problems, scoring
from service.schemas import Config, Measured
from worker import answers, classes, values
from worker.targets import Target

Asked = Literal["classes", "values", "none"]


def chosen(config: Config, labelled: bool) -> str:
    """The metric: the config's, else accuracy where the dataset has labels, else agreement.

    Raises `DatasetMismatch` for a metric that needs labels where there are none.
    """
    if config.metric is None:
        return "accuracy" if labelled else "agreement"
    if not labelled and config.metric != "agreement":
        pairing.no_labels(config.metric)
    return config.metric


def read_as(config: Config) -> Asked:
    """How labels are to be read."""
    match config.metric:
        case "r2":
            return "values"
        case "agreement":
            return "none"
        case _:
            return "classes"


def target(
    metric: str, k: int | None, output: dict[str, Any], labels: NDArray[Any], weights: NDArray[np.float64] | None
) -> Target:
    """What outputs are held against. output: as found in the model; for `agreement`, labels are the intact answers.

    Raises `DatasetMismatch` where labels or weights cannot belong to this output.
    """
    if metric == "r2":
        return values.values(labels, weights)
    return classes.classes(metric, output, labels, weights, k)


def answered(outputs: answers.Numbers, output: dict[str, Any]) -> NDArray[np.int64]:
    """The classes that outputs pick, int64[T, P]: the labels of `agreement`, where they are the intact network's."""
    return answers.picked(answers.scores(outputs, output["kind"], output["probabilities"]))


def told(metric: str, config: Config, output: dict[str, Any], labelled: int | None) -> Measured:
    """What of the metric goes into the result."""
    return Measured(
        name=metric,
        k=config.k,
        unit="nats" if metric == "cross_entropy" else None,
        rising=scoring.METRICS[metric].rising,
        kind="values" if metric == "r2" else output["kind"],
        weights=config.weights,
        labelled=labelled,
    )


def warned(metric: str, config: Config) -> list[str]:
    """What a reader of the result should know of the metric."""
    if metric != "agreement" or config.metric is not None:
        return []
    told = (
        "The dataset has no labels, so the score is of agreement with the intact model's own answers: how often they "
        "stay the same, not how often they are right."
    )
    return [told]


def fit(metric: str, output: dict[str, Any], tail: tuple[int, ...], labels: NDArray[Any] | None) -> None:
    """Raise `DatasetMismatch` unless a network whose outputs are [T, *tail] answers as many items as are labelled."""
    if labels is None:
        return
    if metric == "r2":
        given, wanted, what = math.prod(tail), labels[:1].size, "values"
    else:
        given, wanted, what = (tail[0] if output["kind"] == "tokens" else 1), labels[:1].size, "tokens"
    if given != wanted:
        raise problems.DatasetMismatch(
            f"The model's output {output['name']!r} gives {given} {what} an example, and {wanted} are labelled. Give "
            "one label for each, or choose another `output`."
        )
